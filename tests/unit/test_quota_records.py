"""Records of the ledger: read back as written, by this version and by earlier and later ones."""

import pytest

from connector.quota.records import NewerLedger, Record, Reserve, Return, Spend, decode, encode


@pytest.mark.parametrize(
    "record",
    [
        Reserve("a1", 7, 500, 1_000_000, 86_480.5, 60.0, 4, "host-1"),
        Return("a1", 7, 12),
        Return("a1", 7, 0, 86_410.0),
        Return("a1", 7, 0, leaves=True),
        Spend(1_000, 86_480.0, "a backfill"),
    ],
)
def test_a_record_reads_back_as_it_was_written(record: Record) -> None:
    """A value that changes in the log would make the folds differ."""
    assert decode(encode(record)) == record


def test_a_record_is_json_with_its_type() -> None:
    """Operators read the topic with a console consumer, and the next version must read the records of this one."""
    written = b'{"type":"return","holder":"a1","lease":7,"unused":12,"counted":null,"leaves":false,"v":1}'
    assert encode(Return("a1", 7, 12)) == written
    elder = written.replace(b'"leaves":false,', b"")
    assert decode(elder) == decode(written)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"type":"other"}',
        b'{"type":"return","holder":"a","lease":1,"unused":-5}',
        b'{"type":"spend","updates":5,"counted":-1}',
        b'{"type":"spend","updates":1e300,"counted":1}',
        b"[" * 10_000,
        b'{"v":' * 10_000,
        b'{"v":"2"}',
        b'{"id":7,"v":3,"note":"a stray event of somebody else"}',
        b'{"type":"reserve","holder":"a","lease":1,"updates":1,"limit":1,"counted":NaN,"held":1}',
    ],
)
def test_an_invalid_record_is_ignored(value: bytes | None) -> None:
    """No record of the topic, from any writer, may end a replica or free anything."""
    assert decode(value) is None


@pytest.mark.parametrize(
    "value",
    [
        b'{"type":"return","holder":"a","lease":1,"unused":5,"v":2}',
        b'{"type":"borrow","v":2,"from":"b"}',
    ],
)
def test_a_record_of_a_later_version_is_an_error(value: bytes) -> None:
    """Its fold is unknown here: ignored, it would count for others and not for us."""
    with pytest.raises(NewerLedger, match="knows 1"):
        decode(value)


def test_an_additional_field_is_no_other_version() -> None:
    """Informative fields may be added."""
    assert decode(b'{"type":"spend","updates":5,"counted":9,"by":"me"}') == Spend(5, 9.0)
