"""What `connector check` says of the last records of a topic, whatever they are written in."""

import json
from typing import Any

from connector.cli.check.findings import Finding, State
from connector.cli.check.samples import Samples
from connector.decoding import GivenRecord, event_reader
from connector.errors import CommandError
from connector.events import Nulls
from connector.formats import Schema, SchemaId, Schemas
from connector.mapping import load
from tests.support.formats import FakeSchemas, avro_schema, framed, record_of, written

SOURCE: dict[str, Any] = {
    "topics": ["t"],
    "format": "json",
    "when": [{"path": "type", "equals": "track"}],
    "visitor": {"pcId": "user"},
    "attributes": {"tier": "traits.teir", "city": {"path": ["traits.town", "traits.city"]}, "rare": "nothing.like"},
}
GOOD = b'{"type": "track", "user": "v-1", "traits": {"tier": "gold", "city": "Basel"}}'


def judged(
    *values: bytes | None, source: dict[str, Any] | None = None, schemas: Schemas | None = None
) -> list[Finding]:
    """Findings about records with these values."""
    mapping = None if source is None else load(json.dumps({"version": 1, "sources": [source]}))
    events = event_reader(["t"], "json", mapping, nulls=Nulls.DROP, schemas=schemas)
    records = [GivenRecord("t", value, offset=offset) for offset, value in enumerate(values)]
    return list(Samples(events, mapping, schemas).judge("t", records))


def test_records_of_version_1_are_decoded_as_in_service() -> None:
    """A refused one is named by place, field and rule, and a tombstone is none."""
    good = b'{"pcId": "v", "profile": {"a": 1}}'
    assert [(one.state, one.detail) for one in judged(good, None)] == [(State.OK, "the last 2 are in the right form")]
    (some,) = judged(good, b'{"pcId": "v", "profile": {"a": [1]}}')
    assert some.detail.startswith("1 of the last 2 are refused: partition 0 offset 1: profile.a must be")
    (all_,) = judged(b"{}")
    assert "EVENT_FORMAT" in all_.remedy


def test_mapped_records_are_read_by_their_source() -> None:
    """Skips are named by condition, and a path that finds nothing by the nearest name: a misspelling sends nothing."""
    events, paths = judged(GOOD, b'{"type": "page"}', source=SOURCE)
    assert events.detail == "the last 2 are in the right form, and skipped are 1 by `type equals track`"
    assert paths.state is State.WARNING
    assert paths.detail.endswith("2 records: traits.teir (attributes.tier), did you mean traits.tier?")
    events, paths = judged(GOOD, source={**SOURCE, "attributes": {"rare": "nothing.like", "city": "traits.city"}})
    assert (paths.state, paths.detail) == (State.OK, "all found something in the last 1 records, but nothing.like")
    (skipped, _) = judged(b'{"type": "page"}', source=SOURCE)
    assert skipped.state is State.WARNING
    assert "all skipped: 1 by `type equals track`" in skipped.detail


def test_refused_items_are_named_by_their_place() -> None:
    """One a record: its others are usually refused for the same reason. No value is told."""
    source = {**SOURCE, "each": "$value", "when": [{"path": "type", "exists": True}]}
    found = judged(b'[{"type": "a", "user": "v-4711"}, {"type": "b"}, {"type": "c"}]', b"v-4711", source=source)[0]
    assert found.state is State.WARNING
    assert found.detail.startswith("2 of the last 2 are refused: partition 0 offset 0 item 1: user must not all be")
    assert "the mapping right" in found.remedy
    assert "v-4711" not in found.detail


class Away:
    """A registry that cannot be asked."""

    def get(self, _: SchemaId) -> Schema:
        msg = "schema 7 cannot be had: HTTP 503"
        raise CommandError(msg)


def test_avro_is_read_by_its_schema_or_the_registry_is_named() -> None:
    """That the registry is away says nothing about the records."""
    source = {"topics": ["t"], "format": "avro", "visitor": {"pcId": "id"}, "attributes": {"x": "y"}}
    value = framed(written(record_of(id="string"), {"id": "v"}))
    # Paths are held to the schema, which says more than a few records.
    (found,) = judged(value, source=source, schemas=FakeSchemas(avro_schema(record_of(id="string"))))
    assert found.state is State.OK
    (found,) = judged(value, source=source, schemas=Away())
    assert (found.state, found.detail) == (State.WARNING, "could not be read: schema 7 cannot be had: HTTP 503")


def test_what_target_may_not_do_with_the_values_is_told_once_a_kind() -> None:
    """Before anything is sent: a long value may be cut, and an id with a plus may find nobody."""
    event = b'{"mbox3rdPartyId": "a+b", "profile": {"note": "%s", "n%d": "%s"}}'
    findings = judged(*(event % (b"x" * 257, number, b"x" * 300) for number in (1, 2)))
    told = [one.detail for one in findings if one.what == "values in t"]
    assert [detail.split(" ")[0] for detail in told] == ["mbox3rdPartyId", "note"]
    assert told[1].endswith("2 times in the last 2")
