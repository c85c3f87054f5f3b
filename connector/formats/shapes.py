"""The shape of any schema, by what is installed."""

from connector.formats.avro_shape import avro_shape
from connector.formats.schema import Schema, SchemaKind
from connector.formats.shape import Shape


def shape_of(schema: Schema) -> Shape | None:
    """Give what a schema allows, None where that is not known: of JSON Schema, or when an extra is not installed.

    `Refused` says why no value can be read by it.
    """
    if schema.kind is SchemaKind.AVRO:
        return avro_shape(schema)
    if schema.kind is SchemaKind.PROTOBUF:
        try:
            from connector.formats.protobuf import protobuf_shape  # noqa: PLC0415 - an extra, which need not be there
        except ImportError:
            return None
        return protobuf_shape(schema)
    return None
