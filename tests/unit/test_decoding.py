"""From a record of any topic to its outcome: which reader it gets, and version 1 inside of other formats."""

from typing import Any

import msgspec
import pytest

from connector.decoding import EventReader, event_reader
from connector.events import Change, Nulls, Refused, Visitor
from connector.formats import Schema, SchemaMissing
from connector.mapping import Changes, Outcome, load
from tests.support import formats
from tests.support.fakes import FakeRecord, event
from tests.support.protobuf_files import classes, file, record

EVENT = {"mbox3rdPartyId": "a", "occurredAt": "2026-11-22T10:15:00Z", "profile": {"tier": "gold", "points": 120}}
CHANGE = Change(Visitor("mbox3rdPartyId", "a"), {"tier": "gold", "points": "120"}, "2026-11-22T10:15:00Z")
AVRO = {
    "type": "record",
    "name": "ProfileChange",
    "fields": [
        {"name": "mbox3rdPartyId", "type": ["null", "string"]},
        {"name": "pcId", "type": ["null", "string"]},
        {"name": "occurredAt", "type": ["null", "string"]},
        {"name": "profile", "type": {"type": "map", "values": ["null", "string", "long"]}},
    ],
}


def reader(event_format: str, *schemas: Schema, topics: tuple[str, ...] = ("t",), mapping: str = "") -> EventReader:
    """Of these topics."""
    return event_reader(
        topics,
        event_format,
        load(mapping) if mapping else None,
        nulls=Nulls.DROP,
        schemas=formats.FakeSchemas(*schemas),
    )


def only(outcome: Outcome | None) -> Change:
    """The one change of an outcome."""
    assert isinstance(outcome, Changes)
    (change,) = outcome.items
    assert isinstance(change, Change)
    return change


def avro(**fields: Any) -> bytes:
    """An event of version 1 as a registry's serializer writes it."""
    value = {"mbox3rdPartyId": None, "pcId": None, "occurredAt": None, **fields}
    return formats.framed(formats.written(AVRO, value))


def test_version_1_is_read_in_every_format() -> None:
    """EVENT_FORMAT: whatever it is written in, the event is the same."""
    text = msgspec.json.encode(EVENT)
    schema = formats.avro_schema(AVRO)
    assert only(reader("json")(FakeRecord(text, 0))) == CHANGE
    assert only(reader("json_schema")(FakeRecord(formats.framed(text), 0))) == CHANGE
    assert only(reader("avro", schema)(FakeRecord(avro(**EVENT), 0))) == CHANGE
    shape = "optional string mbox3rdPartyId = 1; optional string occurredAt = 2; map<string,string> profile = 3"
    protobuf = formats.protobuf_schema(file("e.proto", Event=shape))
    message: Any = classes(protobuf)["Event"]
    sent = message(mbox3rdPartyId="a", occurredAt=EVENT["occurredAt"], profile={"tier": "gold", "points": "120"})
    assert only(reader("protobuf", protobuf)(FakeRecord(record(sent), 0))) == CHANGE
    structured = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": EVENT}
    assert only(reader("cloudevents")(FakeRecord(msgspec.json.encode(structured), 0))) == CHANGE
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("content-type", b"application/json")]
    assert only(reader("cloudevents")(FakeRecord(text, 0, headers=headers))) == CHANGE


@pytest.mark.parametrize("event_format", ["json", "json_schema", "avro", "cloudevents"])
def test_two_identifiers_are_refused_in_every_format(event_format: str) -> None:
    """A mapping takes the first that has something; version 1 allows one alone."""
    both = {**EVENT, "pcId": "b"}
    wrapped = {"specversion": "1.0", "data": both}
    values = {
        "json": msgspec.json.encode(both),
        "json_schema": formats.framed(msgspec.json.encode(both)),
        "avro": avro(**both),
        "cloudevents": msgspec.json.encode(wrapped),
    }
    read = reader(event_format, formats.avro_schema(AVRO))
    with pytest.raises(Refused, match="must not both be given"):
        read(FakeRecord(values[event_format], 0))


@pytest.mark.parametrize("event_format", ["json", "json_schema", "cloudevents"])
def test_a_priority_is_read_in_every_format(event_format: str) -> None:
    """Version 1 has it wherever it stands, and refuses what is none."""

    def value(priority: object) -> bytes:
        told = {**EVENT, "priority": priority}
        if event_format == "cloudevents":
            return msgspec.json.encode({"specversion": "1.0", "data": told})
        return msgspec.json.encode(told) if event_format == "json" else formats.framed(msgspec.json.encode(told))

    read = reader(event_format)
    for word in ("high", "normal", "low"):
        assert only(read(FakeRecord(value(word), 0))).priority.word == word
    assert only(read(FakeRecord(value(None), 0))).priority.word == "normal"
    with pytest.raises(Refused, match="priority must be one of high, normal, low"):
        read(FakeRecord(value("urgent"), 0))


def test_each_topic_has_its_own_reader() -> None:
    """Topics with a source are mapped; the others hold version 1 in EVENT_FORMAT."""
    mapping = "{version: 1, sources: [{topics: [m], format: json, visitor: {pcId: id}, attributes: {x: y}}]}"
    read = reader("json", topics=("m", "t"), mapping=mapping)
    assert only(read(FakeRecord(b'{"id": "v", "y": 1}', 0, topic="m"))) == Change(Visitor("pcId", "v"), {"x": "1"})
    assert only(read(FakeRecord(event("v", y=2), 0, topic="t"))).attributes == {"y": "2"}
    assert set(read.topics) == {"m"}
    assert set(reader("json_schema", topics=("m", "t"), mapping=mapping).topics) == {"m", "t"}


def test_a_tombstone_asks_for_nothing_in_every_format() -> None:
    """It is skipped."""
    for event_format in ("json", "json_schema", "avro", "cloudevents"):
        assert reader(event_format)(FakeRecord(None, 0)) is None


def test_a_refusal_names_source_path_and_schema_and_no_value() -> None:
    """48 of the pitfalls: it is read by people who may not see the payload, in headers and logs."""
    mapping = "{version: 1, sources: [{topics: [t], format: avro, visitor: {pcId: id}, attributes: {x: y}}]}"
    schema = formats.record_of(id="string", y={"type": "array", "items": "string"})
    read = reader("avro", formats.avro_schema(schema, number=77), mapping=mapping)
    value = formats.framed(formats.written(schema, {"id": "SECRET", "y": ["HIDDEN"]}), 77)
    with pytest.raises(Refused) as refused:
        read(FakeRecord(value, 0, key=b"SECRET", headers=[("h", b"SECRET")]))
    text = str(refused.value)
    assert text.startswith("y must ")
    assert text.endswith("(mapping of t, schema 77)")
    assert "SECRET" not in text
    assert "HIDDEN" not in text


def test_a_refused_item_of_a_list_names_its_schema_too() -> None:
    """Each item is refused by itself, and says the same as a record would."""
    mapping = (
        "{version: 1, sources: [{topics: [t], format: avro, each: rows, visitor: {pcId: id}, attributes: {x: y}}]}"
    )
    row = formats.record_of(id="string", y="bytes")
    schema = formats.record_of(rows={"type": "array", "items": {**row, "name": "Row"}})
    read = reader("avro", formats.avro_schema(schema, number=78), mapping=mapping)
    outcome = read(FakeRecord(formats.framed(formats.written(schema, {"rows": [{"id": "a", "y": b"1"}]}), 78), 0))
    assert isinstance(outcome, Changes)
    (item,) = outcome.items
    assert isinstance(item, Refused)
    assert str(item).endswith("(mapping of t, schema 78)")


def test_a_missing_schema_is_no_refusal() -> None:
    """The record is to be read again, and is nobody's dead letter."""
    with pytest.raises(SchemaMissing):
        reader("avro")(FakeRecord(avro(**EVENT), 0))
