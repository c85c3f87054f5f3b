"""Other people's programs parse the log lines: these tests keep their form."""

import io
import logging
import re
import threading
import time
import warnings
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from connector.events.change import Change, Visitor
from connector.ops.logs import Redactor, VisitorIds, configure, learn
from connector.ops.redact import LEARNT_SECRETS, MAX_ITEMS, MAX_TEXT
from tests.support.captured_logs import captured_logs

ANNA = Visitor("mbox3rdPartyId", "anna-4711")
ANNA_HASHED = "mbox3rdPartyId:0fc7d22f4ff1611b"


def redact(fields: dict[str, object], visitor_ids: VisitorIds = VisitorIds.HASH, *secrets: str) -> dict[str, object]:
    """The fields of a line after the last processor."""
    return Redactor(visitor_ids, secrets)(None, "info", fields)


def test_a_line_is_one_json_object_with_the_three_fixed_fields_first() -> None:
    """Collectors parse line by line; people read from the left."""
    with captured_logs() as logs:
        structlog.get_logger().info("ops_listening", host="0.0.0.0", port=8080)  # noqa: S104 - a field's text
    assert logs.text.count("\n") == 1
    assert logs.text.endswith("\n")
    (line,) = logs.lines
    assert list(line) == ["timestamp", "level", "event", "host", "port"]
    assert (line["level"], line["event"], line["port"]) == ("info", "ops_listening", 8080)
    assert line["timestamp"].endswith("Z")
    assert abs(datetime.fromisoformat(line["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_lines_below_the_level_are_not_written() -> None:
    """LOG_LEVEL applies to our own lines and to the libraries'."""
    with captured_logs(level="WARNING") as logs:
        structlog.get_logger().info("circuit_closed")
        structlog.get_logger().warning("circuit_opened")
        logging.getLogger("some.library").info("hello")
        logging.getLogger("some.library").warning("beware")
    assert [line["event"] for line in logs.lines] == ["circuit_opened", "library_log"]


def test_a_level_that_does_not_exist_is_refused() -> None:
    """A typo must not mean "log nothing"."""
    with pytest.raises(ValueError, match="loud"):
        configure("loud", "json", VisitorIds.HASH, io.StringIO())


def test_an_event_outside_the_list_is_logged_under_a_name_for_it() -> None:
    """A programming error must neither lose the line nor break a search for names."""
    with captured_logs() as logs:
        structlog.get_logger().warning("made_up", reason="x")
    (line,) = logs.lines
    assert (line["event"], line["name"], line["reason"], line["level"]) == ("unlisted_event", "made_up", "x", "warning")


def test_library_logs_take_the_same_form() -> None:
    """Messages of librdkafka and aiohttp must not have another form in the same stream."""
    with captured_logs(secrets=["swordfish"]) as logs:
        logging.getLogger("connector.kafka.client").warning("FAIL [%s]: password swordfish", "rdkafka#consumer-1")
        try:
            raise TimeoutError  # noqa: TRY301 - the log call needs a live exception
        except TimeoutError:
            logging.getLogger("asyncio").exception("swordfish again")
    first, second = logs.lines
    assert first["event"] == "library_log"
    assert first["level"] == "warning"
    assert first["logger"] == "connector.kafka.client"
    assert first["message"] == "FAIL [rdkafka#consumer-1]: password [secret]"
    assert second["error"] == "TimeoutError"
    assert second["message"] == "[secret] again"
    assert second["stack"][0].startswith("test_ops_logs:") or ".test_ops_logs:" in second["stack"][0]


def test_a_library_message_with_a_bad_format_is_logged_without_its_arguments(capfd: pytest.CaptureFixture[str]) -> None:
    """For a bad format the standard library prints the arguments to stderr, whatever they are."""
    with captured_logs() as logs:
        logging.getLogger("clumsy").warning("%d items", "swordfish")
    assert logs.lines[0]["message"] == "(unprintable)"
    assert logs.lines[0]["logger"] == "clumsy"
    assert capfd.readouterr().err == ""


def test_the_access_log_is_off_and_warnings_are_lines() -> None:
    """A line per probe would hide the rest; a warning on stderr would have another form."""
    with captured_logs() as logs, warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        logging.getLogger("aiohttp.access").info("GET /livez")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = logs.lines
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in line["message"]


def test_an_exception_becomes_error_and_stack_without_variables() -> None:
    """Local variables hold payloads and tokens; the place and the chain of causes are useful."""

    def inner() -> None:
        hidden = "local-variable"
        raise KeyError(len(hidden))

    with captured_logs() as logs:
        try:
            try:
                inner()
            except KeyError as error:
                raise ConnectionError("no way") from error  # noqa: TRY003, EM101
        except ConnectionError:
            structlog.get_logger().exception("ops_failed", path="/")
    (line,) = logs.lines
    assert line["level"] == "error"
    assert line["error"] == "ConnectionError: no way <- KeyError: 14"
    assert re.fullmatch(r".*:\d+ test_an_exception_becomes_error_and_stack_without_variables", line["stack"][0])
    assert "caused by KeyError" in line["stack"]
    assert line["stack"][-1].endswith(" inner")
    assert "local-variable" not in logs.text


def test_exceptions_are_logged_in_every_form_a_logger_takes() -> None:
    """`exc_info` may be an exception, a triple or True with none at hand, and a group holds several."""
    group = ExceptionGroup("two", [ValueError("a"), OSError("b")])
    bare = RuntimeError("bare")
    with captured_logs() as logs:
        log = structlog.get_logger()
        log.error("ops_failed", exc_info=group)
        log.error("ops_failed", exc_info=(RuntimeError, bare, None))
        log.error("ops_failed", exc_info=True, stack_info=True)  # noqa: LOG014 - a mistake that callers make
        log.error("ops_failed", exc_info=bare, error="said by the caller")
        log.error("ops_failed", exc_info=(None, None, None))
    said = [(line.get("error"), line.get("stack")) for line in logs.lines]
    assert said == [
        ("ExceptionGroup: two (2 sub-exceptions) [ValueError: a, OSError: b]", []),
        ("RuntimeError: bare", []),
        (None, None),
        ("said by the caller", []),
        (None, None),
    ]


def test_a_chain_of_causes_has_an_end() -> None:
    """A retry loop that chains its failures makes long chains, and chains can be cyclic."""
    error = first = ValueError("0")
    for number in range(1, 10):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    first.__cause__ = error
    assert redact({"cause": error}) == {"cause": " <- ".join(f"ValueError: {number}" for number in range(9, 4, -1))}


def test_an_exception_that_cannot_be_printed_is_still_a_line() -> None:
    """Logging a failure must not fail."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with captured_logs() as logs:
        structlog.get_logger().error("ops_failed", exc_info=Broken())
        structlog.get_logger().error("ops_failed", exc_info=ExceptionGroup("g", [Broken()]))
    assert logs.lines[0]["error"] == "Broken: <no message>"
    assert "Broken: <no message>" in logs.lines[1]["error"]


def test_a_suppressed_cause_is_left_out() -> None:
    """`raise … from None` says that the context does not matter."""
    try:
        try:
            raise KeyError("context")  # noqa: TRY301, EM101
        except KeyError:
            raise ValueError("shown") from None  # noqa: EM101
    except ValueError as error:
        said = redact({"cause": error})
    assert said == {"cause": "ValueError: shown"}


def test_the_console_is_one_line_an_event_that_no_text_can_forge() -> None:
    """On a terminal a newline in a message must not look like a line of ours."""
    with captured_logs(fmt="console") as logs:
        log = structlog.get_logger()
        log.warning("kafka_error", detail="a\n2026-01-01 connector_stopped \x1b[2J")
        log.error("ops_failed", path="/", exc_info=OSError("boom"))
    first, second = logs.text.splitlines()
    assert "kafka_error" in first
    assert "\\n2026" in first
    assert "\x1b" not in first
    assert "OSError: boom" in second


def test_the_console_shows_a_stack_below_its_line() -> None:
    """A list of places on one line is unreadable."""
    with captured_logs(fmt="console") as logs:
        try:
            raise OSError  # noqa: TRY301
        except OSError:
            structlog.get_logger().exception("ops_failed", path="/")
    assert re.fullmatch(r"\S+ .*ops_failed.*\n    \S+:\d+ test_the_console_shows_a_stack_below_its_line\n", logs.text)


def test_loggers_in_use_follow_a_second_configuration() -> None:
    """Loggers are cached for speed; a closed stream must not lose their lines for good."""
    log = structlog.get_logger()
    with captured_logs() as first:
        log.info("circuit_closed")
    with captured_logs() as second:
        log.info("circuit_closed")
    assert len(first.lines) == len(second.lines) == 1


def test_configuring_again_logs_a_library_line_once() -> None:
    """The command line configures early, for mistakes in the settings, and again with the settings."""
    with captured_logs() as logs:
        configure("info", "json", VisitorIds.HASH, logs.stream)
        logging.getLogger("lib").warning("once")
    assert len(logs.lines) == 1


def test_a_repeated_library_line_is_logged_once_and_then_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter without its collector warns every few seconds for days; a peer's port in it makes no new line."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with captured_logs() as logs:
        lib = logging.getLogger("lib")
        for port in range(40_000, 40_100):
            lib.warning("no answer on port %d", port)
        lib.warning("something else")
        logging.getLogger("other").warning("no answer on port %d", 1)
        lib.error("no answer on port %d", 1)
        for _ in range(3):
            lib.info("told each time")
        now[0] = 2.0
        lib.warning("no answer on port %d", 9)
        lines = logs.lines
    said = [(line["level"], line["message"], line.get("repeated")) for line in lines if line["level"] != "info"]
    assert said == [
        ("warning", "no answer on port 40000", None),
        ("warning", "something else", None),
        ("warning", "no answer on port 1", None),
        ("error", "no answer on port 1", None),
        ("warning", "no answer on port 9", 99),
    ]
    assert sum(line["level"] == "info" for line in lines) == 3


def test_a_secret_read_later_is_masked_in_all_lines() -> None:
    """A token that is read from its file again is as secret as the first, in our lines and in the libraries'."""
    with captured_logs(secrets=["given-secret"]) as logs:
        learn("learnt-secret")
        logging.getLogger("lib").warning("given-secret learnt-secret")
        structlog.get_logger().warning("commit_failed", reason="given-secret learnt-secret")
        first, second = logs.lines
    assert first["message"] == second["reason"] == "[secret] [secret]"


def test_a_closed_stream_raises_nothing() -> None:
    """The reader of our stdout may end before we do."""
    stream = io.StringIO()
    with captured_logs(stream=stream):
        stream.close()
        structlog.get_logger().info("circuit_closed")
        logging.getLogger("lib").warning("still here")
    assert stream.closed


def test_a_locale_without_utf8_costs_no_line() -> None:
    """Containers often run in the C locale, and JSON is UTF-8 in any locale."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        configure("info", "json", VisitorIds.HASH, stream)
        structlog.get_logger().warning("kafka_error", detail="Zürich \ud800")
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    assert "Zürich \\\\ud800" in raw.getvalue().decode()


def test_lines_of_many_threads_do_not_mix() -> None:
    """The consumer thread and the loop log at once."""
    with captured_logs() as logs:

        def say() -> None:
            for _ in range(200):
                logging.getLogger("lib").info("x" * 50)

        threads = [threading.Thread(target=say) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [line["message"] for line in logs.lines] == ["x" * 50] * 800


@pytest.mark.parametrize(
    ("mode", "value", "shown"),
    [
        (VisitorIds.HASH, ANNA, {"visitor": ANNA_HASHED}),
        (VisitorIds.HASH, "anna-4711", {"visitor": ANNA_HASHED.partition(":")[2]}),
        (VisitorIds.HASH, 4711, {"visitor": "de650d61f5bd166a"}),
        (VisitorIds.HASH, [ANNA, None], {"visitor": [ANNA_HASHED, "[visitor]"]}),
        (VisitorIds.HASH, {"id": "anna-4711"}, {"visitor": "[visitor]"}),
        (VisitorIds.HASH, None, {"visitor": None}),
        (VisitorIds.PLAIN, ANNA, {"visitor": "mbox3rdPartyId:anna-4711"}),
        (VisitorIds.PLAIN, "anna-4711", {"visitor": "anna-4711"}),
        (VisitorIds.OMIT, ANNA, {}),
        (VisitorIds.OMIT, "anna-4711", {}),
    ],
)
def test_a_visitor_is_written_as_the_setting_says(mode: VisitorIds, value: object, shown: dict[str, object]) -> None:
    """LOG_VISITOR_IDS, for each form that a caller may hand over."""
    assert redact({"visitor": value}, mode) == shown


def test_a_visitor_is_found_at_any_place() -> None:
    """Also in a list, as a key, under another name, and with no field to leave out."""
    fields: dict[str, object] = {"who": ANNA, "all": [ANNA], "count": {ANNA: 1}, "deep": {"pcId": "anna-4711"}}
    assert redact(fields) == {
        "who": ANNA_HASHED,
        "all": [ANNA_HASHED],
        "count": {ANNA_HASHED: 1},
        "deep": {"pcId": ANNA_HASHED.partition(":")[2]},
    }
    assert redact(fields, VisitorIds.OMIT) == {
        "who": "[visitor]",
        "all": ["[visitor]"],
        "count": {"[visitor]": 1},
        "deep": {},
    }


@pytest.mark.parametrize(
    "name",
    ["password", "KAFKA_SASL_PASSWORD", "sasl.password", "ssl.key.pem", "TARGET_AUTH_TOKEN", "Authorization", "api-key",
     "client_secret", "sasl.jaas.config", "Set-Cookie", "private_key"],
)  # fmt: skip
def test_a_secrets_name_masks_its_value(name: str) -> None:
    """By name, whatever the value, at any depth; an unset value may be shown."""
    assert redact({name: "x", "more": {name: ["x"], "n": [{name: 7}]}}) == {
        name: "[secret]",
        "more": {name: "[secret]", "n": [{name: "[secret]"}]},
    }
    assert redact({name: None}) == {name: None}


def test_names_that_only_look_secret_are_shown() -> None:
    """Masked settings must still be useful."""
    fields = {"TARGET_AUTH_TOKEN_FILE": "/run/token", "KAFKA_SSL_KEY_LOCATION": "/run/key", "key": "k"}
    assert redact(dict(fields)) == fields


@pytest.mark.parametrize("name", ["payload", "profile", "attributes", "body"])
def test_payloads_are_masked_and_their_counts_shown(name: str) -> None:
    """The contract: no payloads."""
    assert redact({name: {"city": "Bern"}}) == {name: "[payload]"}
    assert redact({name: "Bern"}) == {name: "[payload]"}
    assert redact({name: 3}) == {name: 3}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=Visitor(kind='pcId', id='anna) 4711')", "token=[secret]"),
        ("secret: Change(visitor=Visitor(kind='pcId', id='anna'), attributes={'a': 'b'})", "secret: [secret]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
        ("no bearer Bearer abc.def", "no bearer Bearer [secret]"),
        ("bearer KeyError(Visitor(kind='pcId', id='an\\'na b'))", "bearer [secret]Visitor([visitor]))"),
        ("bearer pcId='anna b'", "bearer pcId=[visitor]"),
        ("sent bearer%20abc", "sent bearer%20[secret]"),
        ("proxy http://me:pw@proxy:3128 refused", "proxy http://[secret]@proxy:3128 refused"),
        ("https://h/m2/client?mboxPC=1&profile.a=b failed", "https://h/m2/client?[payload] failed"),
        ("/m2?mbox3rdPartyId=anna%204711&profile.a=Bern", "/m2?mbox3rdPartyId=[visitor]&profile.a=[payload]"),
        ('{"mbox3rdPartyId": "anna 4711", "x": 1}', '{"mbox3rdPartyId": [visitor], "x": 1}'),
        ("{'pcId': 'a\\'b'}", "{'pcId': [visitor]}"),
        ('mboxPC="never closed', "mboxPC=[visitor]"),
        ('\\"pcId\\":\\"1 2\\"}', '\\"pcId\\":[visitor]}'),
        ("/rest/v1/profiles/thirdPartyId/anna?x", "/rest/v1/profiles/thirdPartyId/[visitor]?x"),
        (f"KeyError: {ANNA!r} is gone", "KeyError: Visitor([visitor]) is gone"),
        (f"bad {Change(ANNA, {'city': 'Bern'})!r}", "bad Change(visitor=[payload]"),
        ("sasl.password=hunter2 is wrong", "sasl.password=[secret] is wrong"),
        ("a = b: c/d 100% (x)", "a = b: c/d 100% (x)"),
        ("plain", "plain"),
        ("lone \ud800", "lone \\ud800"),
    ],
)  # fmt: skip
def test_secrets_within_a_text_are_masked(text: str, shown: str) -> None:
    """Exceptions and library messages contain URLs, headers and reprs."""
    assert redact({"detail": text}) == {"detail": shown}


def test_every_type_has_a_safe_form() -> None:
    """Only plain JSON types reach the renderer, and no object's own repr."""

    class Text(str):
        __slots__ = ()

    class Opaque:
        def __repr__(self) -> str:
            return "swordfish"

    fields: dict[str, object] = {
        "bytes": b"\xff\x00", "object": Opaque(), "enum": VisitorIds.PLAIN, "text": Text("x"), "nan": float("nan"),
        "huge": 10**400, "set": {1}, "tuple": (1, 2.5, True, None), "path": Path("a/b"), "span": timedelta(seconds=3),
        "day": datetime(2026, 1, 2, tzinfo=UTC), "money": Decimal("1.50"), "id": UUID(int=0), "cls": Opaque,
    }  # fmt: skip
    assert redact(fields) == {
        "bytes": "<2 bytes>", "object": "<Opaque>", "enum": "plain", "text": "x", "nan": "nan",
        "huge": "<large number>", "set": [1], "tuple": [1, 2.5, True, None], "path": "a/b", "span": 3.0,
        "day": "2026-01-02T00:00:00+00:00", "money": "1.50", "id": str(UUID(int=0)), "cls": "<type>",
    }  # fmt: skip


def test_a_line_is_bounded_however_large_its_fields() -> None:
    """Memory, a collector's line limit, and structures that contain themselves."""
    loop: list[object] = []
    loop.append(loop)
    wide = {str(number): number for number in range(2 * MAX_ITEMS)}
    line = redact({"text": "x" * 1_000_000, "loop": loop, "wide": wide, "list": list(range(2 * MAX_ITEMS))})
    assert line["text"] == "x" * MAX_TEXT + "[more]"
    assert str(line["loop"]).count("[more]") == 1
    assert isinstance(line["wide"], dict)
    assert len(line["wide"]) <= MAX_ITEMS
    assert line["wide"]["[more]"] == "[more]"
    assert line["list"] == ["[more]"]


def test_the_cache_of_names_is_bounded() -> None:
    """Names made from data must not become a leak, nor be unmasked once the cache is full."""
    redactor = Redactor(VisitorIds.HASH)
    for number in range(2 * MAX_ITEMS):
        redactor(None, "info", {f"name{number}": 1})
    assert redactor(None, "info", {"late_password": "x"}) == {"late_password": "[secret]"}


def test_the_callers_objects_are_not_changed() -> None:
    """The logged settings are the ones in use."""
    settings = {"password": "x", "inner": {"token": "y", "list": [ANNA]}}
    fields: dict[str, object] = {"settings": settings}
    redact(fields)
    assert settings == {"password": "x", "inner": {"token": "y", "list": [ANNA]}}
    assert fields == {"settings": settings}


def test_a_field_that_cannot_be_read_costs_only_itself() -> None:
    """A dictionary that changes while it is logged raises; the line must still be written."""

    class Moody(dict[str, int]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError

    assert redact({"moody": Moody(), "port": 1}) == {"moody": "<unreadable: RuntimeError>", "port": 1}


def test_a_secret_across_the_cut_is_not_shown_in_part() -> None:
    """Text is cut before it is searched, and the start of a cut secret must be removed with it."""
    secret = "swordfish" * 5_000
    assert "swordfish" not in str(redact({"detail": "ab" * 10 + secret}, VisitorIds.HASH, secret)["detail"])


def test_secrets_too_short_to_hide_are_not_looked_for() -> None:
    """Masking every "a" reveals more about the password "a" than it hides."""
    assert redact({"detail": "banana"}, VisitorIds.HASH, "a", "") == {"detail": "banana"}


def test_a_token_read_later_is_masked_too_and_old_ones_are_dropped() -> None:
    """TARGET_AUTH_TOKEN_FILE is read again for years."""
    redactor = Redactor(VisitorIds.HASH, ["given-secret"])
    redactor.learn("proxy-secret", lasting=True)
    for number in range(LEARNT_SECRETS + 1):
        redactor.learn(f"token-{number:04}")
        redactor.learn(f"token-{number:04}")
    text = f"given-secret proxy-secret token-0000 token-{LEARNT_SECRETS:04}"
    assert redactor(None, "info", {"detail": text}) == {"detail": "[secret] [secret] token-0000 [secret]"}
