"""Dead letters shown and replayed on a real broker: each at most once, to its partition, and none by accident."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from connector.delivery.dead_letter import DeadLetter, Stage
from connector.delivery.offset_tracker import TopicPartition
from connector.kafka.config import KafkaConfig
from connector.kafka.dead_letter_producer import DeadLetterProducer
from tests.support.kafka.broker import free_ports
from tests.support.kafka.client import Kafka, Record
from tests.support.kafka.logs import delete_before
from tests.support.oracle import caught_up, event
from tests.support.process import Command, Connector, Sandbox, environment


class Ended(NamedTuple):
    """A run's exit code and output."""

    code: int
    out: list[str]
    err: str


def dlq(folder: Path, kafka: Kafka, topic: str, *words: str, mapping: str | None = None) -> Ended:
    """Run the program once, without a terminal."""
    settings = environment(kafka.bootstrap, topic, "http://127.0.0.1:9")
    settings |= {} if mapping is None else {"EVENT_MAPPING": mapping}
    with Command(folder, ["dlq", *words], settings) as program:
        return Ended(program.wait(120), program.stdout.splitlines(), program.stderr)


def bury(kafka: Kafka, topic: str, letters: Iterable[DeadLetter]) -> None:
    """Write letters as the service does."""

    async def main() -> None:
        config = KafkaConfig(kafka.bootstrap, (topic,), topic, dead_letter_topic=f"{topic}.dead-letter")
        writer = DeadLetterProducer(config, print)
        for letter in letters:
            await writer.send(letter)
        await writer.close()

    asyncio.run(main())


def letter(
    topic: str, number: int, stage: Stage = Stage.TARGET, error: str = "Rejected", partitions: int = 1
) -> DeadLetter:
    """One of many, as `events` writes them to the source topic."""
    key, value = event(f"visitor-{number}", a=number)
    source = TopicPartition(topic, number % partitions)
    return DeadLetter(source, number // partitions, stage, error, f"reason {number}", key, value)


def events(kafka: Kafka, topic: str, count: int, partitions: int = 1) -> None:
    """The events that the letters were made of."""
    kafka.produce(topic, [(*event(f"visitor-{number}", a=number), number % partitions) for number in range(count)])


def replayed(kafka: Kafka, topic: str) -> list[Record]:
    """Records that replays wrote to the source topic."""
    return [record for record in kafka.read_all(topic) if "target_connector.replayed_from" in record.headers]


def came_from(records: Iterable[Record]) -> list[str]:
    """The letters that the records of a source topic were written from."""
    return [record.headers["target_connector.replayed_from"].decode() for record in records]


def listed(folder: Path, kafka: Kafka, topic: str, *words: str) -> list[dict[str, Any]]:
    """The output of list, as JSON."""
    ended = dlq(folder, kafka, topic, "list", "--format", "json", *words)
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out]


def test_a_rejected_update_arrives_after_its_cause_is_gone(kafka: Kafka, tmp_path: Path) -> None:
    """End to end: rejected, listed, replayed, delivered; events that the decoder refused are left."""
    topic = kafka.unique_topic("healed", 2)
    good, bad = event("good", a=1), event("rejected-1", a="x y&z")
    kafka.produce(topic, [(*good, 0), (*bad, 1), (b"k", b"no event", 0)])
    with Sandbox(tmp_path, "--fault", "false,visitors=rejected") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url)
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            found = listed(tmp_path, kafka, topic)
            assert {one["stage"]: (one["source_partition"], one["replayed"]) for one in found} == {
                "VALUE_CONVERTER": (0, False),
                "TASK_PUT": (1, False),
            }
            assert "rejected-1" not in str(found)
            sandbox.set_faults()
            ended = dlq(tmp_path, kafka, topic, "replay", "--yes")
            assert ended.code == 0
            assert "1 of 1 replayed" in ended.err
            connector.until(lambda: "mbox3rdPartyId:rejected-1" in sandbox.profiles(), "it arrived")
            assert connector.stop() == 0
        assert sandbox.profiles() == {
            "mbox3rdPartyId:good": {"a": "1"},
            "mbox3rdPartyId:rejected-1": {"a": "x y&z"},
        }
    assert {one["stage"]: one["replayed"] for one in listed(tmp_path, kafka, topic)} == {
        "VALUE_CONVERTER": False,
        "TASK_PUT": True,
    }


def test_a_replay_brings_no_old_value_back(kafka: Kafka, tmp_path: Path) -> None:
    """Anna's first event was rejected, her second one accepted: only what the second one does not set is sent."""
    topic = kafka.unique_topic("superseded")
    anna = [event("anna", tier="OLD", city="Bern"), event("anna", tier="NEW"), event("ben", tier="OLD")]
    kafka.produce(topic, [(*anna[0], 0), (*anna[2], 0)])
    with Sandbox(tmp_path, "--fault", "false") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url)
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: caught_up(kafka, topic), "both are rejected")
            sandbox.set_faults()
            kafka.produce(topic, [(*anna[1], 0), (*event("ben", tier="NEW"), 0)])
            connector.until(lambda: caught_up(kafka, topic), "what is newer is accepted")
            asked = dlq(tmp_path, kafka, topic, "replay")
            assert asked.code == 2
            assert "--yes" in asked.err
            dry = dlq(tmp_path, kafka, topic, "replay", "--dry-run")
            assert (dry.code, len(dry.out), replayed(kafka, topic)) == (0, 1, [])
            ended = dlq(tmp_path, kafka, topic, "replay", "--yes")
            assert ended.code == 0
            assert "2 dead letters" in ended.err
            assert "1 replayed, 1 superseded, 0 left" in ended.err
            (sent,) = replayed(kafka, topic)
            assert json.loads(sent.value or b"") == {"mbox3rdPartyId": "anna", "profile": {"city": "Bern"}}
            connector.until(lambda: caught_up(kafka, topic), "it is delivered")
            assert connector.stop() == 0
        assert sandbox.profiles() == {
            "mbox3rdPartyId:anna": {"tier": "NEW", "city": "Bern"},
            "mbox3rdPartyId:ben": {"tier": "NEW"},
        }
    states = [(one["replayed"], one["superseded"]) for one in listed(tmp_path, kafka, topic)]
    assert sorted(states) == [(False, True), (True, False)]
    again = dlq(tmp_path, kafka, topic, "replay", "--yes")
    assert "left out: 1 superseded" in again.err
    forced = dlq(tmp_path, kafka, topic, "replay", "--yes", "--force")
    assert "1 of 1 replayed" in forced.err
    assert len(replayed(kafka, topic)) == 2


def mapping(topic: str, tier: Any) -> str:
    """One change for every user of a record; `tier` is where theirs stands."""
    source = {
        "topics": [topic],
        "format": "json",
        "each": "users",
        "visitor": {"mbox3rdPartyId": "id"},
        "attributes": {"tier": tier, "city": "city"},
    }
    return json.dumps({"version": 1, "sources": [source]})


def test_mapped_records_are_replayed_item_by_item_by_the_mapping_of_now(kafka: Kafka, tmp_path: Path) -> None:
    """Of one record an item was delivered, one refused, one rejected: each goes its way, and newer values stay."""
    topic = kafka.unique_topic("mapped")
    before, now = mapping(topic, "tier"), mapping(topic, {"path": ["tier.name", "tier"]})
    users = [
        {"id": "anna", "tier": "gold", "city": "Bern"},
        {"id": "ben", "tier": {"name": "OLD"}, "city": "Basel"},
        {"id": "rejected-1", "tier": "silver", "city": "Genf"},
        {"id": "cleo", "tier": {"nothing": 1}},
    ]
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for batch in (users, [{"id": "ben", "tier": "NEW"}, {"id": "anna", "tier": "platinum"}]):
        producer.produce(topic, json.dumps({"users": batch}).encode(), headers=[("trace", b"\x00\xff"), ("trace", b"")])
    assert producer.flush(30) == 0
    with Sandbox(tmp_path, "--fault", "false,visitors=rejected") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url)
        with Connector(tmp_path, settings | {"EVENT_MAPPING": before}) as connector:
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            assert connector.stop() == 0
        found = listed(tmp_path, kafka, topic, "--show-values")
        told = sorted((one["item"] or 0, one["made"], one["stage"], len(one["headers"])) for one in found)
        assert told == [
            (0, True, "TASK_PUT", 0),
            (1, False, "VALUE_CONVERTER", 2),
            (3, False, "VALUE_CONVERTER", 2),
        ]
        sandbox.set_faults()
        ended = dlq(tmp_path, kafka, topic, "replay", "--yes", mapping=now)
        assert (ended.code, "1 of 1 replayed" in ended.err) == (0, True)
        ended = dlq(tmp_path, kafka, topic, "replay", "--stage", "VALUE_CONVERTER", "--yes", mapping=now)
        assert "1 without the attributes that newer events" in ended.err
        again = {record.headers.get("target_connector.item"): record for record in replayed(kafka, topic)}
        assert again.keys() == {None, b"3"}  # The other two are events that the connector made.
        assert again[b"3"].headers["trace"] == b""
        with Connector(tmp_path, settings | {"EVENT_MAPPING": now}) as connector:
            connector.until(lambda: caught_up(kafka, topic), "all is committed again")
            assert connector.stop() == 0
        assert sandbox.profiles() == {
            "mbox3rdPartyId:anna": {"tier": "platinum", "city": "Bern"},
            "mbox3rdPartyId:ben": {"tier": "NEW", "city": "Basel"},
            "mbox3rdPartyId:rejected-1": {"tier": "silver", "city": "Genf"},
        }
    # Cleo's item is refused again, and alone: a new letter of it.
    assert sorted(one["item"] or 0 for one in listed(tmp_path, kafka, topic)) == [0, 1, 3, 3]


def test_a_letter_whose_event_is_gone_is_left_unless_it_is_forced(kafka: Kafka, tmp_path: Path) -> None:
    """Later events may be gone too, and with them a newer value."""
    topic = kafka.unique_topic("gone")
    events(kafka, topic, 3)
    bury(kafka, topic, [letter(topic, number) for number in range(3)])
    delete_before(kafka, topic, 2)
    ended = dlq(tmp_path, kafka, topic, "replay", "--yes")
    assert ended.code == 0
    assert "left: 2 could not be checked" in ended.err
    assert [one["replayed"] for one in listed(tmp_path, kafka, topic)] == [False, False, True]
    assert dlq(tmp_path, kafka, topic, "replay", "--yes", "--force").code == 0
    assert [one["replayed"] for one in listed(tmp_path, kafka, topic)] == [True, True, True]


def test_a_time_beyond_the_calendar_is_listed(kafka: Kafka, tmp_path: Path) -> None:
    """Producers set any milliseconds, for example microseconds."""
    topic = kafka.unique_topic("beyond")
    kafka.create_topic(f"{topic}.dead-letter", message_timestamp_after_max_ms=2**63 - 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(f"{topic}.dead-letter", b"v", b"k", timestamp=1_763_800_500_000_000)
    assert producer.flush(30) == 0
    ended = dlq(tmp_path, kafka, topic, "list")
    assert (ended.code, len(ended.out)) == (0, 2)
    assert "@1763800500000" in ended.out[1]


def test_each_goes_back_to_its_partition_with_key_and_value_as_they_were(kafka: Kafka, tmp_path: Path) -> None:
    """By its key alone it could land in another partition than its visitor's newer events: their order would be lost.

    Other producers, Java's above all, hash keys differently.
    """
    topic = kafka.unique_topic("places", 6)
    events(kafka, topic, 24, 6)
    bury(kafka, topic, [letter(topic, number, partitions=6) for number in range(24)])
    assert dlq(tmp_path, kafka, topic, "replay", "--yes").code == 0
    records = replayed(kafka, topic)
    assert sorted((r.partition, r.key, r.value) for r in records) == sorted(
        (number % 6, *event(f"visitor-{number}", a=number)) for number in range(24)
    )
    assert sorted(came_from(records)) == sorted(f"{topic}.dead-letter/0/{number}" for number in range(24))
    # In each partition in the order of the letters.
    for partition in range(6):
        ours = [record.value for record in records if record.partition == partition]
        assert ours == [event(f"visitor-{number}", a=number)[1] for number in range(partition, 24, 6)]


def test_none_is_replayed_twice_unless_it_is_asked_for(kafka: Kafka, tmp_path: Path) -> None:
    """With filters and limits in any order, each once: the rest is left for later runs, and a dry run takes nothing."""
    topic = kafka.unique_topic("once")
    errors = ["Rejected", "RetriesExhausted"]
    events(kafka, topic, 10)
    bury(kafka, topic, [letter(topic, number, error=errors[number % 2]) for number in range(10)])

    def there() -> list[int]:
        return [int(place.rpartition("/")[2]) for place in came_from(replayed(kafka, topic))]

    dry = dlq(tmp_path, kafka, topic, "replay", "--dry-run", "--limit", "3")
    assert (dry.code, len(dry.out)) == (0, 3)
    assert "visitor-" not in str(dry)
    assert there() == []
    assert dlq(tmp_path, kafka, topic, "replay", "--error", "RetriesExhausted", "--limit", "2", "--yes").code == 0
    assert there() == [1, 3]
    assert dlq(tmp_path, kafka, topic, "replay", "--error", "Rejected", "--yes").code == 0
    assert there() == [1, 3, 0, 2, 4, 6, 8]
    last = dlq(tmp_path, kafka, topic, "replay", "--yes")
    assert "7 replayed before" in last.err
    assert there() == [1, 3, 0, 2, 4, 6, 8, 5, 7, 9]
    nothing = dlq(tmp_path, kafka, topic, "replay", "--yes")
    assert (nothing.code, len(there())) == (0, 10)
    assert "to replay: 0" in nothing.err
    assert all(one["replayed"] for one in listed(tmp_path, kafka, topic))
    assert dlq(tmp_path, kafka, topic, "replay", "--from-beginning", "--limit", "1", "--yes").code == 0
    assert there()[10:] == [0]


def test_refused_events_are_replayed_only_by_name(kafka: Kafka, tmp_path: Path) -> None:
    """The same bytes are refused again, and would become a dead letter each time."""
    topic = kafka.unique_topic("refused")
    events(kafka, topic, 1)
    bury(kafka, topic, [letter(topic, 0, Stage.DECODE, "Refused"), letter(f"{topic}-elsewhere", 1)])
    ended = dlq(tmp_path, kafka, topic, "replay", "--yes")
    assert "left out: 1 refused by the decoder" in ended.err
    assert "left out: 1 from a topic that is not in KAFKA_TOPICS" in ended.err
    assert replayed(kafka, topic) == []
    ended = dlq(tmp_path, kafka, topic, "replay", "--stage", "VALUE_CONVERTER", "--yes")
    assert "refused again" in ended.err
    assert len(replayed(kafka, topic)) == 1
    # Its topic does not exist: nothing is created, nothing is noted, and the run says so.
    for force in ([], ["--force"]):
        ended = dlq(tmp_path, kafka, topic, "replay", "--topic", f"{topic}-elsewhere", "--yes", *force)
        assert ended.code == 1
        assert "0 of 1 replayed" in ended.err
        assert f"the source topic {topic}-elsewhere" in ended.err
    assert [one["replayed"] for one in listed(tmp_path, kafka, topic)] == [True, False]


def test_the_list_shows_what_is_asked_for(kafka: Kafka, tmp_path: Path) -> None:
    """Lines for people on stdout alone, to be sorted and counted."""
    topic = kafka.unique_topic("listed", 2)
    bury(kafka, topic, [letter(topic, number, partitions=2) for number in range(3)])
    ended = dlq(tmp_path, kafka, topic, "list", "--since", "1h")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out] == ["PLACE", "0/0", "0/1", "0/2"]
    assert f"{topic}/0/1  TASK_PUT  Rejected" in ended.out[3]
    assert ended.out[3].endswith("left  reason 2")
    assert "visitor-" not in str(ended)
    assert "3 dead letters" in ended.err
    assert dlq(tmp_path, kafka, topic, "list", "--until", "1h").out == []
    values = dlq(tmp_path, kafka, topic, "list", "--limit", "1", "--show-values")
    assert len(values.out) == 4
    assert "visitor-0" in values.out[2]
    assert "the first 1 are shown" in values.err
    by_reason = dlq(tmp_path, kafka, topic, "list", "--by", "reason").out
    assert by_reason[0].split() == ["replayed", "superseded", "left", "reason"]
    assert [line.split() for line in by_reason[1:]] == [["0", "0", "1", "Rejected", "reason", str(n)] for n in range(3)]
    assert kafka.committed(topic, topic) == {}


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_topic_that_is_not_there_yet_has_no_letters(kafka: Kafka, tmp_path: Path, command: str) -> None:
    """No dead letter yet is no failure. But a misspelt name looks the same, so it is reported."""
    topic = kafka.unique_topic("none")
    ended = dlq(tmp_path, kafka, topic, command, *(["--yes"] if command == "replay" else []))
    assert (ended.code, ended.out) == (0, [])
    assert ended.err.startswith(f"the topic {topic}.dead-letter does not exist")
    assert len(ended.err.splitlines()) == 1


def test_kafka_out_of_reach_is_code_1_and_one_line(tmp_path: Path) -> None:
    """Without a traceback: the reader is an operator."""
    (port,) = free_ports(1)
    with Command(tmp_path, ["dlq", "list"], environment(f"127.0.0.1:{port}", "t", "http://127.0.0.1:9")) as program:
        assert program.wait(120) == 1
        assert program.stderr.startswith("dlq: ")
        assert len(program.stderr.splitlines()) == 1
        assert "KAFKA_BOOTSTRAP_SERVERS" in program.stderr
