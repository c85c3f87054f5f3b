"""Finds for each planted bug the two cheapest worlds that show it: `python -m tests.simulation.seeds [NAME ...]`.

A seed beside a bug becomes stale when a change moves what happens in its world; the hunt without it can take minutes.
"""

import sys
from collections.abc import Callable, Sequence

from tests.simulation import runs
from tests.simulation.age_mutants import AGE_MUTANTS
from tests.simulation.class_mutants import CLASS_MUTANTS
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import Mutant, planted
from tests.simulation.quota import runs as quota_runs
from tests.simulation.quota.mutants import MUTANTS as QUOTA_MUTANTS
from tests.simulation.runs import Outcome

PIPELINE = (*MUTANTS, *AGE_MUTANTS, *CLASS_MUTANTS)
WORLDS = 200
ENOUGH = 5
"""Worlds that show the bug, of which the two cheapest are named."""


def cheapest(mutant: Mutant, live: Callable[[str, int], Outcome]) -> list[int]:
    """Two seeds by the time of the world with the bug and without it; the world without it passes."""
    found: list[tuple[float, int]] = []
    for seed in range(WORLDS):
        with planted(mutant):
            broken = live(mutant.profile, seed)
        if broken.failure and not (whole := live(mutant.profile, seed)).failure:
            found.append((broken.seconds + whole.seconds, seed))
        if len(found) == ENOUGH:
            break
    return [seed for _, seed in sorted(found)[:2]]


def main(names: Sequence[str]) -> int:
    """Print a line for each bug of these names, or for all; 1 if no world shows one."""
    code = 0
    for mutants, live in ((PIPELINE, runs.live), (QUOTA_MUTANTS, quota_runs.live)):
        for mutant in mutants:
            if names and mutant.name not in names:
                continue
            seeds = cheapest(mutant, live)
            code = code if seeds else 1
            sys.stdout.write(f"{mutant.name}: {seeds or f'no world of {WORLDS}'}, now {list(mutant.seeds)}\n")
            sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
