"""Compiles a value of a mapping to a function from a record to the text to send."""

from collections.abc import Callable
from typing import Any, TypeAlias

from connector.events.json_v1 import Nulls
from connector.mapping.convert import Convert, Unsuitable, converter, text_of
from connector.mapping.model import Value
from connector.mapping.paths import Path
from connector.mapping.walk import MISSING, Get, Record, Unfit

Read: TypeAlias = Callable[[Any, Record], str | None]
"""From an item and its record to a text, None when there is none. Raises `Unfit`."""
Getter: TypeAlias = Callable[[Path], Get]


def reader(value: Value, getter: Getter, nulls: Nulls, convert: Convert = text_of) -> Read:
    """Return the function that reads a value; `convert` gives the text where the mapping names no conversion.

    Of several paths the first counts that has something: neither missing nor null nor an empty text. If none has, the
    default counts; without one the first of them that is there at all: an empty text, or a null, read by `nulls`.
    """
    if value.constant is not None:
        return _constant(value.constant)
    if value.template:
        return _template(value, getter)
    if len(value.paths) == 1 and value.default is None and value.conversion is None and value.table is None:
        (path,) = value.paths
        return _plain(path, getter(path), _null_text(path, nulls), convert)
    return _full(value, getter, nulls, converter(value.conversion) if value.conversion else convert)


def identifier_text(node: Any) -> str:
    """Return the text of an identifier: a text, or a whole number as digits."""
    if isinstance(node, bool):
        msg = "must be a text or a whole number, to identify a visitor"
        raise Unsuitable(msg)
    return text_of(node)


def _constant(text: str) -> Read:
    return lambda _, __: text


def _plain(path: Path, get: Get, null_text: Callable[[], str | None], convert: Convert) -> Read:
    """One path and nothing else, which is what most values are."""

    def read(item: Any, record: Record) -> str | None:
        node = get(item, record)
        if type(node) is str:
            return node
        if node is MISSING:
            return None
        if node is None:
            return null_text()
        try:
            return convert(node)
        except Unsuitable as error:
            raise Unfit(path, str(error)) from error

    return read


def _full(value: Value, getter: Getter, nulls: Nulls, convert: Convert) -> Read:
    finds = tuple((path, getter(path)) for path in value.paths)
    null_texts = {path: _null_text(path, nulls) for path in value.paths}
    default, table = value.default, value.table

    def without_default(item: Any, record: Record) -> str | None:
        for path, get in finds:
            node = get(item, record)
            if node is not MISSING:
                return null_texts[path]() if node is None else ""
        return None

    def read(item: Any, record: Record) -> str | None:
        for path, get in finds:
            node = get(item, record)
            if node is MISSING or node is None or node == "":
                continue
            try:
                text = convert(node)
            except Unsuitable as error:
                raise Unfit(path, str(error)) from error
            if table is not None:
                return table.get(text, default)
            return text if text or default is None else default
        return without_default(item, record) if default is None else default

    return read


def _template(value: Value, getter: Getter) -> Read:
    parts = tuple((part, getter(part) if isinstance(part, Path) else None) for part in value.template)
    default = value.default

    def read(item: Any, record: Record) -> str | None:
        texts = []
        for part, get in parts:
            if get is None:
                texts.append(str(part))
                continue
            node = get(item, record)
            if node is MISSING or node is None or node == "":
                return default
            try:
                texts.append(text_of(node))
            except Unsuitable as error:
                raise Unfit(part, str(error)) from error
        return "".join(texts)

    return read


def _null_text(path: Path, nulls: Nulls) -> Callable[[], str | None]:
    """Return what is sent for a null, by `EVENT_NULLS`."""
    if nulls is Nulls.REJECT:

        def reject() -> str | None:
            raise Unfit(path, "must not be null")

        return reject
    text = "" if nulls is Nulls.EMPTY else None
    return lambda: text
