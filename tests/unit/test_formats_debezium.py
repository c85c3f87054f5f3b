"""Change events of Debezium: with and without envelope, by JSON and by a registry, and what is no change of a row."""

from typing import Any

import msgspec
import pytest

from connector.formats import Format, Node
from tests.support.formats import avro_schema, framed, read, refusal_of, written

GONE = "__debezium_unavailable_value"


def _read(event: Any) -> Node:
    return read(Format.DEBEZIUM, msgspec.json.encode(event))


def _row(**fields: Any) -> dict[str, Any]:
    return {"customer_no": "C-1001", **fields}


@pytest.mark.parametrize(
    "event",
    [
        {"op": "c", "before": None, "after": _row(), "source": {"ts_ms": 1}},
        {"op": "u", "before": _row(), "after": _row(city="Basel"), "source": {"ts_ms": 1}},
        {"op": "r", "before": None, "after": _row(), "source": {"snapshot": "true"}},
        {"op": "d", "before": _row(), "after": None, "source": {"ts_ms": 1}},
        {"op": "t", "source": {"ts_ms": 1}},
        {"op": "m", "message": {"prefix": "p", "content": "aGVsbG8="}, "source": {"ts_ms": 1}},
    ],
)
def test_the_envelope_of_each_operation_is_given_as_it_is(event: Any) -> None:
    """Notes, 37: which of them count is for the mapping's `when`."""
    assert _read(event) == event
    assert _read({"schema": {"type": "struct"}, "payload": event}) == event


def test_the_tombstone_behind_a_delete_is_a_skip() -> None:
    """Notes, 37: a null value, or a payload of null."""
    assert read(Format.DEBEZIUM, None) is None
    assert _read({"schema": {"type": "struct"}, "payload": None}) is None
    assert _read({"schema": None, "payload": None}) is None


def test_a_row_without_its_envelope() -> None:
    """Notes, 37: `__deleted` is text, and null columns are null."""
    row = _row(city=None, __deleted="true")
    assert _read(row) == row


def test_an_update_of_the_identifier_has_both_rows() -> None:
    """Notes, 41: a mapping sends what it names, and that is `after`."""
    event = {"op": "u", "before": {"customer_no": "C-1"}, "after": {"customer_no": "C-2"}, "source": {}}
    assert _read(event) == event


def test_a_column_that_the_database_did_not_log_is_absent() -> None:
    """Notes, 39: before and after, in the envelope and without; also bytes in base64, and an array of text."""
    row = _row(city="Basel", note=GONE, photo="X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", tags=[GONE], list=["a"])
    kept = _row(city="Basel", list=["a"])
    assert _read({"op": "u", "before": row, "after": row}) == {"op": "u", "before": kept, "after": kept}
    assert _read(row) == kept


def test_a_column_that_speaks_of_it_is_kept() -> None:
    """Only the whole value says that there is none."""
    row = _row(note=f"{GONE}!", more={"deep": GONE})
    assert _read({"op": "c", "after": row}) == {"op": "c", "after": row}


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"source": {}, "ts_ms": 1, "databaseName": "crm", "ddl": "CREATE TABLE"}, "note of a schema change"),
        ({"source": {}, "ts_ms": 1, "tableChanges": []}, "note of a schema change"),
        (
            {"status": "END", "id": "1:2", "event_count": 2, "data_collections": [], "ts_ms": 1},
            "note of a transaction",
        ),
        ({"ts_ms": 1}, "heartbeat"),
    ],
)
def test_what_is_no_change_of_a_row_is_refused_by_name(event: Any, found: str) -> None:
    """Notes, 38: a topic pattern matched one topic too many."""
    reason = f"$value must be a change of a row, and is Debezium's {found}: name its topic in no source"
    assert refusal_of(Format.DEBEZIUM, msgspec.json.encode(event)) == reason
    whole = {"schema": {"type": "struct"}, "payload": event}
    assert refusal_of(Format.DEBEZIUM, msgspec.json.encode(whole)) == reason


def test_an_envelope_by_a_registrys_avro() -> None:
    """The unions of rows are plain, a decimal is text, and a column of bytes that was not logged is absent."""
    value = {
        "type": "record",
        "name": "Value",
        "fields": [
            {"name": "customer_no", "type": "string"},
            {"name": "balance", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
            {"name": "note", "type": ["null", "string"]},
            {"name": "photo", "type": ["null", "bytes"]},
            {"name": "updated_at", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}},
        ],
    }
    envelope = {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {"name": "before", "type": ["null", value]},
            {"name": "after", "type": ["null", "Value"]},
            {"name": "op", "type": "string"},
        ],
    }
    row = {"customer_no": "C-1001", "balance": b"\x04\xce", "note": GONE, "photo": GONE.encode(), "updated_at": 5}
    data = framed(written(envelope, {"before": None, "after": row, "op": "u"}))
    assert read(Format.DEBEZIUM, data, avro_schema(envelope)) == {
        "before": None,
        "after": {"customer_no": "C-1001", "balance": "12.30", "updated_at": 5},
        "op": "u",
    }
