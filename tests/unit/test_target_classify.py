"""The table of answers: each row decides whether an update is done, waits, or becomes a dead letter."""

import re
from pathlib import Path

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify, unreadable
from connector.target.statuses import STATUSES

NOW = 1_800_000_000.0
XML = b"<response><success>true</success><pcId></pcId><message>Request successfully submitted</message></response>"
FALSE_XML = XML.replace(b"true", b"false")


@pytest.mark.parametrize(
    "body",
    [
        b"trueRequest successfully submitted",
        b"\xef\xbb\xbftrueRequest successfully submitted\r\n",
        b"  TRUE\nRequest  Successfully submitted. ",
        XML,
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + XML,
        b"\xef\xbb\xbf\r\n" + XML,
        b"<Response>\n  <Success>\n TRUE </Success >\n</Response>",
        b'<ns2:response xmlns:ns2="urn:x"><ns2:success type="b">true</ns2:success></ns2:response>',
        b'{"success": true}',
        b' {"success":"True","message":"x"}\n',
        b'{"response": {"success": true, "pcId": null}}',
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_a_success_that_says_so_is_accepted(status: int, body: bytes) -> None:
    """Every known form of success counts, in any spacing or case."""
    assert classify(status, body, None, NOW) == Answer(Verdict.ACCEPTED)


@pytest.mark.parametrize(
    "body",
    [
        FALSE_XML,
        b"false",
        b"falseInvalid client",
        b"\n<success>False</success>",
        b'{"success": false}',
        b'{"success":"FALSE"}',
    ],
)
def test_a_success_that_says_false_is_rejected(body: bytes) -> None:
    """HTTP 200 is no proof: the bulk API answers failures with it."""
    assert classify(200, body, None, NOW).verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"true",
        b"OK",
        b"untrueRequest successfully submitted",
        b"<html><body>trueRequest successfully submitted</body></html>",
        b"<!DOCTYPE html><p>Please log in</p>",
        b"<response><success/></response>",
        b"<response><success>maybe</success></response>",
        b"<response><success>true</success><success>false</success></response>",
        b"<response><unsuccess>true</unsuccess></response>",
        b"<success>true",
        b"{}",
        b'{"success": null}',
        b'{"success": 1}',
        b'{"success": "yes"}',
        b'{"success": tru',
        b'{"response": [true]}',
        b'{"x": ' + b"[" * 60_000,
        b'{"success": "\xff"}',
        b"[true]",
        b"\xff\xfet\x00r\x00u\x00e\x00",
        b"\x00" * 100,
    ],
)
def test_a_success_in_no_known_form_is_unconfirmed(body: bytes) -> None:
    """Neither a yes nor a no is left to the setting, and never taken for either."""
    answer = classify(200, body, None, NOW)
    assert answer.verdict is Verdict.UNCONFIRMED
    assert "TARGET_UNCONFIRMED_SUCCESS" in answer.reason


TRIED_AGAIN = {402, 408, 409, 421, 423, 425, 451, 499}
SLOWER = {420, 429, 503, 509, 529}


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.UNAUTHORIZED, {401, 403, 407}),
        (Verdict.THROTTLED, SLOWER),
        (Verdict.UNCONFIRMED, set(range(200, 300))),
        (Verdict.REJECTED, set(range(400, 500)) - {401, 403, 407} - SLOWER - TRIED_AGAIN),
        (
            Verdict.UNAVAILABLE,
            {0, -1, *TRIED_AGAIN, *range(100, 200), *range(300, 400), *range(500, 1000)} - SLOWER,
        ),
    ],
)
def test_the_table_of_statuses(verdict: Verdict, statuses: set[int]) -> None:
    """Each status has its verdict; none is missing between the rows."""
    assert {classify(status, b"", None, NOW).verdict for status in statuses} == {verdict}


@pytest.mark.parametrize("status", [500, 501, 505, 508, 409, 423, 451])
def test_a_failure_that_the_update_may_cause_is_charged_to_it(status: int) -> None:
    """A concurrent change of the same profile, a lock, a server error: for one visitor alone, it ends as a letter."""
    assert classify(status, b"", None, NOW).own


@pytest.mark.parametrize(
    "status", [302, 402, 408, 421, 425, 499, 502, 504, 511, 520, 522, 524, 527, 530, 598, 599, 600]
)
def test_a_failure_of_a_proxy_is_charged_to_no_update(status: int) -> None:
    """A proxy without an answer has not looked at the update."""
    assert not classify(status, b"", None, NOW).own


def test_the_documented_table_is_the_one_in_use() -> None:
    """docs/target.md names each status that has a row, and the outcome of that row beside it."""
    rows = [
        line.split("|")
        for line in (Path(__file__).parents[2] / "docs" / "target.md").read_text().splitlines()
        if line.startswith("| ") and line.count("|") >= 4
    ]
    for status, row in STATUSES.items():
        outcomes = {cells[2].strip().split(",")[0] for cells in rows if _names(cells[1], status)}
        assert outcomes == {row.verdict.value}, status


def _names(cell: str, status: int) -> bool:
    ranges = re.findall(r"\b(\d{3})(?: to (\d{3}))?\b", cell)
    return any(int(first) <= status <= int(last or first) for first, last in ranges)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip", "br, gzip"])
def test_a_success_that_cannot_be_read_is_unconfirmed(encoding: str) -> None:
    """It probably was accepted: a retry would end in a dead letter of an accepted update."""
    answer = unreadable(200, encoding)
    assert answer.verdict is Verdict.UNCONFIRMED
    assert "TARGET_UNCONFIRMED_SUCCESS" in answer.reason
    assert (f"({encoding})" in answer.reason) is ("," not in encoding)


def test_an_error_status_overrides_its_body() -> None:
    """A gateway that repeats a cached success with a 500 is still a failure."""
    assert classify(500, XML, None, NOW).verdict is Verdict.UNAVAILABLE
    assert classify(400, XML, None, NOW).verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (302, "TARGET_BASE_URL"),
        (401, "TARGET_AUTH_TOKEN_FILE"),
        (403, "TARGET_AUTH_TOKEN_FILE"),
        (404, "TARGET_UPDATE_PATH"),
        (405, "TARGET_METHOD"),
        (407, "HTTPS_PROXY"),
        (414, "TARGET_METHOD"),
        (420, "fewer requests"),
        (421, "TARGET_BASE_URL"),
        (431, "TARGET_METHOD"),
        (522, "gateway"),
    ],
)
def test_a_reason_names_the_status_and_a_hint(status: int, hint: str) -> None:
    """Operators read it during an incident."""
    reason = classify(status, b"", None, NOW).reason
    assert str(status) in reason
    assert hint in reason


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b" ", "an empty body"),
        (b"<html>", "an HTML page"),
        (b"\n<!doctype HTML>", "an HTML page"),
        (b"<x/>", "an XML body"),
        (b"[1]", "a JSON body"),
        (b"{", "a JSON body"),
        (b"no", "a text body"),
    ],
)
def test_a_reason_says_what_kind_of_body_came(body: bytes, kind: str) -> None:
    """An HTML page instead of XML comes from a proxy; the reason says so without quoting it."""
    assert kind in classify(400, body, None, NOW).reason


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 302])
def test_every_retried_status_honours_retry_after(status: int) -> None:
    """The endpoint may send it with any of them."""
    assert classify(status, b"", "7", NOW).retry_after == 7.0


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_status_without_a_retry_ignores_retry_after(status: int) -> None:
    """There is no retry that it could apply to."""
    assert classify(status, b"", "7", NOW).retry_after is None
