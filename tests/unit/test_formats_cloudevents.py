"""CloudEvents: binary and structured give the same document."""

import base64
from typing import Any

import msgspec
import pytest

from connector.events import Refused
from connector.formats import Format, KeyForm, Node, make_reader
from tests.support.formats import (
    FakeRecord,
    RawHeaders,
    avro_schema,
    document_of,
    framed,
    read,
    record_of,
    refusal_of,
    written,
)

ATTRIBUTES = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/loyalty",
    "type": "com.acme.tier.v1",
    "time": "2026-11-22T10:15:00Z",
}
DATA = {"memberId": "C-1001", "points": {"balance": 1200}}
EVENT: dict[str, Any] = {**ATTRIBUTES, "datacontenttype": "application/json", "data": DATA}
JSON = msgspec.json.encode(DATA)


def _headers(content_type: str | None = "application/json", **more: str) -> RawHeaders:
    headers: list[tuple[str, bytes | None]] = [
        (f"ce_{name}", text.encode()) for name, text in {**ATTRIBUTES, **more}.items()
    ]
    return headers if content_type is None else [("content-type", content_type.encode()), *headers]


def _structured(_type: str | None = "application/cloudevents+json; charset=UTF-8", /, **event: Any) -> Node:
    headers = None if _type is None else [("content-type", _type.encode())]
    return read(Format.CLOUDEVENTS, msgspec.json.encode(event), headers=headers)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.acme+json"]
)
def test_a_binary_event(content_type: str) -> None:
    """Notes, 35: case and parameters of the content type do not matter, and it is kept as it was."""
    assert read(Format.CLOUDEVENTS, JSON, headers=_headers(content_type)) == {**EVENT, "datacontenttype": content_type}


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+json", "APPLICATION/CloudEvents+JSON;charset=utf-8", "application/cloudevents", None],
)
def test_a_structured_event(content_type: str | None) -> None:
    """Notes, 35: also where the producer set no content type."""
    assert _structured(content_type, **EVENT) == EVENT


def test_data_without_a_content_type_is_json() -> None:
    """As the standard says."""
    event: dict[str, Any] = {**ATTRIBUTES, "data": DATA}
    assert read(Format.CLOUDEVENTS, JSON, headers=_headers(None)) == event
    assert _structured(**event) == event


def test_extensions_are_attributes() -> None:
    """`ce_partitionkey` beside the standard's own."""
    node = read(Format.CLOUDEVENTS, JSON, headers=_headers(partitionkey="7"))
    assert node == {**EVENT, "partitionkey": "7"}


def test_data_of_other_types() -> None:
    """Notes, 35: text is text, what is unknown is bytes."""
    for content_type, node in {"text/plain": "héllo", "application/octet-stream": "héllo".encode()}.items():
        assert read(Format.CLOUDEVENTS, "héllo".encode(), headers=_headers(content_type)) == {
            **ATTRIBUTES,
            "datacontenttype": content_type,
            "data": node,
        }


def test_data_in_base64() -> None:
    """Notes, 35: decoded by its content type, as if it were binary."""
    for content_type, node in {"application/json": DATA, "application/octet-stream": JSON}.items():
        event = {**ATTRIBUTES, "datacontenttype": content_type}
        found = _structured(**event, data_base64=base64.b64encode(JSON).decode())
        assert found == {**event, "data": node}


@pytest.mark.parametrize("text", ["%%%", 7, "abc"])
def test_base64_that_is_none_is_refused(text: Any) -> None:
    """And not guessed at."""
    with pytest.raises(Refused, match=r"^data_base64 must be base64$"):
        _structured(**ATTRIBUTES, data_base64=text)


def test_data_framed_by_a_registry() -> None:
    """Notes, 35: binary with the five bytes, whatever the content type; structured with the whole event so."""
    schema = record_of(memberId="string", points="float")
    data = framed(written(schema, {"memberId": "C-1001", "points": 0.1}))
    for content_type in ("application/avro", "avro/binary", None):
        node = read(Format.CLOUDEVENTS, data, avro_schema(schema), headers=_headers(content_type))
        assert isinstance(node, dict)
        assert node["data"] == {"memberId": "C-1001", "points": "0.1"}
    event = record_of(specversion="string", data=schema | {"name": "Data"})
    whole = framed(written(event, {"specversion": "1.0", "data": {"memberId": "C-1001", "points": 0.1}}))
    node = read(Format.CLOUDEVENTS, whole, avro_schema(event))
    assert node == {"specversion": "1.0", "data": {"memberId": "C-1001", "points": "0.1"}}


@pytest.mark.parametrize(
    "content_type", ["application/avro", "avro/binary", "application/protobuf", "application/x-protobuf"]
)
def test_data_of_a_registry_without_its_frame_is_refused(content_type: str) -> None:
    """Nothing says which schema it was."""
    reason = refusal_of(Format.CLOUDEVENTS, b"\x0ahello", headers=_headers(content_type))
    assert reason == f"$value must begin with a registry's schema id, since its content type is {content_type}"


@pytest.mark.parametrize("content_type", ["application/cloudevents-batch+json", "application/cloudevents-batch"])
def test_a_batch_is_refused(content_type: str) -> None:
    """Notes, 35."""
    reason = refusal_of(Format.CLOUDEVENTS, b"[]", headers=[("content-type", content_type.encode())])
    assert reason == "$value must be one event, and is a batch of CloudEvents"
    assert refusal_of(Format.CLOUDEVENTS, b"[{}]") == reason


@pytest.mark.parametrize("content_type", ["application/cloudevents+avro", "application/cloudevents+protobuf"])
def test_a_structured_event_that_is_no_json_is_refused(content_type: str) -> None:
    """By its content type."""
    reason = refusal_of(Format.CLOUDEVENTS, b"x", headers=[("content-type", content_type.encode())])
    assert reason == f"$value must be a CloudEvent in JSON, and its content type is {content_type}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"a": 1}', "$value must be a CloudEvent: neither header ce_specversion nor field specversion is there"),
        (b'"text"', "$value must be a CloudEvent: neither header ce_specversion nor field specversion is there"),
        (b'{"specversion": "2.0"}', "specversion must be 1.0"),
        (b'{"specversion": 1}', "specversion must be 1.0"),
    ],
)
def test_what_is_no_cloudevent_is_refused(value: bytes, reason: str) -> None:
    """Neither header nor field says so."""
    assert refusal_of(Format.CLOUDEVENTS, value) == reason


def test_another_version_in_the_header_is_refused() -> None:
    """As in the field."""
    assert refusal_of(Format.CLOUDEVENTS, JSON, headers=_headers(specversion="0.3")) == "specversion must be 1.0"


def test_an_attribute_that_comes_twice_is_refused_by_name() -> None:
    """Notes, 35: which of the two is meant is not for us to guess."""
    headers = [*_headers(), ("ce_type", b"other")]
    assert refusal_of(Format.CLOUDEVENTS, JSON, headers=headers) == "$headers.ce_type must not be there twice"


def test_an_attribute_that_is_no_text_is_refused_by_name() -> None:
    """Notes, 36."""
    headers = [*_headers(), ("ce_subject", b"C-\xff")]
    reason = "$headers.ce_subject must be UTF-8, and is not at byte 2"
    assert refusal_of(Format.CLOUDEVENTS, JSON, headers=headers) == reason


def test_an_event_without_data_is_a_skip() -> None:
    """Notes, 36: like a tombstone, in both modes."""
    for value in (None, b"", b"null"):
        assert read(Format.CLOUDEVENTS, value, headers=_headers()) is None
    assert _structured(**ATTRIBUTES) is None
    assert _structured(**ATTRIBUTES, data=None) is None


def test_headers_are_text_when_they_are_asked_for() -> None:
    """Notes, 35 and 36, for `$headers.NAME` in any format: the first of a name; not UTF-8 is refused by name."""
    headers: RawHeaders = [("a", b"1"), ("a", b"2"), ("b", b"\xff"), ("c", None), ("c", b"3"), ("d", None)]
    document = make_reader(Format.JSON, None, key=KeyForm.NONE).read(FakeRecord(b"{}", headers=headers))
    assert document is not None
    assert document.headers["a"] == "1"
    assert document.headers["c"] == "3"
    assert document.headers.get("d") is None
    assert (list(document.headers), len(document.headers)) == (["a", "b", "c"], 3)
    with pytest.raises(Refused, match=r"^\$headers\.b must be UTF-8, and is not at byte 0$"):
        document.headers["b"]


def test_a_record_without_headers_has_none() -> None:
    """Kafka's client gives None."""
    document = document_of(Format.JSON, FakeRecord(b"{}"))
    assert document is not None
    assert dict(document.headers) == {}
