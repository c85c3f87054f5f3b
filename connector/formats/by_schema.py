"""Reads what a registry's schema describes; each schema is parsed once."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from connector.events.change import Refused
from connector.formats.document import SCHEMA, Node, RawHeaders
from connector.formats.framing import NUMBER_END, Frame, find_frame, frame
from connector.formats.json_tree import read_json
from connector.formats.schema import Schema, SchemaId, SchemaKind, Schemas

MAX_SCHEMA_CHARS: Final = 500_000
"""Characters of a schema with its dependencies: to parse more would hold the event loop for too long."""
MAX_PARSED: Final = 1_000


Decoder = Callable[[str, bytes, int, bytes | None], Node]
"""Reads `data[start:]`, with what the frame has behind its id; `Refused` names the root. One a schema."""
Parse = Callable[[Schema], Decoder]


class SchemaDecoders:
    """Reads keys, or values, by the schemas that their frames name.

    Keeps the decoders of the schemas that were met; of more than a thousand the one unused for longest is dropped. A
    schema that cannot be used stays so: the verdict is kept like a decoder.
    """

    def __init__(
        self, root: str, schemas: Schemas | None, parsers: Mapping[SchemaKind, Parse], reasons: Mapping[SchemaKind, str]
    ) -> None:
        """`root` is `$value` or `$key`; `reasons` says for a kind without a parser why there is none."""
        self._root = root
        self._schemas = schemas
        self._parsers = parsers
        self._reasons = reasons
        self._known: OrderedDict[int | str, Decoder] = OrderedDict()
        # Most records begin as the one before: five bytes compared stand for the whole look-up.
        self._last: Decoder = _refuser("is none")
        self._last_begin: bytes | None = None

    def __call__(self, data: bytes, headers: RawHeaders) -> Node:
        """Return the document; `SchemaMissing`, or `Refused` with the schema's id or with what is no frame."""
        if not headers and data[:NUMBER_END] == self._last_begin:
            return self._last(self._root, data, NUMBER_END, None)
        return self._read(data, frame(self._root, data, headers))

    def find(self, data: bytes, headers: RawHeaders) -> tuple[bool, Node]:
        """Return whether there is a frame at all, and what it frames."""
        found = find_frame(self._root, data, headers)
        return (False, None) if found is None else (True, self._read(data, found))

    def _read(self, data: bytes, found: Frame) -> Node:
        name, start, behind = found
        decoder = self._find(name)
        if type(name) is int and behind is None:
            self._last, self._last_begin = decoder, data[:NUMBER_END]
        return decoder(self._root, data, start, behind)

    def _find(self, name: int | str) -> Decoder:
        decoder = self._known.get(name)
        if decoder is None:
            return self._add(name)
        self._known.move_to_end(name)
        return decoder

    def _add(self, name: int | str) -> Decoder:
        if self._schemas is None:
            raise Refused(self._root, "has a registry's schema id, and no Schema Registry is configured")
        schema = self._get(self._schemas, name)
        try:
            decoder = self._parse(schema)
        except Refused as refused:
            decoder = _refuser(_of_schema(name, refused))
        self._known[name] = decoder
        if len(self._known) > MAX_PARSED:
            self._known.popitem(last=False)
        return decoder

    def _get(self, schemas: Schemas, name: int | str) -> Schema:
        """Return the schema; a refusal of the registry is named as ours are, and not kept: it keeps its own."""
        try:
            return schemas.get(SchemaId(name))
        except Refused as refused:
            if refused.field != SCHEMA:
                raise
            raise Refused(self._root, _of_schema(name, refused)) from refused

    def _parse(self, schema: Schema) -> Decoder:
        if len(schema.text) + sum(len(dependency.text) for dependency in schema.dependencies) > MAX_SCHEMA_CHARS:
            raise Refused(SCHEMA, f"is longer than {MAX_SCHEMA_CHARS:,} characters")
        parse = self._parsers.get(schema.kind)
        if parse is None:
            raise Refused(SCHEMA, f"is {schema.kind}: {self._reasons[schema.kind]}")
        return parse(schema)


def _of_schema(name: int | str, refused: Refused) -> str:
    return f"has schema {name}, which {refused.reason}"


def _refuser(reason: str) -> Decoder:
    """Refuse whatever was written by a schema that cannot be used."""

    def refuse(root: str, *_: object) -> Node:
        raise Refused(root, reason)

    return refuse


def parse_json_schema(_: Schema) -> Decoder:
    """Return what reads JSON. Reading needs no validation, so no `$ref` is ever looked at, let alone fetched."""
    return _decode_json


def _decode_json(root: str, data: bytes, start: int, _behind: bytes | None) -> Node:
    return read_json(root, data[start:])
