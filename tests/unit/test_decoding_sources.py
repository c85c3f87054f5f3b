"""Sources of a mapping over records of their formats: what neither a reader nor the compiler shows by itself."""

from collections.abc import Sequence
from typing import Any

import pytest

from connector.decoding import EventReader, event_reader
from connector.events import Change, Nulls, Refused
from connector.formats import Schema
from connector.mapping import Changes, load
from tests.support import formats
from tests.support.fakes import FakeRecord
from tests.support.protobuf_files import classes, file, record


def reader(source: str, *schemas: Schema) -> EventReader:
    """Of topic t by these fields of a source."""
    mapping = load(f"{{version: 1, sources: [{{topics: [t], visitor: {{pcId: id}}, {source}}}]}}")
    return event_reader(["t"], "json", mapping, nulls=Nulls.DROP, schemas=formats.FakeSchemas(*schemas))


def mapped(
    read: EventReader, value: bytes, key: bytes | None = None, headers: Sequence[tuple[str, bytes | None]] | None = None
) -> Change:
    """The one change of a record."""
    outcome = read(FakeRecord(value, 0, key=key, headers=headers))
    assert isinstance(outcome, Changes)
    (change,) = outcome.items
    assert isinstance(change, Change)
    return change


def avro(number: int = 7, **fields: tuple[Any, Any]) -> tuple[Schema, bytes]:
    """A schema of these fields, each of a type, and a record of their values."""
    schema = formats.record_of(**{name: kind for name, (kind, _) in fields.items()})
    value = {name: given for name, (_, given) in fields.items()}
    return formats.avro_schema(schema, number=number), formats.framed(formats.written(schema, value), number)


def test_a_local_timestamp_is_no_moment() -> None:
    """17. It has no time zone: as a value it is sent, as `occurredAt` it is refused, and not read as UTC."""
    kind = {"type": "long", "logicalType": "local-timestamp-millis"}
    schema, value = avro(id=("string", "v"), at=(kind, 1_795_342_500_123))
    sent = mapped(reader("format: avro, attributes: {at: at}", schema), value)
    assert sent.attributes == {"at": "2026-11-22T10:15:00.123"}
    with pytest.raises(Refused, match=r"^at must be an RFC 3339 date-time with a time zone"):
        reader("format: avro, occurredAt: at, attributes: {x: id}", schema)(FakeRecord(value, 0))


def test_bytes_are_sent_only_as_what_the_mapping_says() -> None:
    """21. Refused where nothing is said; as hex or Base64 where it is."""
    schema, value = avro(id=("string", "v"), raw=("bytes", b"\x01\xff"))
    for form, text in (("hex", "01ff"), ("base64", "Af8=")):
        read = reader(f"format: avro, attributes: {{raw: {{path: raw, as: {form}}}}}", schema)
        assert mapped(read, value).attributes == {"raw": text}
    with pytest.raises(Refused, match="raw must not be bytes: use as: base64 or as: hex"):
        reader("format: avro, attributes: {raw: raw}", schema)(FakeRecord(value, 0))


def test_a_renamed_field_is_read_by_two_paths_each_record_by_its_own_schema() -> None:
    """26. In the middle of a topic; the mapping goes by name, and neither record is refused."""
    old, before = avro(1, id=("string", "v"), tier=("string", "gold"))
    new, after = avro(2, loyaltyTier=("string", "silver"), id=("string", "v"))
    read = reader("format: avro, attributes: {tier: {path: [loyaltyTier, tier]}}", old, new)
    assert [mapped(read, value).attributes["tier"] for value in (before, after, before)] == ["gold", "silver", "gold"]


def test_zero_values_of_protobuf_are_sent_where_the_source_says_so() -> None:
    """27. `active: false` is the commonest change of all, and proto3 writes nothing for it."""
    schema = formats.protobuf_schema(file("e.proto", Event="string id = 1; bool active = 2; int64 points = 3"))
    made: Any = classes(schema)["Event"]
    value = record(made(id="v", active=False, points=0))
    attributes = "attributes: {active: active, points: points, sent: id}"
    assert mapped(reader(f"format: protobuf, {attributes}", schema), value).attributes == {"sent": "v"}
    read = reader(f"format: protobuf, zeroValues: true, {attributes}", schema)
    assert mapped(read, value).attributes == {"active": "false", "points": "0", "sent": "v"}


def test_a_header_that_is_no_text_refuses_by_its_name_and_only_where_it_is_used() -> None:
    """36. Headers are often for other programs: one of those must not refuse the event."""
    headers = [("other", b"\xff"), ("tier", b"gold"), ("broken", b"\xff SECRET")]
    value = b'{"id": "v"}'
    assert mapped(reader("format: json, attributes: {tier: $headers.tier}"), value, None, headers).attributes == {
        "tier": "gold"
    }
    with pytest.raises(Refused, match=r"^\$headers\.broken must be UTF-8") as refused:
        reader("format: json, attributes: {x: $headers.broken}")(FakeRecord(value, 0, headers=headers))
    assert "SECRET" not in str(refused.value)


def test_an_update_that_changes_the_identifier_is_one_change_of_the_new_one() -> None:
    """41. The visitor of the old identifier keeps what it has: there is no call that would remove it."""
    value = b'{"op": "u", "before": {"id": "old", "tier": "gold"}, "after": {"id": "new", "tier": "gold"}}'
    source = (
        "{version: 1, sources: [{topics: [t], format: debezium, visitor: {pcId: after.id}, copy: [{from: after}]}]}"
    )
    read = event_reader(["t"], "json", load(source), nulls=Nulls.DROP)
    assert (mapped(read, value).visitor.id, mapped(read, value).attributes["tier"]) == ("new", "gold")
