"""How a record names its schema: in front of the value, or in a header.

In front: byte 0 and a number of 4 bytes, or byte 1 and a GUID of 16. In the header `__value_schema_id` (for a key
`__key_schema_id`): the same bytes, and the value stands alone. For Protobuf the message's index follows the id.
"""

import uuid
from typing import Final

from connector.events.change import Refused
from connector.formats.document import KEY, VALUE, RawHeaders, first_header, refused_header

HEADERS: Final = {VALUE: "__value_schema_id", KEY: "__key_schema_id"}
_MAGIC: Final = (b"\x00", b"\x01")
NUMBER_END: Final = 5
_GUID_END: Final = 17
_GLUE: Final = 3
_LOOKS: Final = (
    (b"{", "looks like JSON"),
    (b"[", "looks like JSON"),
    (b"Obj\x01", "looks like an Avro file"),
    (b"\xc3\x01", "looks like Avro's single-object encoding"),
    (b"\x03\x00", "looks like AWS Glue's serializer"),
    (b"\x03\x05", "looks like AWS Glue's serializer, compressed"),
)


Frame = tuple[int | str, int, bytes | None]
"""A schema's name, where what it describes begins in the data, and what follows the id in the header.

The last is None when the id stands in front of the data. A plain tuple: one is made for each record.
"""


def find_frame(root: str, data: bytes, headers: RawHeaders) -> Frame | None:
    """Return the frame; None when neither header nor first byte says that there is one.

    The header wins over a value that happens to begin with 0. `root` is `$value` or `$key`.
    """
    if headers:
        name = HEADERS[root]
        header = first_header(headers, name)
        if header is not None:
            schema, end = _schema_id(header)
            if schema is None:
                raise refused_header(name, "must be byte 0 and a schema id of 4 bytes, or byte 1 and a GUID of 16")
            return schema, 0, header[end:]
    if data[:1] not in _MAGIC:
        return None
    schema, end = _schema_id(data)
    if schema is None:
        raise _unframed(root, data)
    return schema, end, None


def frame(root: str, data: bytes, headers: RawHeaders) -> Frame:
    """Return the frame; `Refused` says what it looks like where there is none."""
    found = find_frame(root, data, headers)
    if found is None:
        raise _unframed(root, data)
    return found


def _schema_id(data: bytes) -> tuple[int | str | None, int]:
    """Return the id at the begin, and where it ends; None where there is none. No registry has an id 0."""
    if len(data) >= NUMBER_END:
        if data[0] == 0:
            return int.from_bytes(data[1:NUMBER_END], "big") or None, NUMBER_END
        if data[0] == 1 and len(data) >= _GUID_END:
            return str(uuid.UUID(bytes=data[1:_GUID_END])), _GUID_END
    return None, 0


def _unframed(root: str, data: bytes) -> Refused:
    rule = "must begin with a registry's schema id, or have it in a header"
    if not data:
        return Refused(root, f"{rule}, and is empty")
    if data[:1] in _MAGIC:
        if len(data) >= NUMBER_END and data[0] == 0:
            return Refused(root, f"{rule}, and has id 0: it looks like the 8-byte ids of Apicurio 2's own serializers")
        return Refused(root, f"{rule}, and ends within it, after {len(data)} bytes")
    for begin, looks in _LOOKS:
        if data.startswith(begin):
            return Refused(root, f"{rule}, and {looks}")
    return Refused(root, f"{rule}, and begins with byte {data[0]}")
