"""No caller is trusted with secrets, so redaction is tested against arbitrary lines."""

import hashlib
import json
import logging
import warnings
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.events.change import Change, Visitor
from connector.ops.logs import VisitorIds, learn
from connector.ops.problems import RECENT
from connector.ops.redact import Redactor
from tests.support.captured_logs import captured_logs

SECRET = 'Zq#"7\\é\nß%/+x9'
"""A password with every character that quoting, JSON and URLs encode."""
TOKEN = "eyJhbGciOi.J9-never_given"
IDENTITY = "vis'it or/QJX4711&\"ü"
FORMS = (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], json.dumps(SECRET, ensure_ascii=False)[1:-1],
         quote(SECRET), quote(SECRET, safe=""))  # fmt: skip
VISITOR = Visitor("mbox3rdPartyId", IDENTITY)

noise = st.text(st.characters(exclude_characters="ZQ"), max_size=30)
"""Any Unicode, with lone surrogates; without their first letters no drawn text can be a secret or an id."""
telling_texts = st.sampled_from(
    [
        *FORMS,
        f"Bearer {TOKEN}",
        f"authorization: bearer {TOKEN}",
        f"https://h/m2/client/profile/update?mbox3rdPartyId={quote(IDENTITY, safe='')}&profile.a=1",
        f"POST body mboxPC={quote(IDENTITY, safe='')} refused",
        f"/rest/v1/profiles/thirdPartyId/{quote(IDENTITY, safe='')}",
        json.dumps({"pcId": IDENTITY}),
        repr({"mbox3rdPartyId": IDENTITY}),
        f"KeyError({VISITOR!r})",
        repr(Change(VISITOR, {"a": IDENTITY})),
    ]
)
texts = st.builds(lambda before, told, after: f"{before} {told} {after}", noise, telling_texts, noise)
leaves = st.one_of(
    texts,
    noise,
    st.just(VISITOR),
    st.just(SECRET.encode()),
    st.builds(ValueError, texts),
    st.none() | st.booleans() | st.integers() | st.floats(),
    st.builds(lambda: Change(VISITOR, {"secret": SECRET})),
)
names = st.one_of(noise, st.sampled_from(["detail", "n"]), telling_texts)
masked_fields = st.tuples(
    st.sampled_from(["password", "Sasl.Password", "auth_token", "visitor", "pcId", "profile"]),
    st.sampled_from([SECRET, IDENTITY, TOKEN, VISITOR]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(names, inner, max_size=3),
        masked_fields.map(lambda pair: {pair[0]: pair[1]}),
        st.frozensets(st.just(VISITOR)),
    ),
    max_leaves=12,
)
usual = st.sampled_from(["reason", "detail", "setting", "settings", "remedy", "code"])
fields = st.dictionaries(usual, values, max_size=4)


def strings_of(value: Any) -> list[str]:
    """Every text that a reader of the parsed line would see."""
    if isinstance(value, dict):
        return [text for name, item in value.items() for text in (name, *strings_of(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    return [value] if isinstance(value, str) else []


def assert_tells_nothing(written: str, line: dict[str, Any]) -> None:
    """Neither the bytes nor any text that a parser makes of them."""
    seen = [written, *strings_of(line)]
    forbidden = (*FORMS, TOKEN, IDENTITY, quote(IDENTITY, safe=""), json.dumps(IDENTITY)[1:-1], "QJX4711")
    for text in seen:
        for secret in forbidden:
            assert secret not in text


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(event_fields=fields, mode=st.sampled_from([VisitorIds.HASH, VisitorIds.OMIT]))
def test_no_field_of_any_shape_brings_a_secret_or_a_visitor_into_a_line(
    event_fields: dict[str, Any], mode: VisitorIds
) -> None:
    """Nested, as a name, in an exception, in bytes, in an object: a line is JSON and reveals nothing."""
    with captured_logs(secrets=[SECRET], visitor_ids=mode) as logs:
        structlog.get_logger().warning("kafka_error", **event_fields)
        (line,) = logs.lines
        assert_tells_nothing(logs.text, line)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(event_fields=fields, message=texts, remedy=values, mode=st.sampled_from(VisitorIds))
def test_no_log_call_brings_a_secret_or_a_visitor_into_the_status(
    event_fields: dict[str, Any], message: str, remedy: Any, mode: VisitorIds
) -> None:
    """Anybody who reaches the port sees the last problems: no visitor there, whatever the log may hold."""
    with captured_logs(secrets=[SECRET], visitor_ids=mode):
        structlog.get_logger().warning("kafka_error", **{**event_fields, "remedy": remedy})
        structlog.get_logger().error("update_rejected", visitor=VISITOR, reason=message, topic=message)
        logging.getLogger("lib").error("%s %s", message, message)
        shown = msgspec.json.encode(RECENT.newest_first()).decode()
    assert_tells_nothing(shown, {"problems": json.loads(shown)})
    assert hashlib.sha256(IDENTITY.encode()).hexdigest()[:16] not in shown


@settings(max_examples=150)
@given(message=texts, cause=texts)
def test_no_exception_brings_a_secret_into_a_line(message: str, cause: str) -> None:
    """Messages of exceptions, and of their causes, are foreign texts."""
    with captured_logs(secrets=[SECRET]) as logs:
        try:
            raise ConnectionError(message) from KeyError(cause)  # noqa: TRY301 - the log call needs a live exception
        except ConnectionError:
            structlog.get_logger().exception("ops_failed", path="/")
        (line,) = logs.lines
        assert_tells_nothing(logs.text, line)


@settings(max_examples=150)
@given(message=texts, argument=texts, event=texts)
def test_no_library_and_no_wrong_event_name_brings_a_secret_into_a_line(
    message: str, argument: str, event: str
) -> None:
    """Libraries format their own messages, and a wrong call may put anything in the event's place."""
    with captured_logs(secrets=[SECRET]) as logs:
        logging.getLogger("lib").error("%s %s", message, argument)
        structlog.get_logger().error(event)
        for line in logs.lines:
            assert_tells_nothing(logs.text, line)
    assert [line["event"] for line in logs.lines] == ["library_log", "unlisted_event"]


extras = st.dictionaries(st.sampled_from(["peer", "url", "visitor"]), values)


@settings(max_examples=150)
@given(message=texts, cause=texts, note=texts, extra=extras)
def test_no_traceback_of_a_library_brings_a_secret_into_a_line(
    message: str, cause: str, note: str, extra: dict[str, Any]
) -> None:
    """Libraries log exceptions with causes, notes and variables of any content."""

    def fail(password: str, visitor: Visitor) -> None:
        error = ConnectionError(message)
        error.add_note(f"{note} {password} {visitor}")
        raise ExceptionGroup(message, [error, ValueError(cause)]) from KeyError(cause)

    with captured_logs(secrets=[SECRET]) as logs, warnings.catch_warnings():
        warnings.simplefilter("always")
        lib = logging.getLogger("lib")
        try:
            fail(SECRET, VISITOR)
        except ExceptionGroup:
            lib.exception(message, extra=extra, stack_info=True)
            lib.warning("%(visitor)s", {"visitor": message}, exc_info=True)
        warnings.warn(message, RuntimeWarning, stacklevel=1)
        for line in logs.lines:
            assert_tells_nothing(logs.text, line)
        assert [line["level"] for line in logs.lines] == ["error", "warning", "warning"]


@settings(max_examples=50)
@given(before=noise, after=noise, event_fields=fields)
def test_a_secret_that_was_read_later_reaches_no_line_either(
    before: str, after: str, event_fields: dict[str, Any]
) -> None:
    """A token file is read again while the program runs; a bare secret in a text has no marker beside it."""
    with captured_logs(secrets=[SECRET]) as logs:
        learn(TOKEN)
        structlog.get_logger().warning("kafka_error", **{**event_fields, "detail": before + TOKEN + after})
        logging.getLogger("lib").error("%s", [before + TOKEN + after])
        for line in logs.lines:
            assert_tells_nothing(logs.text, line)


@settings(max_examples=100)
@given(event_fields=fields)
def test_the_console_shows_no_secret_either(event_fields: dict[str, Any]) -> None:
    """The console's format goes through the same redaction and stays one line."""
    with captured_logs(secrets=[SECRET], fmt="console") as logs:
        structlog.get_logger().warning("kafka_error", **event_fields)
    assert logs.text.count("\n") == 1
    assert_tells_nothing(logs.text, {})


@given(event_fields=fields)
def test_redacting_a_redacted_line_again_changes_no_type(event_fields: dict[str, Any]) -> None:
    """The output is plain JSON and is not mutated, so a second pass is harmless."""
    redactor = Redactor(VisitorIds.HASH, [SECRET])
    once = redactor(None, "info", event_fields)
    again = redactor(None, "info", once)
    assert json.loads(json.dumps(again)) == again
    assert set(again) == set(once)
