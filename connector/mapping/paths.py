"""Paths: where in a record a value stands, such as `after.address['zip.code']` or `ids[primary=true].id`."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from connector.mapping.mistakes import did_you_mean

MAX_STEPS = 32
MAX_LENGTH = 400


class Root(StrEnum):
    """Where a path begins. Without a root it begins at the value or, with `each`, at the item."""

    ITEM = "$item"
    VALUE = "$value"
    KEY = "$key"
    HEADERS = "$headers"
    TOPIC = "$topic"
    TIMESTAMP = "$timestamp"


@dataclass(frozen=True, slots=True)
class Select:
    """The first item of a list whose field (`names` from the item on) has this text, or begins with it."""

    names: tuple[str, ...]
    text: str
    begins: bool = False


Step: TypeAlias = str | int | Select
"""A field's name, an item's number (-1 is the last), or a search for an item."""


@dataclass(frozen=True, slots=True)
class Path:
    """A root and the steps from there."""

    root: Root
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """As one would write it in a mapping."""
        if self.root is Root.ITEM:
            return "".join(map(_written, self.steps)).removeprefix(".") or self.root
        return self.root + "".join(map(_written, self.steps))


# Patterns of both Python and JSON Schema (ECMA 262): `schemas/event-mapping.v1.schema.json` has them too.
_SPACE = r"\u0000-\u0020"
_CONTROL = r"\u0000-\u001f"
_NAME = rf"[^{_SPACE}.\[\]{{}}'\"$][^{_SPACE}.\[\]{{}}'\"]*"
_FIELD = rf"[^{_SPACE}.\[\]{{}}'\"$=^][^{_SPACE}.\[\]{{}}'\"=^]*"
_SINGLE = rf"'[^'{{}}{_CONTROL}]+'"
_DOUBLE = rf"\"[^\"{{}}{_CONTROL}]+\""
_INDEX = r"\[-?[0-9]{1,6}\]"
_QUOTED = rf"\[(?:{_SINGLE}|{_DOUBLE})\]"
_SELECT = rf"\[{_FIELD}(?:\.{_FIELD})*\^?=(?:{_SINGLE}|{_DOUBLE}|[^\[\]{{}}'\"{_CONTROL}]+)\]"
_BRACKET = rf"{_INDEX}|{_QUOTED}|{_SELECT}"
_STEP = rf"\.{_NAME}|{_BRACKET}"
PATH = (
    rf"(?:(?:{_NAME}|{_BRACKET}|\$(?:item|value|key))(?:{_STEP}){{0,{MAX_STEPS - 1}}}"
    rf"|\$headers(?:\.{_NAME}|{_QUOTED})|\$topic|\$timestamp)"
)
_LITERAL = r"[^{}]|\{\{|\}\}"
TEMPLATE = rf"(?:{_LITERAL})*\{{{PATH}\}}(?:{_LITERAL}|\{{{PATH}\}})*"

_root = re.compile(r"\$[^.\[\]{}]*")
_first_name = re.compile(_NAME)
_step = re.compile(
    rf"\.(?P<name>{_NAME})|\[(?P<index>-?[0-9]{{1,6}})\]|\[(?P<quoted>{_SINGLE}|{_DOUBLE})\]"
    rf"|\[(?P<names>{_FIELD}(?:\.{_FIELD})*)(?P<operator>\^?=)(?P<text>{_SINGLE}|{_DOUBLE}|[^\[\]{{}}'\"{_CONTROL}]+)\]"
)
_template_part = re.compile(rf"(?P<literal>(?:{_LITERAL})+)|\{{(?P<path>[^{{}}]*)\}}")


class BadPath(ValueError):
    """A text that is no path; the message says what is wrong with it, in words that follow its field."""


def parse_path(text: str) -> Path:
    """Return the path that a text writes."""
    if not text:
        msg = "must not be empty"
        raise BadPath(msg)
    if len(text) > MAX_LENGTH:
        msg = f"must have at most {MAX_LENGTH} characters"
        raise BadPath(msg)
    root, at = Root.ITEM, 0
    steps: list[Step] = []
    if found := _root.match(text):
        if found[0] not in list(Root):
            msg = f"unknown root {found[0]}{did_you_mean(found[0], list(Root))}"
            raise BadPath(msg)
        root, at = Root(found[0]), found.end()
    elif found := _first_name.match(text):
        steps.append(found[0])
        at = found.end()
    while at < len(text):
        found = _step.match(text, at)
        if found is None or text[0] == ".":
            raise BadPath(_no_step(text, at))
        steps.append(_parsed(found))
        at = found.end()
    _check(root, steps, MAX_STEPS - (text[0] == "$"))
    return Path(root, tuple(steps))


def parse_template(text: str) -> tuple[str | Path, ...]:
    """Return the parts of a template: texts, and paths to be replaced."""
    if len(text) > MAX_LENGTH:
        msg = f"must have at most {MAX_LENGTH} characters"
        raise BadPath(msg)
    parts: list[str | Path] = []
    at = 0
    while at < len(text):
        found = _template_part.match(text, at)
        if found is None:
            msg = f"has a brace without its other half at character {at + 1}; a brace itself is written twice"
            raise BadPath(msg)
        literal = found["literal"]
        parts.append(parse_path(found["path"]) if literal is None else literal.replace("{{", "{").replace("}}", "}"))
        at = found.end()
    if not any(isinstance(part, Path) for part in parts):
        msg = "must have a path in braces; a fixed text is a constant"
        raise BadPath(msg)
    return tuple(parts)


def _parsed(found: re.Match[str]) -> Step:
    if found["name"] is not None:
        return found["name"]
    if found["index"] is not None:
        return int(found["index"])
    if found["quoted"] is not None:
        return found["quoted"][1:-1]
    text = found["text"]
    return Select(
        tuple(found["names"].split(".")),
        text[1:-1] if text[0] in "'\"" else text,
        begins=found["operator"] == "^=",
    )


def _no_step(text: str, at: int) -> str:
    place = f"at character {at + 1}"
    if text[at] == "[":
        return f"is no path {place}: in brackets stands an item's number, a 'name' in quotes, or name=text, name^=text"
    if text[at] == ".":
        return f"is no path {place}: a name must follow the dot; one with spaces, dots or quotes is written ['so']"
    return f"is no path {place}: a name with spaces, quotes, braces or brackets is written ['so']"


def _check(root: Root, steps: list[Step], limit: int) -> None:
    if root is Root.HEADERS:
        limit = 1
        if not steps or not isinstance(steps[0], str):
            msg = "must name a header, such as $headers.type"
            raise BadPath(msg)
    elif root in (Root.TOPIC, Root.TIMESTAMP):
        limit = 0
    if len(steps) > limit:
        shortest = f"{root}{'.NAME' * limit}"
        told = f"must have at most {limit} steps" if limit > 1 else f"must end after {shortest}, which is a text"
        raise BadPath(told)


def _written(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if isinstance(step, Select):
        quote = '"' if "'" in step.text else "'" if re.search(r"[\"\[\]]", step.text) or not step.text else ""
        return f"[{'.'.join(step.names)}{'^' * step.begins}={quote}{step.text}{quote}]"
    if _first_name.fullmatch(step):
        return f".{step}"
    quote = '"' if "'" in step else "'"
    return f"[{quote}{step}{quote}]"
