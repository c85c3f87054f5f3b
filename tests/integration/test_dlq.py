"""Dead letters shown and replayed on a real broker: each at most once, where it came from, and nothing by accident."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connector.delivery.letter import DeadLetter, Stage
from connector.delivery.offsets import TopicPartition
from connector.kafka.config import KafkaConfig
from connector.kafka.dead_letters import KafkaDeadLetters
from tests.support.kafka.broker import KafkaBroker, Record, free_ports
from tests.support.oracle import caught_up, event
from tests.support.process import Connector, Program, Sandbox, environment


class Ended(NamedTuple):
    """A run's exit code and output."""

    code: int
    out: list[str]
    err: str


def dlq(folder: Path, kafka: KafkaBroker, topic: str, *words: str) -> Ended:
    """Run the program once, without a terminal."""
    settings = environment(kafka.bootstrap, topic, "http://127.0.0.1:9")
    with Program(folder, ["dlq", *words], settings) as program:
        return Ended(program.wait(120), program.stdout.splitlines(), program.stderr)


def bury(kafka: KafkaBroker, topic: str, letters: Iterable[DeadLetter]) -> None:
    """Write letters as the service does."""

    async def main() -> None:
        config = KafkaConfig(kafka.bootstrap, (topic,), topic, dead_letter_topic=f"{topic}.dead-letter")
        writer = KafkaDeadLetters(config, print)
        for letter in letters:
            await writer.send(letter)
        await writer.close()

    asyncio.run(main())


def letter(
    topic: str, number: int, stage: Stage = Stage.TARGET, error: str = "Rejected", partition: int = 0
) -> DeadLetter:
    """One of many."""
    key, value = event(f"visitor-{number}", a=number)
    return DeadLetter(TopicPartition(topic, partition), number, stage, error, f"reason {number}", key, value)


def came_from(records: Iterable[Record]) -> list[str]:
    """Which letters the records of a source topic were written from."""
    return [record.headers["target_connector.replayed_from"].decode() for record in records]


def listed(folder: Path, kafka: KafkaBroker, topic: str, *words: str) -> list[dict[str, Any]]:
    """What list says, for programs."""
    ended = dlq(folder, kafka, topic, "list", "--format", "json", *words)
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out]


def test_a_rejected_update_arrives_after_its_cause_is_gone(kafka: KafkaBroker, tmp_path: Path) -> None:
    """The whole way: rejected, listed, replayed, delivered; what was refused by the decoder stays where it is."""
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
            ended = dlq(tmp_path, kafka, topic, "replay")
            assert ended.code == 0
            assert "newest wins" in ended.err
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


def test_each_goes_back_to_its_partition_with_key_and_value_as_they_were(kafka: KafkaBroker, tmp_path: Path) -> None:
    """By its key alone it could land in another partition than its visitor's newer events: their order would be lost.

    Other producers, Java's above all, hash keys in another way than ours.
    """
    topic = kafka.unique_topic("places", 6)
    bury(kafka, topic, [letter(topic, number, partition=number % 6) for number in range(24)])
    assert dlq(tmp_path, kafka, topic, "replay").code == 0
    records = kafka.read_all(topic)
    assert sorted((r.partition, r.key, r.value) for r in records) == sorted(
        (number % 6, *event(f"visitor-{number}", a=number)) for number in range(24)
    )
    assert sorted(came_from(records)) == sorted(f"{topic}.dead-letter/0/{number}" for number in range(24))
    # In each partition in the order of the letters.
    for partition in range(6):
        ours = [record.value for record in records if record.partition == partition]
        assert ours == [event(f"visitor-{number}", a=number)[1] for number in range(partition, 24, 6)]


def test_none_is_replayed_twice_unless_it_is_asked_for(kafka: KafkaBroker, tmp_path: Path) -> None:
    """With filters and limits in any order, each once: the rest is left for later runs, and a dry run takes nothing."""
    topic = kafka.unique_topic("once")
    errors = ["Rejected", "RetriesExhausted"]
    bury(kafka, topic, [letter(topic, number, error=errors[number % 2]) for number in range(10)])

    def there() -> list[int]:
        return [int(place.rpartition("/")[2]) for place in came_from(kafka.read_all(topic))]

    dry = dlq(tmp_path, kafka, topic, "replay", "--dry-run", "--limit", "3")
    assert (dry.code, len(dry.out)) == (0, 3)
    assert "visitor-" not in str(dry)
    assert there() == []
    assert dlq(tmp_path, kafka, topic, "replay", "--error", "RetriesExhausted", "--limit", "2").code == 0
    assert there() == [1, 3]
    assert dlq(tmp_path, kafka, topic, "replay", "--error", "Rejected", "--yes").code == 0
    assert there() == [1, 3, 0, 2, 4, 6, 8]
    last = dlq(tmp_path, kafka, topic, "replay")
    assert "7 replayed before" in last.err
    assert there() == [1, 3, 0, 2, 4, 6, 8, 5, 7, 9]
    nothing = dlq(tmp_path, kafka, topic, "replay")
    assert (nothing.code, len(there())) == (0, 10)
    assert "to replay: 0" in nothing.err
    assert all(one["replayed"] for one in listed(tmp_path, kafka, topic))
    assert dlq(tmp_path, kafka, topic, "replay", "--from-beginning", "--limit", "1").code == 0
    assert there()[10:] == [0]


def test_refused_events_are_replayed_only_by_name(kafka: KafkaBroker, tmp_path: Path) -> None:
    """The same bytes are refused again, and would be a dead letter each time, for ever."""
    topic = kafka.unique_topic("refused")
    bury(kafka, topic, [letter(topic, 0, Stage.DECODE, "Refused"), letter(f"{topic}-elsewhere", 1)])
    ended = dlq(tmp_path, kafka, topic, "replay")
    assert "left out: 1 refused by the decoder" in ended.err
    assert "left out: 1 from a topic that is not in KAFKA_TOPICS" in ended.err
    assert kafka.read_all(topic) == []
    ended = dlq(tmp_path, kafka, topic, "replay", "--stage", "VALUE_CONVERTER")
    assert "refused again" in ended.err
    assert len(kafka.read_all(topic)) == 1
    # Its topic is not there: nothing is made, nothing is noted, and the run says so.
    ended = dlq(tmp_path, kafka, topic, "replay", "--topic", f"{topic}-elsewhere")
    assert ended.code == 1
    assert "0 of 1 replayed" in ended.err
    assert [one["replayed"] for one in listed(tmp_path, kafka, topic)] == [True, False]


def test_the_list_shows_what_is_asked_for(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Lines for people on stdout alone, so that they can be sorted and counted."""
    topic = kafka.unique_topic("listed", 2)
    bury(kafka, topic, [letter(topic, number, partition=1) for number in range(3)])
    ended = dlq(tmp_path, kafka, topic, "list", "--since", "1h")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out] == ["0/0", "0/1", "0/2"]
    assert f"{topic}/1/2  TASK_PUT  Rejected" in ended.out[2]
    assert ended.out[2].endswith("reason 2")
    assert "visitor-" not in str(ended)
    assert "3 dead letters" in ended.err
    assert dlq(tmp_path, kafka, topic, "list", "--until", "1h").out == []
    values = dlq(tmp_path, kafka, topic, "list", "--limit", "1", "--show-values").out
    assert len(values) == 3
    assert "visitor-0" in values[1]
    assert kafka.committed(topic, topic) == {}


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_topic_that_is_not_there_yet_has_no_letters(kafka: KafkaBroker, tmp_path: Path, command: str) -> None:
    """Nothing was ever undeliverable: that is no failure. But a misspelt name looks the same, so it is said."""
    topic = kafka.unique_topic("none")
    ended = dlq(tmp_path, kafka, topic, command)
    assert (ended.code, ended.out) == (0, [])
    assert ended.err.startswith(f"the topic {topic}.dead-letter does not exist")
    assert len(ended.err.splitlines()) == 1


def test_kafka_out_of_reach_is_code_1_and_one_line(tmp_path: Path) -> None:
    """Without a traceback: the reader is an operator."""
    (port,) = free_ports(1)
    with Program(tmp_path, ["dlq", "list"], environment(f"127.0.0.1:{port}", "t", "http://127.0.0.1:9")) as program:
        assert program.wait(120) == 1
        assert program.stderr.startswith("dlq: ")
        assert len(program.stderr.splitlines()) == 1
        assert "KAFKA_BOOTSTRAP_SERVERS" in program.stderr
