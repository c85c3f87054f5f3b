"""JSON: numbers as they were written, what is no JSON, JSON by a schema, and Connect's JSON."""

import pytest

from connector.events.change import Refused
from connector.formats import Format, KeyForm, Node, Schema, SchemaId, SchemaKind, make_reader
from connector.formats.json_tree import read_json
from tests.support.formats import FakeRecord, FakeSchemas, framed, read, refusal_of


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'[1, {"a": []}]', [1, {"a": []}]),
        (b"10.50", "10.50"),
        (b"1E3", "1E3"),
        (b"1e400", "1e400"),
        (b"-0", "-0"),
        (b'{"a": [-0, 0, -0.0], "b": "-0", "c": 12345678901234567890123}', None),
        (b"true", True),
        (b'"\\ud83d\\ude00"', "😀"),
        (b" 7 ", 7),
        (b'{"a": null}', {"a": None}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_every_number_is_as_it_was_written(text: bytes, node: Node) -> None:
    """Notes, 34: floats are text, and integers too where Python would write them otherwise."""
    if node is None:
        node = {"a": ["-0", 0, "-0.0"], "b": "-0", "c": 12345678901234567890123}
    assert read(Format.JSON, text) == node


def test_integers_of_any_length_are_kept() -> None:
    """Python refuses to write more than 4,300 digits, and msgspec to read them."""
    digits = "1" * 5_000
    assert read(Format.JSON, f'{{"a": {digits}, "b": -{digits}, "c": 7, "d": 0.5}}'.encode()) == {
        "a": digits,
        "b": f"-{digits}",
        "c": 7,
        "d": "0.5",
    }


@pytest.mark.parametrize("record_format", [Format.JSON, Format.DEBEZIUM, Format.CONNECT_JSON, Format.CLOUDEVENTS])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "must be valid JSON, and the parser stops at its end: cut off, or half a surrogate pair"),
        (b'{"a": 1', "must be valid JSON, and the parser stops at its end: cut off, or half a surrogate pair"),
        (b'{"a": NaN}', "must be valid JSON, and the parser stops at byte 6"),
        (b'{"a": 1} x', "must be valid JSON, and the parser stops at byte 10"),
        (b'\xef\xbb\xbf{"a": 1}', "must be valid JSON, and the parser stops at byte 0"),
        (b'{"a": "\xff"}', "must be UTF-8, and is not at byte 0"),
        (b'{"a": "\\ud800"}', "must be valid JSON, and the parser stops at its end: cut off, or half a surrogate pair"),
        (b"[" * 100_000, "must be JSON that nests less deep"),
        (b'{"schema":' * 100_000, "must be JSON that nests less deep"),
    ],
)
def test_what_is_no_json_is_refused_without_its_text(record_format: Format, text: bytes, reason: str) -> None:
    """In words of ours: the parser's may quote."""
    assert refusal_of(record_format, text) == f"$value {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'[%s, "\\ud800"]', "must be valid JSON, and has half a surrogate pair"),
        (b"[%s, NaN]", "must be valid JSON, and the parser stops at character 0"),
        (b"[%s, ", "must be valid JSON, and the parser stops at character 5003"),
        (b"[%s, \xff]", "must be UTF-8, and is not at byte 5003"),
        (b"[%s, " + b"[" * 100_000, "must be JSON that nests less deep"),
    ],
)
def test_the_slower_parser_refuses_the_same(text: bytes, reason: str) -> None:
    """It reads what has an integer too long for msgspec, and by itself takes more than JSON."""
    digits = b"1" * 5_000
    assert refusal_of(Format.JSON, text.replace(b"%s", digits)) == f"$value {reason}"


def test_a_key_is_named_as_what_it_is() -> None:
    """The same parser reads both."""
    with pytest.raises(Refused, match=r"^\$key must be valid JSON"):
        read_json("$key", b"{")


def test_a_value_of_null_is_a_skip() -> None:
    """It says as little as a tombstone."""
    for record_format in (Format.JSON, Format.CONNECT_JSON, Format.DEBEZIUM):
        assert read(record_format, b"null") is None
    assert read(Format.JSON_SCHEMA, framed(b"null")) is None


def test_a_json_schema_is_not_even_asked_for() -> None:
    """Notes, 32: so no `$ref` of it can be fetched, and an outage of the registry holds nothing back."""
    schemas = FakeSchemas()
    reader = make_reader(Format.JSON_SCHEMA, schemas, key=KeyForm.NONE)
    document = reader.read(FakeRecord(framed(b'{"a": 0.50}')))
    assert document is not None
    assert document.value == {"a": "0.50"}
    assert schemas.asked == []
    assert make_reader(Format.JSON_SCHEMA, None, key=KeyForm.NONE).read(FakeRecord(framed(b"{}"))) is not None


@pytest.mark.parametrize(
    "text", ['{"$ref": "http://127.0.0.1:1/schema.json"}', '{"$ref": "file:///etc/passwd"}', "no JSON at all", ""]
)
def test_a_remote_reference_of_a_json_schema_is_never_fetched(text: str) -> None:
    """Notes, 32: where the kind must be known, the schema's text still is not read. This folder would fail a socket."""
    schema = Schema(SchemaId(7), SchemaKind.JSON, text)
    assert read(Format.DEBEZIUM, framed(b'{"op": "c", "after": {"a": 1}}'), schema) == {"op": "c", "after": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (b'{"schema":{"type":"struct","fields":[]},"payload":{"a":1.50}}', {"a": "1.50"}),
        (b'{"schema": {"type": "struct"}, "payload": {"a": -0}}', {"a": "-0"}),
        (b'{"payload":{"a":1},"schema":{"type":"struct"}}', {"a": 1}),
        (b'{"schema":null,"payload":"C-1001"}', "C-1001"),
        (b'{"schema":null,"payload":null}', None),
        (b'{"schema":{"type":"struct"},"payload":null}', None),
        (b'{"payload": null}', None),
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", [1]),
        (b'{"payload": {"a": 1}}', {"payload": {"a": 1}}),
        (b'{"payload": null, "a": 1}', {"payload": None, "a": 1}),
        (b'{"schema":"s","payload":{"a":1}}', {"schema": "s", "payload": {"a": 1}}),
        (b'{"schema":{},"payload":{"a":1},"more":2}', {"schema": {}, "payload": {"a": 1}, "more": 2}),
        (b'{"schema":{},"payload":{"balance":"BM4=","n":12.3}}', {"balance": "BM4=", "n": "12.3"}),
    ],
)
def test_the_payload_of_connects_json_with_or_without_its_schema(text: bytes, node: Node) -> None:
    """Notes, 33: decimals stay what they are there, base64 or number, for the mapping's `as`."""
    assert read(Format.CONNECT_JSON, text) == node


def test_keys_of_connect_are_unwrapped_too() -> None:
    """`{"schema":…,"payload":{"id":7}}`."""
    for record_format in (Format.CONNECT_JSON, Format.DEBEZIUM):
        reader = make_reader(record_format, None, key=KeyForm.FORMAT)
        document = reader.read(FakeRecord(b'{"a": 1}', b'{"schema":{},"payload":{"id":7}}'))
        assert document is not None
        assert document.key == {"id": 7}


def test_a_framed_key_of_json_needs_no_registry_either() -> None:
    """As the value."""
    reader = make_reader(Format.JSON_SCHEMA, None, key=KeyForm.FORMAT)
    for key in (framed(b'{"id": 7}', 8), b'{"id": 7}'):
        document = reader.read(FakeRecord(framed(b"{}"), key))
        assert document is not None
        assert document.key == {"id": 7}
