"""How a bug is planted: a method or a function of ours is replaced during a hunt.

An object is replaced, never source text: a bug survives every rename that reaches its names.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.simulation.runs import Outcome

BROKEN = ("TypeError(", "AttributeError(", "NameError(", "KeyError(")
"""Errors of a replacement that does not fit the code any more: these are no finding of the oracle."""
DOCS = Path(__file__).parents[2] / "docs" / "simulation.md"


class Patches:
    """Replaces attributes of classes and modules, and puts them back."""

    def __init__(self) -> None:
        self._kept: list[tuple[type | ModuleType, str, Any]] = []

    def replace(self, owner: type | ModuleType, name: str, by: Any) -> None:
        """Replace the attribute; a name that the owner itself does not have is a KeyError."""
        self._kept.append((owner, name, vars(owner)[name]))
        setattr(owner, name, by)

    def wrap(self, owner: type | ModuleType, name: str, around: Callable[..., Any]) -> None:
        """Call `around(original, *arguments)` instead; of a property, `around(getter, self)`."""
        found: Any = vars(owner)[name]
        is_property = isinstance(found, property)
        original: Any = found.fget if is_property else found

        @wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            return around(original, *arguments, **named)

        self.replace(owner, name, property(call) if is_property else call)

    def undo(self) -> None:
        """Restore all attributes."""
        while self._kept:
            owner, name, before = self._kept.pop()
            setattr(owner, name, before)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug, and where it shows."""

    name: str
    breaks: str
    """What goes wrong, in the oracle's words."""
    profile: str
    seeds: tuple[int, ...]
    """Seeds known to find it."""
    plant: Callable[[Patches], None]


class Mutants:
    """A collection of planted bugs, filled by decorating the function that plants each."""

    def __init__(self) -> None:
        self.all: list[Mutant] = []

    def __call__(
        self, name: str, breaks: str, profile: str, *seeds: int
    ) -> Callable[[Callable[[Patches], None]], Callable[[Patches], None]]:
        """Add what the decorated function plants."""

        def add(plant: Callable[[Patches], None]) -> Callable[[Patches], None]:
            self.all.append(Mutant(name, breaks, profile, seeds, plant))
            return plant

        return add


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is in our code inside this context."""
    patches = Patches()
    try:
        mutant.plant(patches)
        yield
    finally:
        patches.undo()


def hunt(mutant: Mutant, live: Callable[[str, int], Outcome], fallback: int) -> Outcome | None:
    """The first world that shows it: the known seeds first, then a range, since any change may move it."""
    with planted(mutant):
        for seed in (*mutant.seeds, *range(fallback)):
            if (outcome := live(mutant.profile, seed)).failure:
                broken = [name for name in BROKEN if name in outcome.failure]
                assert not broken, f"{mutant.name} is planted where the code has changed: {outcome.failure}"
                return outcome
    return None


def documented() -> set[tuple[str, ...]]:
    """Table rows of three in the documentation: a bug, what it breaks, and its profile."""
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    return {(row[0].removeprefix("| "), row[1], row[2].removesuffix(" |")) for row in rows if len(row) == 3}
