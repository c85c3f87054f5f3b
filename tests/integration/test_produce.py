"""`connector produce` on a real broker: what it reports as written exists, and what it cannot write it reports."""

import os
import subprocess
import sys
from pathlib import Path

from connector.settings.load import PREFIXES
from tests.support.kafka.broker import free_ports
from tests.support.kafka.client import Kafka
from tests.support.process import Connector, Sandbox, environment

GOLD = '{"mbox3rdPartyId": "123456", "profile": {"loyaltyTier": "gold"}}'
SILVER = '{"pcId": "7.28_0", "profile": {"loyaltyTier": "silver"}}'


def produce(servers: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """Run it; returns code, stdout, stderr."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    done = subprocess.run(
        [sys.executable, "-m", "connector", "produce", *words],
        input=stdin,
        env={**around, "KAFKA_BOOTSTRAP_SERVERS": servers},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_event_is_in_the_topic_with_the_visitors_id_as_its_key(kafka: Kafka) -> None:
    """With its partition and offset, for other tools."""
    topic = kafka.unique_topic("produce", 1)
    assert produce(kafka.bootstrap, "--topic", topic, GOLD) == (
        0,
        f"1 event written to {topic} (partition 0, offset 0)\n",
        "",
    )
    assert produce(kafka.bootstrap, "--topic", topic, "--key", "store-7", GOLD, SILVER)[:2] == (
        0,
        f"2 events written to {topic}\n",
    )
    assert [(record.key, record.value) for record in kafka.read_all(topic)] == [
        (b"123456", GOLD.encode()),
        (b"store-7", GOLD.encode()),
        (b"store-7", SILVER.encode()),
    ]


def test_lines_are_delivered_by_a_running_connector(kafka: Kafka, tmp_path: Path) -> None:
    """End to end, from the command line to the profile."""
    topic = kafka.unique_topic("produce", 4)
    with Sandbox(tmp_path) as sandbox:
        code, said, wrong = produce(kafka.bootstrap, "--topic", topic, "-", stdin=f"{GOLD}\n\n{SILVER}\n")
        assert (code, said, wrong) == (0, f"2 events written to {topic}\n", "")
        with Connector(tmp_path, environment(kafka.bootstrap, topic, sandbox.url)) as connector:
            connector.until(lambda: len(sandbox.profiles()) == 2, "both are at Target")
            assert connector.stop() == 0
        assert sorted(sandbox.profiles().values(), key=str) == [{"loyaltyTier": "gold"}, {"loyaltyTier": "silver"}]


def test_a_refused_line_ends_it_with_the_count_of_those_before(kafka: Kafka) -> None:
    """Code 2, and the number of the line to resume at."""
    topic = kafka.unique_topic("produce", 1)
    code, said, wrong = produce(kafka.bootstrap, "--topic", topic, "-", stdin=f'{GOLD}\n{{"pcId": "1"}}\n{SILVER}\n')
    assert (code, said) == (2, "")
    rule = "profile must be an object with at least one attribute"
    assert wrong == f"produce: line 2: {rule}; 1 event written before it\n"
    assert len(kafka.read_all(topic)) == 1


def test_a_topic_that_does_not_exist_is_not_made(kafka: Kafka) -> None:
    """A misspelt name must not become a topic with the broker's default number of partitions."""
    code, _, wrong = produce(kafka.bootstrap, "--topic", "no-such-topic", GOLD)
    assert code == 1
    assert "there is no topic no-such-topic; create it, or give another name to --topic" in wrong
    again = produce(kafka.bootstrap, "--topic", "no-such-topic", GOLD)
    assert again[0] == 1


def test_an_event_that_the_topic_does_not_take_is_code_1(kafka: Kafka) -> None:
    """The broker's refusal comes after the client took the event."""
    topic = kafka.create_topic("small-events", 1, **{"max.message.bytes": 1_000})
    value = os.urandom(10_000).hex()  # Cannot be compressed below the topic's limit.
    code, said, wrong = produce(
        kafka.bootstrap, "--topic", topic, "-", stdin=f'{{"pcId":"1","profile":{{"a":"{value}"}}}}'
    )
    assert (code, said) == (1, "")
    assert wrong.startswith("produce: 0 events written; Kafka failed: ")


def test_without_a_broker_it_says_what_to_look_at() -> None:
    """Code 1, with the setting to check, and not only that something timed out."""
    code, _, wrong = produce(f"127.0.0.1:{free_ports(1)[0]}", "--topic", "t", GOLD)
    assert code == 1
    assert "Connection refused" in wrong
    assert "check KAFKA_BOOTSTRAP_SERVERS" in wrong
    assert "goes on" not in wrong
