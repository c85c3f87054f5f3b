"""Reads what a registry's schema describes; each schema is parsed once."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from connector.events.change import Refused
from connector.formats.document import Node
from connector.formats.framing import Frame
from connector.formats.json_tree import read_json
from connector.formats.schema import Schema, SchemaId, SchemaKind, Schemas

MAX_SCHEMA_CHARS: Final = 1_000_000
"""Characters of a schema with its dependencies: to parse more would hold the event loop for too long."""
MAX_PARSED: Final = 1_000


class Decoder(Protocol):
    """Reads values of one schema."""

    def __call__(self, root: str, frame: Frame) -> Node:
        """Return the value as a document; `Refused` names `root`."""
        ...


Parse = Callable[[Schema], Decoder]


class SchemaDecoders:
    """The decoders of the schemas that were met; of more than a thousand the one unused for longest is dropped.

    A schema that cannot be used stays so: the verdict is kept like a decoder.
    """

    def __init__(
        self, schemas: Schemas, parsers: Mapping[SchemaKind, Parse], reasons: Mapping[SchemaKind, str]
    ) -> None:
        """`reasons` says for a kind without a parser why there is none, behind "which is …"."""
        self._schemas = schemas
        self._parsers = parsers
        self._reasons = reasons
        self._known: OrderedDict[int | str, Decoder | str] = OrderedDict()

    def __call__(self, root: str, frame: Frame) -> Node:
        """Return the value as a document; `SchemaMissing`, or `Refused` with the schema's id."""
        decoder = self._known.get(frame.schema)
        if decoder is None:
            decoder = self._add(frame.schema)
        else:
            self._known.move_to_end(frame.schema)
        if isinstance(decoder, str):
            raise Refused(root, f"has schema {frame.schema}, which {decoder}")
        return decoder(root, frame)

    def _add(self, name: int | str) -> Decoder | str:
        schema = self._schemas.get(SchemaId(name))
        try:
            decoder: Decoder | str = self._parse(schema)
        except Refused as refused:
            decoder = refused.reason
        self._known[name] = decoder
        if len(self._known) > MAX_PARSED:
            self._known.popitem(last=False)
        return decoder

    def _parse(self, schema: Schema) -> Decoder | str:
        if len(schema.text) + sum(len(dependency.text) for dependency in schema.dependencies) > MAX_SCHEMA_CHARS:
            return f"is longer than {MAX_SCHEMA_CHARS:,} characters"
        parse = self._parsers.get(schema.kind)
        if parse is None:
            return f"is {schema.kind}: {self._reasons[schema.kind]}"
        return parse(schema)


def parse_json_schema(_: Schema) -> Decoder:
    """Return what reads JSON. Reading needs no validation, so no `$ref` is ever looked at, let alone fetched."""
    return _decode_json


def _decode_json(root: str, frame: Frame) -> Node:
    return read_json(root, frame.data[frame.start :])
