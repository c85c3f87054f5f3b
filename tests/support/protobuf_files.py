"""Protobuf files from a few lines, without protoc: `file("a.proto", P="string id = 1; optional int64 points = 2")`."""

import re
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from connector.formats import Schema
from connector.formats.protobuf import compile_schema
from tests.support.formats import framed

_FIELD: Final = re.compile(r"(?:(optional|repeated|oneof) )?(\S+) (\w+) = (\d+)(?: default (\S+))?")
_SCALARS: Final = {name[5:].lower(): number for name, number in FieldDescriptorProto.Type.items()}


def file(
    name: str, *imports: str, syntax: str = "proto3", enums: dict[str, dict[str, int]] | None = None, **messages: str
) -> FileDescriptorProto:
    """Return a file; a message named `Outer__Inner` stands in `Outer`, and `map` is a map from text to a type."""
    made = FileDescriptorProto(name=name, syntax=syntax, package="t", dependency=imports)
    for enum_name, values in (enums or {}).items():
        enum = made.enum_type.add(name=enum_name)
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    by_name: dict[str, DescriptorProto] = {}
    for path, fields in messages.items():
        outer, _, inner = path.rpartition("__")
        parent = by_name[outer].nested_type if outer else made.message_type
        message = by_name[path] = parent.add(name=inner)
        for line in filter(None, (line.strip() for line in fields.split(";"))):
            _add(message, line, made)
    return made


def _add(message: DescriptorProto, line: str, made: FileDescriptorProto) -> None:
    found = _FIELD.fullmatch(line)
    assert found is not None, line
    label, kind, name, number, default = found.groups()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("map<"):
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        key_kind, value_kind = kind[4:-1].split(",")
        _add(entry, f"{key_kind} key = 1", made)
        _add(entry, f"{value_kind} value = 2", made)
        field.label = FieldDescriptorProto.LABEL_REPEATED
        field.type_name = entry.name
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        return
    if label == "repeated":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    elif label == "oneof" or (label == "optional" and made.syntax == "proto3"):
        _put_in_oneof(message, field, is_own=label == "optional")
    if default is not None:
        field.default_value = default
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = f".{kind}" if "." in kind else f".t.{kind}"
        is_enum = any(enum.name == kind for enum in made.enum_type)
        field.type = FieldDescriptorProto.TYPE_ENUM if is_enum else FieldDescriptorProto.TYPE_MESSAGE


def _put_in_oneof(message: DescriptorProto, field: FieldDescriptorProto, *, is_own: bool) -> None:
    name = f"_{field.name}" if is_own else "choice"
    names = [each.name for each in message.oneof_decl]
    if name not in names:
        message.oneof_decl.add(name=name)
        names.append(name)
    field.oneof_index = names.index(name)
    field.proto3_optional = is_own


def classes(schema: Schema) -> dict[str, type[Message]]:
    """Return the classes of the schema's own file, to write with."""
    pool = DescriptorPool()
    files = FileDescriptorSet.FromString(schema.descriptors or compile_schema(schema)).file
    for each in files:
        pool.Add(each)
    return {
        name: GetMessageClass(descriptor)
        for name, descriptor in pool.FindFileByName(files[-1].name).message_types_by_name.items()
    }


def record(message: Any, index: bytes = b"\x00") -> bytes:
    """Return a message as a record's value, behind the schema's number and the message's index."""
    data: bytes = message.SerializeToString()
    return framed(index + data)
