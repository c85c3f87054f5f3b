"""What a registry's answer means, row by row: what waits, what waits for a person, what refuses a record."""

import json

import pytest

from connector.formats.schema import SchemaKind
from connector.registry.answers import Fetched, Reference, read_schema
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl


def read(status: int, body: object = "", retry_after: str | None = None) -> Fetched | Failure:
    """What an answer means; a body that is no text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return read_schema("schema 7", status, text.encode(), retry_after, 0.0)


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 501, 502, 503, 504, 599])
def test_a_status_that_passes_waits(status: int) -> None:
    """Never a refusal, and Retry-After is honoured."""
    assert read(status) == Unreachable(f"HTTP {status}")
    assert read(status, {"error_code": 50001}, "17") == Unreachable(f"HTTP {status}", 17.0)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refused_login_waits_for_a_person(status: int) -> None:
    """The reason names the settings to look at."""
    given = read(status, {"error_code": status})
    assert isinstance(given, Unauthorised)
    assert str(status) in given.reason


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_a_registrys_own_not_found_is_one(code: int) -> None:
    """By the error code, which only a registry gives."""
    given = read(404, {"error_code": code, "message": "Schema not found"})
    assert isinstance(given, NotFound)
    assert str(code) in given.reason
    assert "schema 7" in given.reason


@pytest.mark.parametrize(
    "body",
    ["", "<html>Not Found</html>", {"error_code": 404, "message": "HTTP 404 Not Found"}, [], {"error_code": "x"}],
)
def test_another_404_is_a_wrong_address(body: object) -> None:
    """A wrong path answers 404 for every id: refusing by it would empty the topic into the dead letters."""
    assert isinstance(read(404, body), WrongUrl)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 400, 405, 406, 410, 422, 999])
def test_a_status_that_no_registry_gives_is_a_wrong_address(status: int) -> None:
    """Unknown is not refused."""
    assert isinstance(read(status, {"schema": '"string"'}), WrongUrl)


@pytest.mark.parametrize("body", ["", "<html>Please log in</html>", {"value": 1}, [], {"schema": 1}, "[" * 100_000])
def test_a_success_that_is_none_of_a_registry_is_a_wrong_address(body: object) -> None:
    """A login page answers 200 to everything."""
    assert isinstance(read(200, body), WrongUrl)


def test_the_types_of_schemas() -> None:
    """None is Avro; references come with their places; what is not needed is not looked at."""
    assert read(200, {"schema": '"string"'}) == Fetched('"string"', SchemaKind.AVRO)
    assert read(200, {"schema": "x", "schemaType": "PROTOBUF", "references": None}) == Fetched("x", SchemaKind.PROTOBUF)
    reference = {"name": "money.proto", "subject": "money", "version": 3}
    assert read(200, {"schema": "{}", "schemaType": "JSON", "references": [reference], "metadata": {}}) == Fetched(
        "{}", SchemaKind.JSON, (Reference("money.proto", "money", 3),)
    )
    assert isinstance(read(200, {"schema": "x", "schemaType": "THRIFT"}), Unusable)


def test_more_references_than_are_read_are_a_refusal() -> None:
    """Before an object is made of each: 10 MB hold two hundred thousand."""
    reference = {"name": "a", "subject": "b", "version": 1}
    assert isinstance(read(200, {"schema": "x", "references": [reference] * 100}), Fetched)
    assert isinstance(read(200, {"schema": "x", "references": [reference] * 101}), Unusable)


def test_the_number_of_a_subjects_version_is_read() -> None:
    """An answer to a number does not say it again."""
    assert getattr(read(200, {"schema": "x", "id": 12, "version": 3, "subject": "s"}), "number", None) == 12
    assert getattr(read(200, {"schema": "x"}), "number", 0) is None


def test_no_reason_repeats_the_registrys_text() -> None:
    """It may hold whatever a gateway writes, the request's headers included."""
    for status in (200, 302, 400, 401, 404, 500):
        given = read(status, {"error_code": 40403, "message": "hush-hush", "schemaType": "hush-hush", "schema": 1})
        assert "hush" not in repr(given)
