"""Which letters are shown and replayed: a wrong one sends an old value, or shows personal data."""

import argparse
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.cli import main
from connector.cli.dlq import add_parser
from connector.cli.dlq.listing import fields, line, shown_values
from connector.cli.dlq.replay import batches
from connector.cli.dlq.selection import Exclusion, Selection, exclusion
from connector.cli.dlq.tally import Counters, sentence, table
from connector.cli.moments import local_text
from connector.delivery.dead_letter import Stage
from connector.delivery.offset_tracker import TopicPartition
from connector.kafka.inspect.dead_letter_format import (
    MARKER_HEADER,
    Letter,
    ReplayMarker,
    ReplayState,
    marker_value,
    read_letter,
)

# As connector/kafka/dead_letter_producer.py writes them; Kafka Connect's own names.
HEADERS: dict[str, bytes | None] = {
    "__connect.errors.topic": b"changes",
    "__connect.errors.partition": b"3",
    "__connect.errors.offset": b"48112",
    "__connect.errors.stage": b"TASK_PUT",
    "__connect.errors.exception.class.name": b"Rejected",
    "__connect.errors.exception.message": b"HTTP 400",
}
LETTER = Letter(
    0, 7, 1_000, b"v-4711", b'{"a": 1}', TopicPartition("changes", 3), 48112, "TASK_PUT", "Rejected", "HTTP 400", None
)


def test_a_letter_is_read_as_it_was_written() -> None:
    """By the names in the docs, which other tools know."""
    assert read_letter((0, 7), 1_000, b"v-4711", b'{"a": 1}', HEADERS.items()) == LETTER
    headers = {**HEADERS, "target_connector.value.cut_from_bytes": b"990001"}
    cut = read_letter((0, 7), 1_000, None, None, headers.items())
    assert isinstance(cut, Letter)
    assert cut.cut_from == 990_001


@pytest.mark.parametrize(
    "headers",
    [{}, {"__connect.errors.topic": None}, {**HEADERS, "__connect.errors.partition": b"\xff-1"}, {"x": b"\xff"}],
)
def test_what_others_wrote_into_the_topic_is_no_letter_to_replay(headers: dict[str, bytes | None]) -> None:
    """Any producer with the right to write may; it is shown with question marks and never sent."""
    found = read_letter((0, 0), 0, None, b"x", headers.items())
    assert isinstance(found, Letter)
    assert found.source is None
    assert exclusion(found, Selection(), ["changes"]) is Exclusion.EMPTY
    assert "?" in line(found)


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 300)), max_size=200))
def test_a_marker_names_exactly_the_letters_that_it_was_made_of(places: set[tuple[int, int]]) -> None:
    """One too many would never be replayed; one too few would be replayed twice."""
    assert read_letter((0, 0), 0, b"", marker_value(places), [(MARKER_HEADER, b"1")]) == ReplayMarker(frozenset(places))
    dropped = read_letter((0, 0), 0, b"", marker_value(places), [(MARKER_HEADER, b"superseded")])
    assert dropped == ReplayMarker(frozenset(places), ReplayState.SUPERSEDED)


def test_a_marker_of_a_thousand_letters_in_a_row_is_short() -> None:
    """It must fit into any topic, however many letters it covers."""
    assert marker_value((0, offset) for offset in range(1_000)) == b'{"0":[[0,999]]}'


@pytest.mark.parametrize(
    "value", [None, b"", b"\xff", b"[1]", b'{"a": 1}', b'{"0": [[1]]}', b'{"x": [[1, 2]]}', b"9" * 9]
)
def test_a_damaged_marker_names_none(value: bytes | None) -> None:
    """Replaying twice is better than never; and no record of the topic may stop the command."""
    assert read_letter((0, 0), 0, b"", value, [(MARKER_HEADER, b"1")]) == ReplayMarker(frozenset())


@pytest.mark.parametrize(
    ("wanted", "is_in"),
    [
        (Selection(), True),
        (Selection(stage="TASK_PUT", topic="changes", error="Rejected", since=1_000, until=1_001), True),
        (Selection(stage="VALUE_CONVERTER"), False),
        (Selection(topic="other"), False),
        (Selection(error="Refused"), False),
        (Selection(since=1_001), False),
        (Selection(until=1_000), False),
    ],
)
def test_every_filter_counts(wanted: Selection, is_in: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """An ignored filter replays letters that nobody asked for."""
    assert (LETTER in wanted) is is_in


@pytest.mark.parametrize(
    ("letter", "wanted", "why"),
    [
        (LETTER, Selection(), None),
        (replace(LETTER, stage=Stage.DECODE.value), Selection(), Exclusion.REFUSED),
        (replace(LETTER, stage=Stage.DECODE.value), Selection(stage=Stage.DECODE.value), None),
        (replace(LETTER, cut_from=9), Selection(), Exclusion.CUT),
        (replace(LETTER, value=None), Selection(), Exclusion.EMPTY),
        (replace(LETTER, source=TopicPartition("elsewhere", 0)), Selection(), Exclusion.ELSEWHERE),
        (replace(LETTER, source=TopicPartition("elsewhere", 0)), Selection(topic="elsewhere"), None),
    ],
)
def test_a_harmful_letter_is_left_out(letter: Letter, wanted: Selection, why: Exclusion | None) -> None:
    """Half a value, bytes that are refused again, a topic that only a header names: only on request."""
    assert exclusion(letter, wanted, ["changes"]) is why


@given(st.lists(st.sampled_from([None, b"a", b"b", b"c"]), max_size=400))
def test_a_batch_never_holds_two_letters_of_one_visitor(keys: list[bytes | None]) -> None:
    """Else the older one could fail, the newer one arrive, and the next run write the older value over it."""
    letters = [replace(LETTER, offset=offset, key=key) for offset, key in enumerate(keys)]
    made = list(batches(letters, lambda letter: [letter.key]))
    assert [letter for batch in made for letter in batch] == letters
    for batch in made:
        assert len({letter.key for letter in batch}) == len(batch)


def test_a_batch_is_bounded() -> None:
    """A crash replays at most one batch twice."""
    letters = [replace(LETTER, offset=offset, key=str(offset).encode()) for offset in range(250)]
    assert [len(batch) for batch in batches(letters, lambda letter: [letter.key])] == [100, 100, 50]


def test_neither_key_nor_value_is_shown_unless_asked_for() -> None:
    """Terminals are seen by others, and output is copied into tickets."""
    shown = line(LETTER, fate=ReplayState.REPLAYED) + json.dumps(
        fields(LETTER, fate=ReplayState.REPLAYED, values=False)
    )
    assert "v-4711" not in shown
    assert '"a": 1' not in shown
    assert "1970-01-01T00:00:01Z  changes/3/48112  TASK_PUT  Rejected  8 B  replayed  HTTP 400" in shown
    assert "v-4711" in shown_values(LETTER)
    assert fields(LETTER, values=True)["value"] == '{"a": 1}'


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (253_402_300_799_999, "9999-12-31T23:59:59Z"),
        (253_402_300_800_000, "@253402300800"),
        (2**63 - 1, "@9223372036854775"),
        (-(2**63), "@-9223372036854776"),
        (-1, "no-time"),
    ],
)
def test_a_time_beyond_the_calendar_is_shown(milliseconds: int, text: str) -> None:
    """Producers set any time, and one such letter must not hide all the others."""
    assert f"  {text}  " in line(replace(LETTER, milliseconds=milliseconds))
    assert fields(replace(LETTER, milliseconds=milliseconds), values=False)["time"] == (
        None if milliseconds == -1 else text
    )


def test_a_moment_of_the_quota_beyond_the_calendar_is_shown() -> None:
    """A ledger written by another program may have any time."""
    assert local_text(1e14) == "@100000000000000"


def test_letters_are_counted_by_reason_within_bounds() -> None:
    """A reason may name a field, and a producer chooses its fields' names."""
    tally = Counters()
    tally.count(LETTER, ReplayState.REPLAYED, 3)
    for number in range(2_000):
        tally.count(replace(LETTER, reason=f"profile.{number} \x1b must be a string"), None)
    assert len(tally.rows()) == 1_001
    assert sentence(tally.total, "dlq") == "2003 dead letters of dlq: 3 replayed, 0 superseded, 2000 left"
    rows = list(table(tally))
    assert rows[:3] == [
        "replayed  superseded      left  reason",
        "       0           0      1001  other reasons",
        "       3           0         0  Rejected  HTTP 400",
    ]
    assert "\x1b" not in "".join(rows)
    assert "--by reason" in rows[-1]


def test_a_letter_cannot_steer_the_terminal() -> None:
    """The reason contains an attribute's name, which its producer chose."""
    evil = replace(LETTER, reason="profile.\x1b[2J\n0/8 ok", value=b"\x1b[2J\xff", key=b"\r")
    assert not set("\x1b\n\r") & set(line(evil))
    assert not set("\x1b\r") & set(shown_values(evil))


def parsed(*words: str) -> argparse.Namespace:
    """The parser's result."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["dlq", *words])


def test_a_replay_without_a_terminal_needs_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that was written for a dry run must not write; no connection is made."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    for stdin in (io.StringIO("y\n"), None):
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["dlq", "replay"]) == 2
        assert "--yes" in capsys.readouterr().err


def test_times_are_moments_or_ages() -> None:
    """Without a zone it is UTC, as in the logs."""
    assert parsed("list", "--since", "1970-01-02T00:00:00Z").since == 86_400_000
    assert parsed("list", "--since", "1970-01-02").since == 86_400_000
    assert parsed("list", "--until", "1970-01-01T01:00:00+01:00").until == 0
    two, one = parsed("list", "--since", "2h").since, parsed("list", "--since", "60m").since
    assert 3_590_000 < one - two < 3_610_000


@pytest.mark.parametrize(
    "words",
    [["dlq"], ["dlq", "list", "--since", "soon"], ["dlq", "list", "--limit", "0"], ["dlq", "replay", "--stage", "x"]],
)
def test_bad_usage_is_code_2(words: list[str]) -> None:
    """As for every command."""
    assert main(words) == 2


@pytest.mark.parametrize("command", ["list", "replay"])
def test_each_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The one of replay warns of what it may overwrite."""
    assert main(["dlq", command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"connector dlq {command}" in out.split("example:", 1)[1]
    assert command == "list" or "the newest wins" in out


@pytest.mark.parametrize("settings", [{}, {"KAFKA_DEAD_LETTER_TOPIC": ""}])
def test_without_settings_or_without_a_topic_it_is_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str]
) -> None:
    """There is nothing to read, and the line names the variable."""
    if settings:
        base = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}
        for name, value in {**base, **settings}.items():
            monkeypatch.setenv(name, value)
    assert main(["dlq", "list"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert ("KAFKA_DEAD_LETTER_TOPIC" if settings else "KAFKA_TOPICS: missing") in said.err


GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}


@pytest.mark.parametrize("words", [["--since", "1h", "--until", "2h"], ["--since", "2h", "--until", "2026-01-01"]])
def test_an_empty_time_range_is_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Of two ages the greater is the earlier time: mixed up, they would select no dead letter."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert main(["dlq", "list", *words]) == 2
    assert "--since is not before --until" in capsys.readouterr().err


def test_a_class_that_no_letter_has_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt one would match nothing, which looks like an empty topic."""
    assert main(["dlq", "list", "--error", "rejected"]) == 2
    assert "Rejected" in capsys.readouterr().err
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    for error in ("Refused", "Rejected", "RetriesExhausted"):
        assert parser.parse_args(["dlq", "list", "--error", error]).error == error
