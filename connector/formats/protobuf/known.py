"""The files that each Protobuf schema may import and no registry holds: Google's, and those of Confluent's registry."""

from typing import Final

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    text_format,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

PREFIX: Final = "google/protobuf/"

_MODULES: Final = (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)

_ANNOTATED: Final = ("File", "Message", "Field", "Enum", "EnumValue")
_META: Final = """
name: "confluent/meta.proto" package: "confluent" syntax: "proto3" dependency: "google/protobuf/descriptor.proto"
message_type {
  name: "Meta"
  field { name: "doc" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field {
    name: "params" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".confluent.Meta.ParamsEntry"
  }
  field { name: "tags" number: 3 label: LABEL_REPEATED type: TYPE_STRING }
  field { name: "rules" number: 4 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".confluent.Rule" }
  nested_type {
    name: "ParamsEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
  }
}
message_type {
  name: "Rule"
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "doc" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "expr" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "sql" number: 4 label: LABEL_OPTIONAL type: TYPE_STRING }
}
"""
_DECIMAL: Final = """
name: "confluent/type/decimal.proto" package: "confluent.type" syntax: "proto3"
message_type {
  name: "Decimal"
  field { name: "value" number: 1 label: LABEL_OPTIONAL type: TYPE_BYTES }
  field { name: "precision" number: 2 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "scale" number: 3 label: LABEL_OPTIONAL type: TYPE_INT32 }
}
"""
DECIMAL: Final = "confluent/type/decimal.proto"


def _meta() -> FileDescriptorProto:
    """Return what tags and documents a schema's parts; it takes part in no record."""
    file = text_format.Parse(_META, FileDescriptorProto())
    for part in _ANNOTATED:
        name = "enum_value" if part == "EnumValue" else part.lower()
        made = file.extension.add(name=f"{name}_meta", number=1088, extendee=f".google.protobuf.{part}Options")
        made.label, made.type = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_MESSAGE
        made.type_name = ".confluent.Meta"
    return file


_CONFLUENT: Final = (_meta(), text_format.Parse(_DECIMAL, FileDescriptorProto()))
KNOWN: Final[dict[str, FileDescriptorProto]] = {
    **{module.DESCRIPTOR.name: FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb) for module in _MODULES},
    **{file.name: file for file in _CONFLUENT},
}
