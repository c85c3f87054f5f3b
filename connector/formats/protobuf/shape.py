"""What a Protobuf schema says can stand where."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from connector.formats.protobuf.decode import load_file
from connector.formats.protobuf.known import PREFIX
from connector.formats.schema import Schema
from connector.formats.shape import Shape, one_of

_ANYTHING: Final = frozenset({"Struct", "Value"})
_TEXTS: Final = frozenset({"Timestamp", "Duration"})
_BYTES: Final = "bytes"


def protobuf_shape(schema: Schema) -> Shape:
    """Give what a message can have; of several types of message in the file, what any can have.

    `Refused` says why no message can be read by it.
    """
    shapes = _Shapes()
    file, _ = load_file(schema)
    return one_of([shapes.message(descriptor) for descriptor in file.message_types_by_name.values()])


class _Shapes:
    """One shape a type, so that recursive types end."""

    def __init__(self) -> None:
        self._known: dict[str, Shape] = {}

    def message(self, descriptor: Any) -> Shape:
        known = self._known.get(descriptor.full_name)
        if known is None:
            fields: dict[str, Shape] = {}
            known = self._known[descriptor.full_name] = Shape(f"message {descriptor.full_name}", fields)
            fields.update((field.name, self._field(field)) for field in descriptor.fields)
        return known

    def _field(self, field: Any) -> Shape:
        one = self._value(field)
        if not field.is_repeated:
            return one
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            values = self._value(entry.fields_by_name["value"])
            return Shape(f"map of {values.type}", values=values)
        return Shape(f"repeated {one.type}", items=one)

    def _value(self, field: Any) -> Shape:
        if field.enum_type is not None:
            return Shape(f"enum {field.enum_type.full_name}")
        descriptor = field.message_type
        if descriptor is None:
            return Shape(FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower())
        if descriptor.file.name.startswith(PREFIX):
            return self._well_known(descriptor)
        # A Decimal of Confluent's is read as its text; its fields do no harm here.
        return self.message(descriptor)

    def _well_known(self, descriptor: Any) -> Shape:
        name = descriptor.name
        if name in _ANYTHING:
            return Shape(name, is_open=True)
        if name == "ListValue":
            return Shape(name, items=Shape("Value", is_open=True))
        if name == "Any":
            fields: Mapping[str, Shape] = {"@type": Shape("string"), "value": Shape(_BYTES)}
            return Shape(name, fields)
        if name in _TEXTS or name.endswith("Value"):
            return Shape(name)
        return self.message(descriptor)
