"""Reads the records of all topics, each by its source: the service's reading, also for those who only look."""

from collections.abc import Iterable, Mapping
from typing import Final

from connector.decoding.topics import MappedTopic
from connector.decoding.version1 import check_version1, version1_source
from connector.delivery.ports import Record
from connector.events import RULES, JsonDecoder, Nulls
from connector.formats import Format, Schemas
from connector.mapping import Changes, Outcome, Unmapped, rules, unmapped_topics
from connector.mapping import Mapping as EventMapping

VERSION1_FORMATS: Final[Mapping[str, Format]] = {
    "json_schema": Format.JSON_SCHEMA,
    "avro": Format.AVRO,
    "protobuf": Format.PROTOBUF,
    "cloudevents": Format.CLOUDEVENTS,
}
"""By the value of EVENT_FORMAT; `json` is read without a mapping."""


class EventReader:
    """From a record to its outcome. `topics` are those that are not plain version 1."""

    def __init__(self, decode: JsonDecoder, topics: Mapping[str, MappedTopic], rules: str) -> None:
        """`rules` names all that decides what a record means."""
        self.decode = decode
        self.topics = topics
        self.rules = rules

    def __call__(self, record: Record) -> Outcome | None:
        """Return what the record asks for, None for a tombstone; raises `Refused` and `SchemaMissing`."""
        topic = self.topics.get(record.topic())
        if topic is not None:
            return topic(record)
        value = record.value()
        return None if value is None else Changes((self.decode(value),))


def event_reader(
    consumed: Iterable[str],
    event_format: str,
    mapping: EventMapping | None,
    *,
    nulls: Nulls,
    unmapped: Unmapped = Unmapped.REFUSE,
    schemas: Schemas | None = None,
) -> EventReader:
    """Return the reader of the consumed topics; those without a source of `mapping` hold version 1 in `event_format`.

    Raises `MissingExtra`, and ValueError when a Schema Registry is needed and `schemas` is None.
    """
    decode = JsonDecoder(nulls)
    topics: dict[str, MappedTopic] = {}
    plain = tuple(consumed)
    words = [event_format, str(RULES), nulls]
    if mapping is not None:
        plain = unmapped_topics(mapping, plain)
        words += [rules(mapping), unmapped]
        for source in mapping.sources:
            reader = MappedTopic(source, decode, nulls, schemas, unmapped=unmapped)
            topics.update(dict.fromkeys(source.topics, reader))
    inside = VERSION1_FORMATS.get(event_format)
    if inside is not None and plain:
        source = version1_source(plain, inside)
        reader = MappedTopic(source, decode, nulls, schemas, check=check_version1)
        topics.update(dict.fromkeys(plain, reader))
    return EventReader(decode, topics, " ".join(words))
