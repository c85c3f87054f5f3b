"""Protobuf behind a registry's frame: which message it is, and what it says."""

from collections.abc import Callable
from typing import Final

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from connector.events.change import Refused
from connector.formats.document import SCHEMA, Node
from connector.formats.protobuf.compile import compile_schema, is_binary
from connector.formats.protobuf.messages import MAX_MESSAGES, MessageReader, TooManyMessages, check_names
from connector.formats.schema import Schema

_MAX_INDEXES: Final = 100
_FIRST: Final = (0,)
_ParseAndRead = tuple[Callable[[bytes], Message], Callable[[Message], Node]]


def parse(schema: Schema, *, zero_values: bool = False) -> "ProtobufDecoder":
    """Return what reads messages of the schema; `Refused` says why it cannot be used.

    Text must have been compiled before (`Schema.descriptors`): nothing here starts a process.
    """
    return ProtobufDecoder(schema.id.value, *load_file(schema), zero_values=zero_values)


def load_file(schema: Schema) -> tuple[FileDescriptor, list[DescriptorProto]]:
    """Return the schema's file, and its messages in their order; `Refused` as of `parse`."""
    descriptors = schema.descriptors
    if descriptors is None:
        if not is_binary(schema):
            raise Refused(SCHEMA, "was not compiled: this is a fault of the connector")
        descriptors = compile_schema(schema)
    try:
        files = FileDescriptorSet.FromString(descriptors)
        pool = DescriptorPool()
        for file in files.file:
            pool.Add(file)
        main = pool.FindFileByName(files.file[-1].name)
    except Exception as error:  # the pool raises TypeError, KeyError and others for faults of a schema
        raise Refused(SCHEMA, "is not valid Protobuf") from error
    return main, list(files.file[-1].message_type)


class ProtobufDecoder:
    """Reads messages that were written by one schema."""

    __slots__ = ("_file", "_id", "_known", "_messages", "_reader")

    def __init__(
        self, schema_id: int | str, file: FileDescriptor, messages: list[DescriptorProto], *, zero_values: bool
    ) -> None:
        """`messages` are those of `file` in their order, which a message's index counts by."""
        self._id = schema_id
        self._file = file
        self._messages = messages
        self._reader = MessageReader(zero_values=zero_values)
        self._known: dict[tuple[int, ...], _ParseAndRead] = {}
        for descriptor in file.message_types_by_name.values():
            check_names(descriptor)

    def __call__(self, root: str, data: bytes, start: int, behind: bytes | None) -> Node:
        """Return the message as a document; `Refused` when it is not one of this schema."""
        if behind is not None:
            indexes, _ = _indexes(root, behind, 0)
        elif data[start : start + 1] == b"\x00":
            indexes, start = _FIRST, start + 1
        else:
            indexes, start = _indexes(root, data, start)
        parse_and_read = self._known.get(indexes) or self._add(root, indexes)
        self._reader.begin()
        try:
            return parse_and_read[1](parse_and_read[0](data[start:]))
        except (DecodeError, UnicodeDecodeError):
            raise Refused(root, f"must be Protobuf by schema {self._id}, and is not") from None
        except OverflowError:
            found = "has a time outside the years 1 to 9999, or a duration of mixed signs"
            raise Refused(root, f"must be Protobuf by schema {self._id}, and {found}") from None
        except TooManyMessages:
            raise Refused(root, f"must not hold more than {MAX_MESSAGES:,} messages and entries of maps") from None
        except (RecursionError, MemoryError):
            raise Refused(root, "must nest less deep, and take less memory") from None

    def _add(self, root: str, indexes: tuple[int, ...]) -> _ParseAndRead:
        messages, descriptor = self._messages, None
        for index in indexes:
            message = _message_at(messages, index)
            if message is None:
                raise Refused(root, f"must name a message of schema {self._id}, and its index is out of range")
            around = descriptor.nested_types_by_name if descriptor else self._file.message_types_by_name
            descriptor = around[message.name]
            messages = list(message.nested_type)
        assert isinstance(descriptor, Descriptor)  # noqa: S101 - there is always one index
        found = self._known[indexes] = (GetMessageClass(descriptor).FromString, self._reader.type_of(descriptor).read)
        return found


def _message_at(messages: list[DescriptorProto], index: int) -> DescriptorProto | None:
    """Return the message that an index means; None when there is none.

    Java leaves the entries of maps out of its count, other languages do not. No record is such an entry, so an index
    that hits one was counted by Java.
    """
    if not 0 <= index < len(messages):
        return None
    if not messages[index].options.map_entry:
        return messages[index]
    counted = [message for message in messages if not message.options.map_entry]
    return counted[index] if index < len(counted) else None


def _indexes(root: str, data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the way to the message, from the file's messages inwards, and where it ends. A zero stands for [0]."""
    if data[at : at + 1] == b"\x00":
        return _FIRST, at + 1
    count, at = _zigzag(root, data, at)
    if not 0 < count <= _MAX_INDEXES:
        raise _wrong_index(root)
    found = []
    for _ in range(count):
        index, at = _zigzag(root, data, at)
        found.append(index)
    return tuple(found), at


def _zigzag(root: str, data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for byte in data[at : at + 5]:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that another byte follows
            return (number >> 1) ^ -(number & 1), at
    raise _wrong_index(root)


def _wrong_index(root: str) -> Refused:
    return Refused(root, "must have a message index behind its schema id")
