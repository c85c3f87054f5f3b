"""Reads the records of topics that are not plain version 1; decides nothing but which reader a record needs."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from connector.delivery.dead_letter import ITEM_HEADER, MADE_HEADER
from connector.delivery.ports import Record
from connector.events import JsonDecoder, Nulls
from connector.events.change import Refused
from connector.formats import Format, Headers, Node, Schemas, find_frame, make_reader, read_plain_json
from connector.formats.document import VALUE, RawHeaders, first_header
from connector.mapping import NO_VISITOR, Changes, JsonMapper, Outcome, Skip, Source, Unmapped, compile_source
from connector.mapping.paths import Root

REPLAYED: Final = ""
"""The condition of an item that is skipped because its record is replayed for another one; it is counted by no name."""
_NULL: Final = b"null"
_LONGEST_NULL: Final = 16
"""A JSON null with some white space around it."""
_NO_HEADERS: Final = Headers(None)


class MappedTopic:
    """Reads the records of one source. Holds no state but the schemas that it met."""

    def __init__(
        self,
        source: Source,
        decode: JsonDecoder,
        nulls: Nulls,
        schemas: Schemas | None,
        *,
        unmapped: Unmapped = Unmapped.REFUSE,
        check: Callable[[Node], None] | None = None,
    ) -> None:
        """`decode` reads version 1; `check` refuses a document by a rule that a mapping has no words for.

        Raises `MissingExtra`, and ValueError when a Schema Registry is needed.
        """
        self.name = source.name
        self.format = source.format
        self.skips = (*map(str, source.when), *([NO_VISITOR] if unmapped is Unmapped.SKIP else []))
        """What a skip may name: the texts of its conditions."""
        self.is_list = source.each is not None
        """A record may carry several changes."""
        self._decode = decode
        self._reader = make_reader(source.format, schemas, key=source.key, zero_values=source.zero_values)
        self._map = compile_source(source, nulls, unmapped)
        self._map_json = JsonMapper(self._map, read_plain_json) if source.format is Format.JSON else None
        self._check = check
        self._uses_headers = any(path.root is Root.HEADERS for path, _ in source.uses())

    def __call__(self, record: Record) -> Outcome | None:
        """Return what the record asks for, None for a tombstone or a null.

        Raises `Refused` when the record can never be read, `SchemaMissing` when it is to be read again later. A record
        that the connector wrote itself is read as what its headers say.
        """
        headers = record.headers()
        if not headers:
            return self._read(record, headers)
        if first_header(headers, MADE_HEADER) is not None:
            value = record.value()
            return None if value is None else Changes((self._decode(value),))
        outcome = self._read(record, headers)
        wanted = first_header(headers, ITEM_HEADER)
        if wanted is None or not isinstance(outcome, Changes):
            return outcome
        return Changes(
            tuple(item if str(at).encode() == wanted else Skip(REPLAYED) for at, item in enumerate(outcome.items))
        )

    def _read(self, record: Record, headers: RawHeaders) -> Outcome | None:
        topic, written = record.topic(), record.timestamp()[1]
        if self._map_json is not None:
            value = record.value()
            if value is None or (len(value) <= _LONGEST_NULL and value.strip() == _NULL):
                return None
            used = Headers(headers) if headers and self._uses_headers else _NO_HEADERS
            return self._map_json(value, self._reader.read_key(record), used, topic, written)
        document = self._reader.read(record)
        if document is None:
            return None
        if self._check is not None:
            self._check(document.value)
        read = document.value, document.key, document.headers, topic, written
        try:
            outcome = self._map(*read)
        except Refused:
            return self._map(*read, _schema_of(record, headers))  # Again: it raises again, and names the schema.
        if self.is_list and isinstance(outcome, Changes) and any(isinstance(item, Refused) for item in outcome.items):
            return self._map(*read, _schema_of(record, headers))
        return outcome


def _schema_of(record: Record, headers: RawHeaders) -> str | None:
    """The id of the schema that the value names, as a text; None where it names none."""
    with suppress(Refused):
        found = find_frame(VALUE, record.value() or b"", headers)
        return None if found is None else str(found[0])
    return None
