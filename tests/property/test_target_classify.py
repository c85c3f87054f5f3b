"""Every answer gets a verdict, and its text, which may hold an id, stays out of the reason."""

from hypothesis import given
from hypothesis import strategies as st

from connector.target.classify import classify

SECRET = b"visitor-4711"
KNOWN = [
    b"<response><success>true</success><message>%s</message></response>",
    b"<response><success>false</success><message>unknown visitor %s</message></response>",
    b'{"success": false, "message": "%s"}',
    b"<html>%s</html>",
    b"<ResponseErrorBody>%s</ResponseErrorBody>",
    b"false%s",
    b"%s",
]
bodies = st.binary(max_size=300).map(lambda noise: SECRET + noise + SECRET) | st.sampled_from(KNOWN).map(
    lambda form: form % SECRET
)


@given(status=st.integers(0, 999) | st.just(200), body=bodies, retry_after=st.text() | st.none())
def test_no_answer_raises_and_no_body_is_quoted(status: int, body: bytes, retry_after: str | None) -> None:
    """The reason is short and quotes nothing of the body; the wait is within a day."""
    answer = classify(status, body, retry_after, 1_800_000_000.0)
    assert SECRET.decode() not in answer.reason
    assert len(answer.reason) <= 200
    assert answer.retry_after is None or 0 <= answer.retry_after <= 86_400
