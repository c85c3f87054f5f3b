"""Reads parts of the tree and notes what is wrong with them, so that one reading finds every mistake."""

import math
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TypeVar

from connector.mapping.mistakes import Mistake, did_you_mean, meant
from connector.mapping.paths import BadPath, Path, parse_path, parse_template
from connector.mapping.tree import WHOLE, Entry, Number

_E = TypeVar("_E", bound=StrEnum)


class Reading:
    """The mistakes found so far, and the ways to find more. What is wrong is noted and read as None or as nothing."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.paths: list[tuple[Entry, str, Path]] = []
        """Every path read, with its place: whether its root has a meaning shows when its source is complete."""

    def wrong(self, entry: Entry, field: str, text: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(entry.line, field or WHOLE, text))

    def fields(
        self, entry: Entry, field: str, known: Collection[str], needed: Collection[str] = ()
    ) -> Mapping[str, Entry] | None:
        """Return an object's fields; notes those that are unknown or missing."""
        members = self.members(entry, field)
        if members is None:
            return None
        for name in members:
            if name not in known:
                told = f"unknown field{did_you_mean(name, known)}"
                self.mistakes.append(Mistake(entry.name_lines[name], inside(field, name), told))
        for name in needed:
            if name not in members:
                self.wrong(entry, inside(field, name), "is missing")
        return members

    def members(self, entry: Entry, field: str) -> Mapping[str, Entry] | None:
        """Return what an object has, which must not be empty."""
        if not isinstance(entry.value, Mapping) or not entry.value:
            self.wrong(entry, field, "must be an object with at least one field")
            return None
        return entry.value

    def items(self, entry: Entry, field: str, most: int = 0) -> tuple[Entry, ...]:
        """Return what a list has, which must not be empty; `most` 0 means any number."""
        if not isinstance(entry.value, tuple) or not entry.value:
            self.wrong(entry, field, "must be a list with at least one item")
            return ()
        if most and len(entry.value) > most:
            self.wrong(entry, field, f"must have at most {most} items")
        return entry.value

    def text(self, entry: Entry, field: str, *, least: int = 1) -> str | None:
        """Return a text that is no number."""
        if isinstance(entry.value, str) and not isinstance(entry.value, Number) and len(entry.value) >= least:
            return entry.value
        told = "must be a text, in quotes if it is a number" if least == 0 or entry.value != "" else "must not be empty"
        self.wrong(entry, field, told)
        return None

    def texts(self, entry: Entry, field: str) -> tuple[str, ...]:
        """Return a list of texts."""
        read = [self.text(item, f"{field}[{number}]") for number, item in enumerate(self.items(entry, field))]
        return tuple(text for text in read if text is not None)

    def scalar(self, entry: Entry, field: str) -> str | None:
        """Return the text of a text, number or boolean, as it is sent and compared."""
        if isinstance(entry.value, bool):
            return "true" if entry.value else "false"
        if isinstance(entry.value, str):
            return str(entry.value)
        self.wrong(entry, field, "must be a text, a number or a boolean")
        return None

    def scalars(self, entry: Entry, field: str) -> tuple[str, ...]:
        """Return a list of such texts."""
        read = [self.scalar(item, f"{field}[{number}]") for number, item in enumerate(self.items(entry, field))]
        return tuple(text for text in read if text is not None)

    def boolean(self, entry: Entry, field: str) -> bool:
        """Return a boolean."""
        if not isinstance(entry.value, bool):
            self.wrong(entry, field, "must be true or false")
        return entry.value is True

    def integer(self, entry: Entry, field: str, most: int) -> int:
        """Return a whole number from 0 on."""
        number = float(entry.value) if isinstance(entry.value, Number) else math.nan
        if number.is_integer() and 0 <= number <= most:
            return int(number)
        self.wrong(entry, field, f"must be a whole number from 0 to {most}")
        return 0

    def word(self, entry: Entry, field: str, words: type[_E]) -> _E | None:
        """Return one of the words of a closed list."""
        found = self.one_of(entry, field, [word.value for word in words])
        return None if found is None else words(found)

    def one_of(self, entry: Entry, field: str, known: Collection[str]) -> str | None:
        """Return a text that is one of these."""
        if isinstance(entry.value, str) and entry.value in known:
            return entry.value
        near = meant(entry.value, known) if isinstance(entry.value, str) else ""
        self.wrong(entry, field, f"must be one of {', '.join(known)}{near}")
        return None

    def path(self, entry: Entry, field: str) -> Path | None:
        """Return a path."""
        text = self.text(entry, field)
        if text is None:
            return None
        try:
            path = parse_path(text)
        except BadPath as error:
            self.wrong(entry, field, str(error))
            return None
        self.paths.append((entry, field, path))
        return path

    def template(self, entry: Entry, field: str) -> tuple[str | Path, ...]:
        """Return the parts of a template."""
        text = self.text(entry, field)
        if text is None:
            return ()
        try:
            parts = parse_template(text)
        except BadPath as error:
            self.wrong(entry, field, str(error))
            return ()
        self.paths += ((entry, field, part) for part in parts if isinstance(part, Path))
        return parts


def inside(field: str, name: str) -> str:
    """Return the field of a member."""
    return f"{field}.{name}" if field else name
