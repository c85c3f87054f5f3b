"""The reading of a fetched profile decides what is called lost: each form that is known, and each that is not."""

import json

import pytest

from connector.events.change import Visitor
from connector.target.profile import FetchOutcome, Profile, ProfileAttribute, fetch_target, read_answer

SECRET = "visitor-4711"


def read(document: object, status: int = 200, retry_after: str | None = None) -> tuple[FetchOutcome, Profile | None]:
    """Outcome and profile of a JSON answer; no reason repeats any of it."""
    found = read_answer(status, json.dumps(document).encode(), retry_after, 0.0)
    assert SECRET not in repr(found)
    return found.outcome, found.profile


def test_a_profile_in_the_form_of_adobes_sample() -> None:
    """Values are text; a time with an offset is a moment, whatever the zone of this machine."""
    outcome, profile = read(
        {
            "client": "acme",
            "visitorId": SECRET,
            "modifiedAt": "2017-08-18T17:53:39.003-04:00",
            "profileAttributes": {
                "tier": {"value": "gold", "modifiedAt": "1970-01-01T05:30:01.500+05:30"},
                "user.score": {"value": "0.0", "modifiedAt": "1969-12-31T20:00:02.000-04:00"},
            },
        }
    )
    assert outcome is FetchOutcome.FOUND
    assert profile is not None
    assert profile.attributes == {"tier": ProfileAttribute("gold", 1.5), "user.score": ProfileAttribute("0.0", 2.0)}
    assert profile.modified_at == 1_503_093_219.003


@pytest.mark.parametrize(
    ("attribute", "read_as"),
    [
        ({"value": "x", "modifiedAt": "2017-08-18T17:53:39.003"}, ProfileAttribute("x", None)),
        ({"value": "x", "modifiedAt": "soon"}, ProfileAttribute("x", None)),
        ({"value": "x", "modifiedAt": 5}, ProfileAttribute("x", None)),
        ({"value": "x"}, ProfileAttribute("x", None)),
        ({"value": 5}, ProfileAttribute("5", None)),
        ({"value": True}, ProfileAttribute("true", None)),
        ("x", ProfileAttribute("x", None)),
    ],
)
def test_a_form_that_is_not_documented_is_read_as_far_as_it_goes(attribute: object, read_as: ProfileAttribute) -> None:
    """A time without an offset, as in the classic form, is no time: nobody says in which zone it is."""
    _, profile = read({"mboxPC": "1", "profileAttributes": {"a": attribute}})
    assert profile is not None
    assert profile.attributes == {"a": read_as}


def test_a_profile_without_attributes_is_a_profile() -> None:
    """Adobe may leave an empty list out; a page of a proxy is none."""
    assert read({"client": "acme"}) == (FetchOutcome.FOUND, Profile({}))
    others: list[object] = [{}, [], "x", {"profileAttributes": []}, {"profileAttributes": None}]
    for body in others:
        assert read(body)[0] is FetchOutcome.FAILED


def test_an_unknown_visitor_is_told_from_a_wrong_address() -> None:
    """Both are 404: only the API's own words say that there is no profile."""
    words = {"status": 404, "message": f"No profile found for client acme with third party id={SECRET}"}
    assert read(words, 404) == (FetchOutcome.UNKNOWN, None)
    assert read_answer(404, b"<html>not found</html>", None, 0.0).outcome is FetchOutcome.FAILED


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, FetchOutcome.UNAUTHORIZED),
        (403, FetchOutcome.UNAUTHORIZED),
        (420, FetchOutcome.THROTTLED),
        (429, FetchOutcome.THROTTLED),
        (503, FetchOutcome.THROTTLED),
        (302, FetchOutcome.FAILED),
        (400, FetchOutcome.FAILED),
        (500, FetchOutcome.FAILED),
    ],
)
def test_other_statuses_are_those_of_the_updates(status: int, outcome: FetchOutcome) -> None:
    """By the same table, with what to look at; a throttled fetch waits as it is told."""
    found = read_answer(status, b"", "7", 0.0)
    assert (found.outcome, found.retry_after) == (outcome, 7.0)
    assert found.reason.startswith(f"HTTP {status}: ")


def test_an_id_is_one_segment_of_the_path() -> None:
    """Customers choose the ids: a slash or a question mark would ask for another visitor."""
    base = "/proxy/rest/v1/profiles"
    assert (
        fetch_target(base, "a b", Visitor("mbox3rdPartyId", "a/b?c#d"))
        == f"{base}/thirdPartyId/a%2Fb%3Fc%23d?client=a%20b"
    )
    assert fetch_target(base, "acme", Visitor("pcId", "136-57.28_20")) == f"{base}/136-57.28_20?client=acme"
