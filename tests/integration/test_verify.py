"""`connector verify` on a real broker: which records it reads, by time and by offset, beside the group."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.fakes import event
from tests.support.kafka.client import Kafka
from tests.support.process import Connector, Program, Sandbox, environment, request

HOUR_MS = 3_600_000

pytestmark = pytest.mark.integration


def test_the_settled_records_of_the_hours_are_read_and_nothing_is_changed(kafka: Kafka, tmp_path: Path) -> None:
    """Older records, and those beyond the offset, must not be judged; the group keeps its offsets and has no member.

    What is beyond the offset is read nevertheless: its value may be at Target already, and is no foreign one.
    """
    topic = kafka.unique_topic("verify", 2)
    now = int(time.time() * 1_000)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for hours, visitor, number in ((60, "old", 1), (40, "ann", 1), (30, "ann", 2), (30, "bob", 1), (0, "bob", 2)):
        value = event(visitor, n=number)
        producer.produce(topic, value, visitor, 0, timestamp=now - hours * HOUR_MS)
    assert producer.flush(60) == 0
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})
    consumer.commit(offsets=[TopicPartition(topic, 0, 4)], asynchronous=False)
    consumer.close()
    with Sandbox(tmp_path) as sandbox:
        for visitor in ("ann", "bob"):
            assert (
                request(sandbox.url, "GET", f"/m2/client/profile/update?mbox3rdPartyId={visitor}&profile.n=2")[0] == 200
            )
        settings = environment(kafka.bootstrap, topic, sandbox.url)
        with Program(tmp_path, ["verify", "--format", "json"], settings) as program:
            program.wait(120)
    assert program.exit_code == 0, program.stderr
    report = json.loads(program.stdout)
    assert (report["records"], report["visitors"]["distinct"]) == (3, 2)
    assert {name: count for name, count in report["attributes"].items() if count} == {"match": 1, "pending": 1}
    assert kafka.committed(topic, topic)[0].offset == 4
    admin = kafka.admin()
    assert admin.describe_consumer_groups([topic])[topic].result(60).members == []


def test_a_published_result_reaches_the_replicas_and_spends_nothing(kafka: Kafka, tmp_path: Path) -> None:
    """The status page shows it, also after a restart, and the ledger of an older version passes over the record."""
    topic = kafka.unique_topic("verify", 1)
    with Sandbox(tmp_path) as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, QUOTA_UPDATES="1000", QUOTA_WINDOW_SECONDS="600")
        kafka.produce(topic, [(b"ann", event("ann", n=2), None)])
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: sandbox.profiles() != {}, "the update is applied")
            connector.stop()
        with Program(tmp_path, ["verify", "--publish", "--format", "json"], settings) as program:
            program.wait(120)
        assert program.exit_code == 0, program.stderr
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: connector.status()["verified"] is not None, "the result is known")
            status = connector.status()
    found = status["verified"]
    assert (found["conclusion"], found["drawn"], found["judged"], found["harmed"]) == ("good", 1, 1, 0)
    assert found["verdicts"] == {"match": 1}
    assert found["seconds_ago"] < 60
    assert status["quota"]["used"] <= 12, "its record is no lease"
