"""The worked examples of `docs/mapping.md`, from their own blocks: a page that nobody runs is wrong within a year."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "mapping.md"
_BLOCK: Final = r"```{}\n(.+?)```\n\n"
_EXAMPLE: Final = re.compile(
    rf"^### ([^\n]+)\n\n{_BLOCK.format('yaml')}(?:{_BLOCK.format('(?:avsc|proto)')})?"
    rf"{_BLOCK.format('json')}```json\n(.+?)```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Example:
    """One of them."""

    name: str
    mapping: str
    schema: str
    """Empty where the record names none."""
    document: str
    """The record's value as JSON."""
    change: str
    """The event of version 1 that comes out, as JSON."""


EXAMPLES: Final = tuple(Example(*found) for found in _EXAMPLE.findall(PAGE.read_text(encoding="utf-8")))
