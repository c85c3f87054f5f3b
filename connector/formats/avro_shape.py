"""What an Avro schema says can stand where; fastavro, which is an extra, is not needed for that."""

from collections.abc import Mapping
from typing import Any, Final

from connector.formats.avro_schema import OURS, PRIMITIVES, Rewriter, read_schema, scale_of
from connector.formats.schema import Schema
from connector.formats.shape import Shape, one_of

_CONNECT: Final = {
    "io.debezium.time.Date": "epoch-days",
    "io.debezium.time.Timestamp": "epoch-ms",
    "io.debezium.time.MicroTimestamp": "epoch-us",
    "io.debezium.time.NanoTimestamp": "epoch-ns",
    "org.apache.kafka.connect.data.Date": "epoch-days",
    "org.apache.kafka.connect.data.Timestamp": "epoch-ms",
}
"""Names that Connect gives to plain numbers, and the conversion of a mapping that reads them."""
_NUMBERS: Final = frozenset({"int", "long", "float", "double", "bytes"})


def avro_shape(schema: Schema) -> Shape:
    """Give what a value can have; `Refused` says why no value can be read by it."""
    rewriter, shapes = Rewriter(), _Shapes()
    for dependency in schema.dependencies:
        referred: Any = read_schema(dependency.text)
        rewriter.rewrite(referred)
        shapes.shape(referred, "")
    read: Any = read_schema(schema.text)
    rewriter.rewrite(read)
    return shapes.shape(read, "")


class _Shapes:
    """Goes through schemas that the `Rewriter` took: so it ends, and every name is known."""

    def __init__(self) -> None:
        self._named: dict[str, Shape] = {}

    def shape(self, schema: Any, namespace: str) -> Shape:
        if isinstance(schema, str):
            return self._by_name(schema, namespace)
        if isinstance(schema, list):
            return one_of([self.shape(branch, namespace) for branch in schema])
        kind = schema.get("type")
        return self._of_kind(kind, schema, namespace) if isinstance(kind, str) else self.shape(kind, namespace)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], namespace: str) -> Shape:
        if kind in PRIMITIVES:
            return _scalar(kind, kind, schema)
        if kind == "array":
            items = self.shape(schema["items"], namespace)
            return Shape(f"array of {items.type}", items=items)
        if kind == "map":
            values = self.shape(schema["values"], namespace)
            return Shape(f"map of {values.type}", values=values)
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(kind, schema, namespace)
        return self._by_name(kind, namespace)

    def _by_name(self, name: str, namespace: str) -> Shape:
        if name in PRIMITIVES:
            return Shape(name)
        return self._named.get(f"{namespace}.{name}") or self._named[name]

    def _definition(self, kind: str, schema: Mapping[str, Any], namespace: str) -> Shape:
        name, own = schema["name"], schema.get("namespace", namespace)
        full = name if "." in name or not own else f"{own}.{name}"
        if kind == "enum":
            made = Shape(f"enum {full}")
        elif kind == "fixed":
            made = _scalar(kind, f"fixed {full}", schema)
        else:
            inside = full.rpartition(".")[0]
            fields = {field["name"]: self.shape(field["type"], inside) for field in schema["fields"]}
            made = Shape(f"record {full}", fields)
        self._named[full] = made
        return made


def _scalar(kind: str, shown: str, schema: Mapping[str, Any]) -> Shape:
    """Say what the value is read as, and where that is less than the schema means."""
    logical, name = schema.get("logicalType"), schema.get("connect.name")
    if logical == "decimal" and (scale := scale_of(schema)) is not None:
        return Shape(f"{shown} (decimal, scale {scale})")
    if (kind, logical) in OURS and logical != "decimal":
        return Shape(f"{shown} ({logical})")
    if isinstance(name, str) and kind in _NUMBERS:
        return Shape(shown, note=f"{name}, which is read as the bare {kind}; {_conversion(name)}")
    if isinstance(logical, str) and kind in _NUMBERS:
        return Shape(shown, note=f"logicalType {logical} is not known here: it is read as the bare {kind}")
    return Shape(shown)


def _conversion(name: str) -> str:
    form = _CONNECT.get(name)
    return f"a mapping reads it with as: {form}" if form else "a mapping has no conversion for it"
