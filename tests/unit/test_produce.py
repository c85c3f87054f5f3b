"""`connector produce` checks an event as the service would, names its mistakes, and keys it by its visitor."""

import os
from collections.abc import Callable, Iterable, Iterator

import pytest

from connector.cli import main
from connector.cli.produce import Checked, EventRefused, arguments, lines, write_all
from connector.decoding import event_reader
from connector.events import Nulls
from connector.mapping import load
from connector.settings.load import PREFIXES

GOOD = b'{"mbox3rdPartyId": "123456", "profile": {"loyaltyTier": "gold"}}'


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the machine's settings; with a broker's address, since that is checked first."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")


class Kept:
    """A writer into a list."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes]] = []

    def write(self, key: bytes | None, value: bytes) -> None:
        self.records.append((key, value))


def records(events: Iterable[tuple[str, bytes]], key: str | None = None) -> Iterator[tuple[bytes | None, bytes]]:
    """Keys and values of events of version 1."""
    return Checked(event_reader(["t"], "json", None, nulls=Nulls.DROP), "t", key).records(events)


def test_the_key_is_the_visitors_id_and_the_value_is_the_text_as_given() -> None:
    """Kafka keeps the order of one key only: an unkeyed event could overtake the visitor's last one."""
    spaced = b'{ "pcId": "\xc3\xa4.28_0", "profile": {"points": 10.50} }'
    assert list(records([("event 1", GOOD), ("event 2", spaced)])) == [
        (b"123456", GOOD),
        ("ä".encode(), spaced),  # Whatever its location hint, it is one visitor.
    ]


def test_a_given_key_is_the_key_of_all() -> None:
    """For a topic with other keys."""
    assert list(records([("event 1", GOOD)], "store-7")) == [(b"store-7", GOOD)]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ('{"profile": {"a": 1}}', "mbox3rdPartyId, pcId must not both be missing: exactly one of the two is needed"),
        ('{"pcId": "1", "profile": {"basket": [1]}}', "profile.basket must be a string, number, boolean, null or"),
        ('{"pcId": "1"}', "profile must be an object with at least one attribute"),
        ('{"pcId": "1", "occurredAt": "now", "profile": {"a": 1}}', "occurredAt must be an RFC 3339 date-time"),
        ("{'pcId': '1'}", "(record) must be valid JSON, and the parser stops at byte 1"),
    ],
)
def test_a_refused_event_names_field_and_rule(event: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2 before Kafka is asked for anything; the valid one beside it is not written either."""
    assert main(["produce", "--topic", "t", GOOD.decode(), event]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"produce: event 2: {said}")
    assert told.err.endswith("; nothing was written\n")


def test_no_value_of_a_refused_event_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """It is personal data, and terminals are recorded."""
    assert main(["produce", "--topic", "t", '{"pcId": "visitor-7", "profile": {"a": ["secret"]}}']) == 2
    told = capsys.readouterr().err
    assert "visitor-7" not in told
    assert "secret" not in told


def test_lines_are_named_by_their_number_and_empty_ones_are_skipped() -> None:
    """An editor shows the same number."""
    assert list(lines([b"a\n", b"\n", b" \r\n", b" b \r\n"])) == [("line 1", b"a"), ("line 4", b"b")]
    assert list(arguments(["a", "b"])) == [("event 1", b"a"), ("event 2", b"b")]


def test_the_first_refused_line_ends_it_and_earlier_ones_are_written() -> None:
    """Stdin may never end, so lines are written as they come."""
    kept = Kept()
    refused = write_all(kept, records(lines([GOOD, b"{}", GOOD])))
    assert isinstance(refused, EventRefused)
    assert str(refused) == "line 2: profile must be an object with at least one attribute"
    assert kept.records == [(b"123456", GOOD)]


def test_all_good_lines_are_written() -> None:
    """And nothing is refused."""
    kept = Kept()
    assert write_all(kept, records(lines([GOOD, GOOD]))) is None
    assert len(kept.records) == 2


MAPPING = """\
version: 1
sources:
  - topics: [t]
    format: {format}
    when: [{{path: type, equals: track}}]
    visitor: {{pcId: user}}
    attributes: {{tier: tier}}
"""


def test_an_event_of_a_mapped_topic_is_checked_by_its_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its visitor's id is the key. What would be skipped is told: it has no visitor that a key could be made of."""
    monkeypatch.setenv("EVENT_MAPPING", MAPPING.format(format="json"))
    assert main(["produce", "--topic", "t", '{"type": "track", "tier": "gold"}']) == 2
    assert "produce: event 1: user must not all be missing or empty" in capsys.readouterr().err
    mapping = load(MAPPING.format(format="json"))
    check = Checked(event_reader(["t"], "json", mapping, nulls=Nulls.DROP), "t", None)
    good, page = b'{"type": "track", "user": "v", "tier": "gold"}', b'{"type": "page"}'
    assert list(check.records([("event 1", good), ("event 2", page)])) == [(b"v", good), (None, page)]
    assert check.skips == {"type equals track": 1}


@pytest.mark.parametrize("form", ["avro", "json-schema"])
def test_what_a_serializer_writes_cannot_be_typed(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service would refuse each: there is no schema id in front. No registry is asked."""
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVENT_MAPPING", MAPPING.format(format=form))
    assert main(["produce", "--topic", "t", '{"type": "track", "user": "v"}']) == 2
    assert f"produce: t is read as {form}: its records begin with a schema id" in capsys.readouterr().err
    monkeypatch.delenv("EVENT_MAPPING")
    monkeypatch.setenv("EVENT_FORMAT", form.replace("-", "_"))
    assert main(["produce", "--topic", "t", GOOD.decode()]) == 2
    assert "its records begin with a schema id" in capsys.readouterr().err


def unset_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell without any setting."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")


def two_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a service that reads two."""
    monkeypatch.setenv("KAFKA_TOPICS", "a,b")


@pytest.mark.parametrize(
    ("words", "before", "said"),
    [
        (["--topic", "t", "-", "{}"], None, "produce: - reads the events from stdin: give it alone, or give events"),
        (["--topic", "t", "{}"], unset_servers, "KAFKA_BOOTSTRAP_SERVERS: missing"),
        (["{}"], None, "KAFKA_TOPICS: missing"),
        (["{}"], two_topics, "produce: KAFKA_TOPICS names several topics: choose one by --topic"),
        (["--topic", "no/topic", "{}"], None, 'argument --topic: "no/topic" is no topic name'),
        (["--topic", "t"], None, "the following arguments are required: EVENT"),
    ],
)
def test_bad_usage_and_bad_settings_are_code_2(
    words: list[str],
    before: Callable[[pytest.MonkeyPatch], None] | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each says what to do, before Kafka is asked for anything; an account at Target is not needed."""
    if before is not None:
        before(monkeypatch)
    assert main(["produce", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "TARGET_CLIENT_CODE" not in told
