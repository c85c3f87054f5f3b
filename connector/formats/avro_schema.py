"""Rewrites an Avro schema of a stranger, so that fastavro reads it safely and gives a document.

Values become text while fastavro reads them: floats, decimals and times get logical types of ours, whose readers are
called for each value. Defaults, documentation, names and every other property are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from connector.events.change import Refused
from connector.formats.document import MAX_NAME, SCHEMA

MAX_HEIGHT: Final = 100
"""Levels of types within types. fastavro ends the process by a stack overflow somewhere beyond 4,000."""
MAX_FREE: Final = 10_000
"""Values without a byte (nulls, empty records) that a record may hold: nothing in the record pays for them."""
MAX_FREE_PER_BYTE: Final = 16
"""Likewise for an item of an array, for each byte that it takes at least: 5 bytes can announce 20 million items."""
MAX_SCALE: Final = 1_000

PRIMITIVES: Final = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
"""By name, the bytes that a value takes at least."""
_TAG: Final = "connector-"
OURS: Final = {
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
    ("bytes", "decimal"),
    ("fixed", "decimal"),
    ("fixed", "uuid"),
}
"""Types and logical types of which a value becomes the text that it means."""
_UUID_SIZE: Final = 16


def read_schema(text: str) -> object:
    """Return what a schema's text writes; `Refused` when it is no JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # A primitive type may stand without quotes, as some registries give it.
        if text.isalpha():
            return text
        raise Refused(SCHEMA, "is not valid JSON") from None


class _Type(NamedTuple):
    """A rewritten type, with what bounds the work of reading it."""

    schema: Any
    bytes: int
    """What one value takes at least."""
    free: int
    """Values in it that take no byte, at most."""
    height: int = 1


class Rewriter:
    """Rewrites schemas that share their named types: first those that are referred to, then the one that refers."""

    def __init__(self) -> None:
        self._named: dict[str, _Type | None] = {}  # None: its definition is not finished, so a reference is recursive.

    def rewrite(self, schema: object) -> Any:
        """Return the schema for fastavro; `Refused` says what of it cannot be read."""
        return self._type(schema, "", 1).schema

    def _type(self, schema: object, namespace: str, depth: int) -> _Type:
        if depth > MAX_HEIGHT:
            raise Refused(SCHEMA, f"nests deeper than {MAX_HEIGHT} levels")
        if isinstance(schema, str):
            return self._by_name(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace, depth)
        if not isinstance(schema, dict):
            raise Refused(SCHEMA, "has a type that is neither a name, an object nor an array")
        return self._object(schema, namespace, depth)

    def _object(self, schema: Mapping[str, Any], namespace: str, depth: int) -> _Type:
        kind = schema.get("type")
        if not isinstance(kind, str):
            return self._type(kind, namespace, depth + 1)
        if kind in PRIMITIVES:
            return _primitive(kind, schema)
        if kind == "array":
            return self._array(schema, namespace, depth)
        if kind == "map":
            return self._map(schema, namespace, depth)
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(kind, schema, namespace, depth)
        return self._by_name(kind, namespace)

    def _by_name(self, name: str, namespace: str) -> _Type:
        if name in PRIMITIVES:
            return _primitive(name, {})
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full not in self._named:
            full = name
        if full not in self._named:
            raise Refused(SCHEMA, f"names the type {_shown(name)}, which it does not define")
        found = self._named[full]
        if found is None:
            raise Refused(SCHEMA, f"is recursive in the type {_shown(full)}")
        return _Type(found.schema["name"], found.bytes, found.free, found.height)

    def _union(self, branches: list[Any], namespace: str, depth: int) -> _Type:
        if not branches:
            raise Refused(SCHEMA, "has a union without a type")
        types = [self._type(branch, namespace, depth + 1) for branch in branches]
        free = max(branch.free for branch in types)
        return _Type([branch.schema for branch in types], 1, free, 1 + max(branch.height for branch in types))

    def _array(self, schema: Mapping[str, Any], namespace: str, depth: int) -> _Type:
        items = self._type(schema.get("items"), namespace, depth + 1)
        _check_items(items, items.bytes)
        return _Type({"type": "array", "items": items.schema}, 1, 0, _grown(items.height))

    def _map(self, schema: Mapping[str, Any], namespace: str, depth: int) -> _Type:
        values = self._type(schema.get("values"), namespace, depth + 1)
        _check_items(values, values.bytes + 1)
        return _Type({"type": "map", "values": values.schema}, 1, 0, _grown(values.height))

    def _definition(self, kind: str, schema: Mapping[str, Any], namespace: str, depth: int) -> _Type:
        name, own = schema.get("name"), schema.get("namespace", namespace)
        if not isinstance(name, str) or not name or not isinstance(own, str | None):
            raise Refused(SCHEMA, f"has a type of kind {kind} without a name")
        full = name if "." in name or not own else f"{own}.{name}"
        if full in self._named:
            raise Refused(SCHEMA, f"defines the type {_shown(full)} twice")
        number = len(self._named)  # fastavro gets names that cannot meet its own rules for names, nor each other.
        self._named[full] = None
        if kind in ("record", "error"):
            made = self._record(schema, full.rpartition(".")[0], depth)
        elif kind == "enum":
            made = _Type({"type": "enum", "symbols": _names(schema.get("symbols"))}, 1, 0)
        else:
            made = _fixed(schema)
        made.schema["name"] = _synthetic(number)
        self._named[full] = made
        return made

    def _record(self, schema: Mapping[str, Any], namespace: str, depth: int) -> _Type:
        fields = schema.get("fields")
        if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
            raise Refused(SCHEMA, "has a record without a list of fields")
        names = _names([field.get("name") for field in fields])
        types = [self._type(field.get("type"), namespace, depth + 1) for field in fields]
        rewritten = [{"name": name, "type": made.schema} for name, made in zip(names, types, strict=True)]
        size, free = sum(made.bytes for made in types), sum(made.free for made in types)
        if free > MAX_FREE:
            raise Refused(SCHEMA, f"has a record of more than {MAX_FREE} values that take no byte")
        height = _grown(max((made.height for made in types), default=0))
        return _Type({"type": "record", "fields": rewritten}, size, free or int(not size), height)


def _primitive(kind: str, schema: Mapping[str, Any]) -> _Type:
    size = PRIMITIVES[kind]
    logical = schema.get("logicalType")
    if kind in ("float", "double"):
        return _Type(_tagged(kind, "number"), size, 0)
    if (kind, logical) not in OURS:
        return _Type(kind, size, int(not size))
    if logical == "decimal":
        scale = scale_of(schema)
        return _Type(kind if scale is None else {**_tagged(kind, logical), "scale": scale}, size, 0)
    return _Type(_tagged(kind, str(logical)), size, 0)


def _fixed(schema: Mapping[str, Any]) -> _Type:
    size, logical = schema.get("size"), schema.get("logicalType")
    if type(size) is not int or not 0 <= size < 2**31:
        raise Refused(SCHEMA, "has a fixed type whose size is no integer from 0 to 2,147,483,647")
    made: dict[str, Any] = {"type": "fixed", "size": size}
    if logical == "decimal" and (scale := scale_of(schema)) is not None:
        made |= {**_tagged("fixed", logical), "scale": scale}
    elif logical == "uuid" and size == _UUID_SIZE:
        made |= _tagged("fixed", logical)
    return _Type(made, size, int(not size))


def scale_of(schema: Mapping[str, Any]) -> int | None:
    """Return a decimal's scale; None where it is none by Avro's rules, which then means plain bytes."""
    scale, precision = schema.get("scale", 0), schema.get("precision")
    usable = type(scale) is int and type(precision) is int and 0 <= scale <= min(precision, MAX_SCALE)
    return scale if usable else None


def _tagged(kind: str, tag: str) -> dict[str, Any]:
    return {"type": kind, "logicalType": f"{_TAG}{tag}"}


def reader_name(kind: str, tag: str) -> str:
    """Return the name by which fastavro finds the reader of our logical type."""
    return f"{kind}-{_TAG}{tag}"


def _check_items(items: _Type, size: int) -> None:
    if items.free > size * MAX_FREE_PER_BYTE:
        raise Refused(
            SCHEMA, "has an array or map of items that take no byte, such as null: a few bytes could mean millions"
        )


def _grown(height: int) -> int:
    if height >= MAX_HEIGHT:
        raise Refused(SCHEMA, f"nests deeper than {MAX_HEIGHT} levels")
    return height + 1


def _names(names: object) -> list[str]:
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise Refused(SCHEMA, "has a field or a symbol whose name is no text")
    if len(set(names)) != len(names):
        raise Refused(SCHEMA, "has a field or a symbol twice")
    return list(names)


def _synthetic(number: int) -> str:
    return f"T{number}"


def _shown(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
