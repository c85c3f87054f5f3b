"""The sum at the end: what went in against what Target holds, without asking the connector."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo found. It reconciles when nothing is lost, nothing is wrong and no rule of the API was broken."""

    events: int
    requests: int
    updates: int
    dead_letters: int
    lost: int
    wrong: int
    violations: int

    @property
    def reconciles(self) -> bool:
        """Whether the connector kept its promise."""
        return not (self.lost or self.wrong or self.violations)

    @property
    def saved(self) -> int:
        """Calls that coalescing saved."""
        return max(0, self.events - self.dead_letters - self.updates)

    def line(self) -> str:
        """One JSON line, as scripts read it."""
        return json.dumps({name: number for name, number in asdict(self).items() if name != "violations"})


def compare(expected: Mapping[str, Mapping[str, str]], held: Mapping[str, Mapping[str, str]]) -> tuple[int, int]:
    """Count the attributes that Target does not hold (lost), and those that it holds with another value (wrong).

    What it holds and no event said is wrong too. Both arguments map a visitor to its attributes.
    """
    lost = wrong = 0
    for visitor in expected.keys() | held.keys():
        want, have = expected.get(visitor, {}), held.get(visitor, {})
        lost += len(want.keys() - have.keys())
        wrong += len(have.keys() - want.keys())
        wrong += sum(have[name] != value for name, value in want.items() if name in have)
    return lost, wrong
