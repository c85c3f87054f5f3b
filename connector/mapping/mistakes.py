"""What is wrong in a mapping: all of it at once, each with its line, its field and the nearest right name."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing to correct. `field` is a path in the mapping such as `sources[0].visitor`; `line` counts from 1."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"line {self.line}, {self.field}: {self.text}"


class BadMapping(ValueError):
    """A mapping that cannot be used, with everything that is wrong in it, in the order of the file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """The message has one line a mistake."""
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, or None when none is near."""
    by_lower = {known.lower(): known for known in sorted(names, reverse=True)}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def meant(name: str, names: Iterable[str]) -> str:
    """Return the half sentence that names what was probably meant; nothing when no name is near."""
    near = nearest(name, names)
    return f"; did you mean {near}?" if near else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the half sentence behind an unknown name: what was probably meant, or else what there is."""
    known = list(names)
    return meant(name, known) or f"; known are {', '.join(known)}"
