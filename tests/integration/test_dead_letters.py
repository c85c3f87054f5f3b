"""An undeliverable record must block no other, must not vanish, and must carry its reason."""

import random
from pathlib import Path

import pytest

from tests.support.kafka.client import Kafka, Record
from tests.support.oracle import caught_up, differences, event, fold, plain_events
from tests.support.process import Connector, Sandbox, environment

CONNECT = "__connect.errors."

MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"loyaltyTier=gold", "(record)"),
    "empty": (b"", "(record)"),
    "cut off": (b'{"mbox3rdPartyId": "a", "profile": {"x": 1', "(record)"),
    "an array": (b"[1, 2]", "(record)"),
    "invalid UTF-8": (b'{"mbox3rdPartyId": "\xff", "profile": {"x": 1}}', "(record)"),
    "100,000 brackets": (b'{"mbox3rdPartyId": "a", "profile": ' + b'{"a":' * 100_000, "(record)"),
    "no identifier": (b'{"profile": {"x": 1}}', "mbox3rdPartyId, pcId"),
    "both identifiers": (b'{"mbox3rdPartyId": "a", "pcId": "b", "profile": {"x": 1}}', "mbox3rdPartyId, pcId"),
    "an empty identifier": (b'{"mbox3rdPartyId": "", "profile": {"x": 1}}', "mbox3rdPartyId"),
    "a long identifier": (b'{"pcId": "' + b"i" * 257 + b'", "profile": {"x": 1}}', "pcId"),
    "a number as identifier": (b'{"pcId": 7, "profile": {"x": 1}}', "pcId"),
    "no profile": (b'{"mbox3rdPartyId": "a"}', "profile"),
    "an empty profile": (b'{"mbox3rdPartyId": "a", "profile": {}}', "profile"),
    "an array as value": (b'{"mbox3rdPartyId": "a", "profile": {"x": [1]}}', "profile.x"),
    "an empty name": (b'{"mbox3rdPartyId": "a", "profile": {"": 1}}', "profile"),
    "an empty object": (b'{"mbox3rdPartyId": "a", "profile": {"x": {}}}', "profile.x"),
    "a time without zone": (
        b'{"mbox3rdPartyId": "a", "occurredAt": "2026-11-22T10:00:00", "profile": {"x": 1}}',
        "occurredAt",
    ),
}


def letters(kafka: Kafka, topic: str) -> list[Record]:
    """Records of the group's dead-letter topic."""
    return kafka.read_all(f"{topic}.dead-letter")


def test_every_kind_of_malformed_record_is_kept_with_its_reason_and_the_good_ones_arrive(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Keys and values must be byte for byte the originals, or they could not be corrected and replayed."""
    topic = kafka.unique_topic("malformed", 2)
    good = plain_events(random.Random(1), 500, 100)
    records: list[tuple[bytes | None, bytes | None, int | None]] = [(key, value, None) for key, value in good]
    step = len(records) // len(MALFORMED)
    for number, (kind, (value, _)) in enumerate(MALFORMED.items()):
        records.insert(
            number * (step + 1), (None if number % 3 == 0 else b"\x00\xff" + kind.encode(), value, number % 2)
        )
    records.insert(40, (b"tombstone", None, 1))
    kafka.produce(topic, records)
    with (
        Sandbox(tmp_path) as sandbox,
        Connector(tmp_path, environment(kafka.bootstrap, topic, sandbox.url)) as connector,
    ):
        connector.until(lambda: caught_up(kafka, topic), "all is committed")
        numbers = connector.metrics()
        assert connector.stop() == 0
        assert differences(fold(value for _, value in good), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
    done = "target_connector_events_done_total"
    assert numbers[f'{done}{{outcome="accepted"}}'] == len(good)
    assert numbers[f'{done}{{outcome="dead_lettered"}}'] == len(MALFORMED)
    assert numbers[f'{done}{{outcome="skipped"}}'] == 1
    source = {(record.partition, record.offset): record for record in kafka.read_all(topic)}
    found = {}
    for letter in letters(kafka, topic):
        headers = letter.headers
        came = source[int(headers[f"{CONNECT}partition"]), int(headers[f"{CONNECT}offset"])]
        assert (letter.key, letter.value) == (came.key, came.value)
        assert headers[f"{CONNECT}topic"] == topic.encode()
        assert headers[f"{CONNECT}stage"] == b"VALUE_CONVERTER"
        assert headers[f"{CONNECT}exception.class.name"]
        found[letter.value] = headers[f"{CONNECT}exception.message"].decode()
    assert found.keys() == {value for value, _ in MALFORMED.values()}
    for kind, (value, field) in MALFORMED.items():
        assert found[value].startswith(f"{field} must "), kind


def test_updates_that_target_rejects_become_letters_that_can_be_replayed(kafka: Kafka, tmp_path: Path) -> None:
    """A merged update has no record of its own: its letter is a valid event of the rejected values."""
    topic = kafka.unique_topic("rejected", 2)
    bad = [f"rejected-{number}" for number in range(5)] + ["failing-0", "failing-1"]
    # Enough good ones to outlast the retries: with nothing but failures left, it would count as an outage.
    visitors = [*bad, *(f"good-{number}" for number in range(500))]
    events = [event(visitor, **{name: name * 2}) for name in "ab" for visitor in visitors]
    kafka.produce(topic, [(key, value, None) for key, value in events])
    with Sandbox(tmp_path, "--fault", "false,visitors=rejected", "--fault", "status=500,visitors=failing") as sandbox:
        settings = environment(
            kafka.bootstrap,
            topic,
            sandbox.url,
            RETRY_MAX_ATTEMPTS=3,
            RETRY_INITIAL_SECONDS=0.05,
            COALESCE_LINGER_SECONDS=0.5,
            TARGET_MAX_UPDATES_PER_SECOND=200,
        )
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            assert connector.stop() == 0
        good = fold(value for key, value in events if key.startswith(b"good"))
        assert differences(good, sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
    found = letters(kafka, topic)
    assert all(letter.headers[f"{CONNECT}stage"] == b"TASK_PUT" for letter in found)
    merged = fold(value for key, value in events if not key.startswith(b"good"))
    assert differences(merged, fold(letter.value or b"" for letter in found)) == []
    errors = {letter.key: letter.headers[f"{CONNECT}exception.class.name"] for letter in found}
    assert errors == {
        name.encode(): b"Rejected" if name.startswith("rejected") else b"RetriesExhausted" for name in bad
    }


def test_without_a_dead_letter_topic_it_stops_before_the_record(kafka: Kafka, tmp_path: Path) -> None:
    """An empty setting means: stop and ask. No record is skipped, and the log says what and where."""
    topic = kafka.unique_topic("undeliverable")
    good = plain_events(random.Random(2), 30, 5)
    kafka.produce(topic, [*((key, value, 0) for key, value in good[:20]), (b"bad", b"{", 0)])
    kafka.produce(topic, [(key, value, 0) for key, value in good[20:]])
    with Sandbox(tmp_path) as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, KAFKA_DEAD_LETTER_TOPIC="")
        for _ in range(2):  # The second start meets the same record, and must not skip it either.
            with Connector(tmp_path, settings) as connector:
                assert connector.wait() == 1
                *_, said, last = connector.lines()
                assert said["event"] == "dead_letter_failed"
                assert "offset 20" in said["reason"]
                assert "KAFKA_DEAD_LETTER_TOPIC" in said["reason"]
                assert (last["event"], last["exit_code"]) == ("connector_stopped", 1)
            assert all(where.offset <= 20 for where in kafka.committed(topic, topic).values())


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        pytest.param({}, 1_000, id="as it comes"),
        pytest.param({"DEAD_LETTER_MAX_CONSECUTIVE": 50, "DEAD_LETTER_MAX_RATIO": 0}, 50, id="in a row"),
        pytest.param({"DEAD_LETTER_MAX_CONSECUTIVE": 0, "DEAD_LETTER_MAX_RATIO": 0.2}, 1_000, id="ratio"),
    ],
)
def test_the_guard_stops_a_topic_of_nothing_but_malformed_records(
    kafka: Kafka, tmp_path: Path, limits: dict[str, float], most: int
) -> None:
    """A wrong topic or format must not be moved to the dead letters as a whole."""
    topic = kafka.unique_topic("wrong-topic", 2)
    kafka.produce(topic, [(str(number), f"not an event {number}", None) for number in range(1_200)])
    with (
        Sandbox(tmp_path) as sandbox,
        Connector(tmp_path, environment(kafka.bootstrap, topic, sandbox.url, **limits)) as connector,
    ):
        assert connector.wait() == 1
        *_, said, last = connector.lines()
        assert said["event"] == "dead_letter_guard_tripped"
        assert "DEAD_LETTER_MAX" in said["reason"]
        assert last["exit_code"] == 1
        assert sandbox.stats()["requests"] == 0
    kept = letters(kafka, topic)
    assert len(kept) <= most
    # Every committed record is in the dead-letter topic.
    sources = {(int(k.headers[f"{CONNECT}partition"]), int(k.headers[f"{CONNECT}offset"])) for k in kept}
    for partition, where in kafka.committed(topic, topic).items():
        assert {(partition, offset) for offset in range(where.offset)} <= sources


def test_a_malformed_record_of_a_megabyte_is_kept_whole_or_cut_with_a_mark(kafka: Kafka, tmp_path: Path) -> None:
    """A dead-letter topic may take less than the source: a marked part is better than a connector that stops."""
    huge = b"{" + random.Random(3).randbytes(990_000)
    for limit, kept in ((1_048_588, len(huge)), (100_000, 65_536)):
        topic = kafka.unique_topic("huge")
        kafka.create_topic(f"{topic}.dead-letter", max_message_bytes=limit)
        kafka.produce(topic, [(b"key", huge, 0), (*event("after", a=1), 0)])
        with (
            Sandbox(tmp_path) as sandbox,
            Connector(tmp_path, environment(kafka.bootstrap, topic, sandbox.url)) as connector,
        ):
            connector.until(lambda: caught_up(kafka, topic), "all is committed")  # noqa: B023 - called in this round
            assert connector.stop() == 0
            assert sandbox.profiles() == {"mbox3rdPartyId:after": {"a": "1"}}
        [letter] = letters(kafka, topic)
        assert (letter.key, letter.value) == (b"key", huge[:kept])
        mark = letter.headers.get("target_connector.value.cut_from_bytes")
        assert mark == (None if kept == len(huge) else str(len(huge)).encode())
