"""A mapping's text as a tree that knows the line of each part, from YAML or JSON.

Scalars are read by the rules of YAML 1.2, which are those of JSON: `no`, `on` and `2026-11-22` are texts, and a number
keeps its written form (`10.50`). JSON is read by the same parser, since it is YAML but for a tab between two parts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from connector.mapping.mistakes import BadMapping, Mistake

MAX_PARTS = 100_000
"""Parts of a mapping, aliases counted each time: a short text could otherwise name billions."""
WHOLE = "(mapping)"
"""The field of a mistake that no field of the mapping can be named for."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class Number(str):
    """A number in its written form."""

    __slots__ = ()


Scalar: TypeAlias = str | bool | None
"""A text (of which a `Number` is one), a boolean or nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One part of the text and its line, counted from 1."""

    line: int
    value: "Scalar | tuple[Entry, ...] | Mapping[str, Entry]"
    name_lines: Mapping[str, int] = field(default_factory=dict)
    """Of an object, the line of each name."""


def parse(text: str) -> Entry:
    """Return the tree; raises `BadMapping` for what is neither YAML nor JSON."""
    try:
        node = yaml.compose(_without_tabs(text), Loader=yaml.SafeLoader)
        if node is None:
            raise BadMapping([Mistake(1, WHOLE, "must not be empty")])
        builder = _Builder()
        entry = builder.entry(node, "")
    except yaml.MarkedYAMLError as error:
        raise BadMapping([_syntax_mistake(error)]) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise BadMapping([Mistake(line, WHOLE, "must be text without control characters")]) from error
    except yaml.YAMLError as error:
        raise BadMapping([Mistake(1, WHOLE, f"must be YAML or JSON: {error}")]) from error
    except RecursionError as error:
        raise BadMapping([Mistake(1, WHOLE, "must not nest so deep")]) from error
    except _TooLarge as error:
        raise BadMapping([Mistake(1, WHOLE, f"must have at most {MAX_PARTS:,} parts, aliases counted")]) from error
    if builder.mistakes:
        raise BadMapping(builder.mistakes)
    return entry


class _TooLarge(Exception):
    """More parts than allowed."""


class _Builder:
    """Turns the parser's nodes into entries, and notes names that come twice in one object."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._parts = 0

    def entry(self, node: yaml.Node, field: str) -> Entry:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _TooLarge
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            return Entry(line, dict(self._members(node, field, lines)), lines)
        if isinstance(node, yaml.SequenceNode):
            return Entry(line, tuple(self.entry(item, f"{field}[{i}]") for i, item in enumerate(node.value)))
        return Entry(line, _scalar(node) if isinstance(node, yaml.ScalarNode) else None)

    def _members(self, node: yaml.MappingNode, field: str, lines: dict[str, int]) -> Iterator[tuple[str, Entry]]:
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.mistakes.append(Mistake(line, field or WHOLE, "must not have a list or an object as a name"))
                continue
            name = _joined(key.value)
            inner = f"{field}.{name}" if field else name
            if name in lines:
                self.mistakes.append(Mistake(line, inner, f"is given already in line {lines[name]}"))
            lines.setdefault(name, line)
            yield name, self.entry(item, inner)


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text = _joined(node.value)
    if node.style is not None or node.tag == "tag:yaml.org,2002:str":
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    return Number(text) if _NUMBER.fullmatch(text) else text


def _joined(text: str) -> str:
    r"""Join the halves of a surrogate pair: JSON writes `\ud83d\ude00` where YAML writes `\U0001F600`."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text.encode("utf-8", "replace").decode()


def _without_tabs(text: str) -> str:
    """Replace the tabs of a JSON text, which stand between its parts only."""
    if "\t" not in text:
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _syntax_mistake(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "cannot be read"
    hint = "; a path with brackets and a template need quotes" if re.search(r"[\[\]{}]", problem) else ""
    return Mistake(mark.line + 1 if mark else 1, WHOLE, f"must be YAML or JSON: {problem}{hint}")
