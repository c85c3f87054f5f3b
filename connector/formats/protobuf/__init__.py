"""Protobuf by a registry's schema; loaded only where it is needed, for protobuf and protoc are an extra."""

from connector.formats.protobuf.compile import compile_schema
from connector.formats.protobuf.decode import ProtobufDecoder, parse
from connector.formats.protobuf.shape import protobuf_shape

__all__ = ["ProtobufDecoder", "compile_schema", "parse", "protobuf_shape"]
