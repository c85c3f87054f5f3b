"""The table of statuses with an account's own rows on top, and answers for a visitor that Target does not know."""

import io

import pytest

from connector.cli.settings import print_table
from connector.delivery.answer import Verdict
from connector.settings import BadSettings, load
from connector.target.classify import classify
from connector.target.statuses import STATUSES, VERDICTS, changed, rows

NEEDED = {"KAFKA_BOOTSTRAP_SERVERS": "k:9092", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "acme"}
FALSE = b"<response><success>false</success><message>%s</message></response>"
NOT_FOUND = b'{"status" : 404, "message" : "No profile found for client acme with third party id=SECRET"}'


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (404, NOT_FOUND, Verdict.UNKNOWN_VISITOR),
        (404, b"<html>No  Profile\nfound</html>", Verdict.UNKNOWN_VISITOR),
        (404, b"", Verdict.REJECTED),
        (400, NOT_FOUND, Verdict.REJECTED),
        (200, FALSE % b"No profile found", Verdict.UNKNOWN_VISITOR),
        (200, FALSE % b"Wrong client", Verdict.REJECTED),
        (200, b'{"success": false, "message": "no profile found"}', Verdict.UNKNOWN_VISITOR),
        (200, b"trueRequest successfully submitted", Verdict.ACCEPTED),
        (200, b"No profile found", Verdict.UNCONFIRMED),
        (503, NOT_FOUND, Verdict.THROTTLED),
    ],
)  # fmt: skip
def test_an_unknown_visitor_is_known_by_the_words_of_the_fetch(status: int, body: bytes, verdict: Verdict) -> None:
    """Only where the answer is a no, and never by a word of it in the reason."""
    answer = classify(status, body, None, 0.0)
    assert answer.verdict is verdict
    assert "SECRET" not in answer.reason


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("status", [200, 204, 404, 418, 500])
def test_an_accounts_own_row_wins_over_the_table_and_over_the_body(status: int, verdict: Verdict) -> None:
    """For an account that answers otherwise than documented."""
    answer = classify(status, b"trueRequest successfully submitted", "30", 0.0, changed({status: verdict}))
    assert answer.verdict is verdict
    assert str(status) in answer.reason
    assert (answer.retry_after == 30.0) == (verdict in (Verdict.THROTTLED, Verdict.UNAVAILABLE))


def test_the_table_shows_the_accounts_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """`connector settings`: what holds is seen, and not what would without the variable."""
    shown = dict(rows(changed({404: Verdict.UNKNOWN_VISITOR, 299: Verdict.REJECTED})))
    assert shown["404"].verdict is Verdict.UNKNOWN_VISITOR
    assert shown["299"].verdict is Verdict.REJECTED
    assert shown.keys() >= {*map(str, STATUSES), "other 2xx", "other 3xx", "other 4xx", "other 5xx", "other"}
    monkeypatch.setenv("TARGET_STATUS_VERDICTS", '{"404": "unknown_visitor"}')
    out = io.StringIO()
    print_table(out)
    (line,) = (line for line in out.getvalue().splitlines() if line.startswith(" 404"))
    assert "unknown_visitor" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is no JSON object"),
        ("[]", "it is no JSON object"),
        ('{"404": "unknown"}', 'what "404" means must be one of accepted, rejected, unauthorized'),
        ('{"404": 1}', 'what "404" means must be one of'),
        ('{"99": "accepted"}', '"99" is no status from 200 to 599'),
        ('{"x": "accepted"}', '"x" is no status'),
        ('{"404": "accepted", "404": "rejected"}', '"404" is named twice'),
    ],
)
def test_a_wrong_row_is_told(text: str, said: str) -> None:
    """Each mistake names the status and what is right."""
    with pytest.raises(BadSettings, match="TARGET_STATUS_VERDICTS") as bad:
        load({**NEEDED, "TARGET_STATUS_VERDICTS": text})
    assert said in str(bad.value)


def test_right_rows_are_read() -> None:
    """As numbers, since statuses are compared."""
    settings = load({**NEEDED, "TARGET_STATUS_VERDICTS": '{"404": "unknown_visitor", "422": "rejected"}'})
    assert settings.target_status_verdicts == {404: "unknown_visitor", 422: "rejected"}
