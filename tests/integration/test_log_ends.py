"""Where reading begins without an offset, after retention or truncation, and behind transaction markers.

Each case runs under both group protocols at once: most of its time is waiting.
"""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import Kafka
from tests.support.kafka.logs import add_partitions, cut, delete_before, make_again, produce_transaction
from tests.support.oracle import Event, event
from tests.support.process import Connector
from tests.support.scene import PROTOCOLS, Scene, at_once, both

QUICK = {"topic.metadata.refresh.interval.ms": 500}
LATEST = {"KAFKA_AUTO_OFFSET_RESET": "latest", "KAFKA_PROPERTIES": json.dumps(QUICK)}
OUTAGE = "status=503"
PAUSED_SECONDS = 3.0
"""Without credit the consumer's thread first waits for a second, then pauses."""


def some(prefix: str, count: int, value: str = "new") -> list[Event]:
    """One event for each visitor."""
    return [event(f"{prefix}{number}", a=value) for number in range(count)]


def begun(scene: Scene, connector: Connector, first: Sequence[Event] = ()) -> None:
    """The replica reads to the end of the log, after `first` was written; the group has an offset then."""
    connector.until_said("partitions_assigned")
    scene.produce(first or some("first", 10))
    connector.until(lambda: scene.caught_up() and scene.committed() > 0, "the first ones are committed")


def missed(connector: Connector) -> list[tuple[str, int, int, int]]:
    """The log's report of missing records: why, from, until and how many."""
    said = connector.said("records_missed")
    return [(line["reason"], line["offset"], line["until"], line["records"]) for line in said]


# auto.offset.reset=latest is for a group without offsets, not for a partition without one.


def test_latest_is_the_end_of_the_log_for_a_group_that_is_new(kafka: Kafka, tmp_path: Path) -> None:
    """Earlier records are not wanted; those after the assignment are."""

    def case(scene: Scene) -> None:
        scene.produce(some("before", 20))
        after = some("after", 10)
        with scene.start() as connector:
            begun(scene, connector, after)
            assert connector.stop() == 0
        assert scene.wrong(*after) == []

    both(case, kafka, tmp_path, **LATEST)


def test_latest_reads_added_partitions_from_their_start(kafka: Kafka, tmp_path: Path) -> None:
    """Records between a partition's creation and its assignment belong to the group."""

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            begun(scene, connector)
            add_partitions(scene.kafka, scene.topic, 4)
            for partition in range(4):
                scene.produce(some(f"{partition}-", 100, "added"), partition)
            connector.until(lambda: scene.has("a", "added", 400), "all 400 are delivered")
            connector.until(scene.caught_up, "all is committed")
            assert connector.stop() == 0

    both(case, kafka, tmp_path, **LATEST)


def test_latest_reads_partitions_added_during_downtime_from_their_start(kafka: Kafka, tmp_path: Path) -> None:
    """The same after a restart: the group has offsets in the topic."""

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            begun(scene, connector)
            assert connector.stop() == 0
        add_partitions(scene.kafka, scene.topic, 4)
        for partition in range(4):
            scene.produce(some(f"{partition}-", 100, "added"), partition)
        with scene.start() as connector:
            connector.until(lambda: scene.has("a", "added", 400), "all 400 are delivered")
            assert connector.stop() == 0

    both(case, kafka, tmp_path, **LATEST)


def test_latest_reads_a_topic_that_was_made_again_from_its_start(kafka: Kafka, tmp_path: Path) -> None:
    """The group is not new; its offsets were deleted with the old topic."""

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            begun(scene, connector)
            make_again(scene.kafka, scene.topic)
            scene.produce(some("again", 50, "again"))
            connector.until(lambda: scene.has("a", "again", 50), "all 50 are delivered")
            connector.until(scene.caught_up, "all is committed")
            assert connector.stop() == 0

    both(case, kafka, tmp_path, **LATEST)


# Missing records are reported.


def test_records_deleted_by_retention_during_downtime_are_reported(kafka: Kafka, tmp_path: Path) -> None:
    """Committed 10, the log begins at 60."""

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            begun(scene, connector)
            assert connector.stop() == 0
        scene.produce(some("gone", 50))
        rest = some("rest", 40)
        scene.produce(rest)
        delete_before(scene.kafka, scene.topic, 60)
        with scene.start() as connector:
            connector.until(scene.caught_up, "all is committed")
            assert missed(connector) == [("retention", 10, 60, 50)]
            assert connector.stop() == 0
        assert scene.wrong(*some("first", 10), *rest) == []

    both(case, kafka, tmp_path)


def read_until_paused(scene: Scene, connector: Connector) -> list[Event]:
    """Write, a few at a time, until nothing more is read; returns the records read."""
    read = some("first", 10)
    for wave in range(50):
        more = some(f"wave{wave}-", 5)
        scene.produce(more)
        deadline = time.monotonic() + PAUSED_SECONDS
        while (position := connector.status()["partitions"][0]["position"]) < len(read) + len(more):
            if time.monotonic() > deadline:
                assert connector.metrics()["target_connector_paused"]
                return [*read, *more][:position]
            time.sleep(0.05)
        read += more
    pytest.fail("it reads on")


def test_records_deleted_by_retention_while_an_outage_paused_consumption_are_reported(
    kafka: Kafka, tmp_path: Path
) -> None:
    """The longer the endpoint is down, the likelier it is."""

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            begun(scene, connector)
            scene.sandbox.set_faults(OUTAGE)
            read = read_until_paused(scene, connector)
            scene.produce(some("gone", 50))
            begin = scene.kafka.end_offsets(scene.topic)[0]
            rest = some("rest", 40)
            scene.produce(rest)
            delete_before(scene.kafka, scene.topic, begin)
            scene.sandbox.set_faults()
            connector.until(scene.caught_up, "all is committed")
            assert missed(connector) == [("retention", len(read), begin, begin - len(read))]
            assert connector.stop() == 0
        assert scene.wrong(*read, *rest) == []

    both(case, kafka, tmp_path, COALESCE_MAX_VISITORS=10)


def test_truncated_records_are_reported(broker: KafkaBroker, tmp_path: Path) -> None:
    """Committed 200, the log ends at 30: with nothing written since, and with a few records."""

    def prepare(scene: Scene, _new: list[Event]) -> None:
        scene.produce(some("kept", 30))
        scene.produce(some("cut", 170))
        with scene.start() as before:
            before.until(lambda: scene.committed() == 200, "all is committed")
            assert before.stop() == 0

    def judge(scene: Scene, new: list[Event]) -> None:
        scene.produce(new)
        with scene.start() as after:
            after.until_said("records_missed")
            scene.produce(some("later", 10))
            after.until(scene.caught_up, "all is committed")
            assert missed(after) == [("truncation", 30 + len(new), 200, 170 - len(new))]
            assert after.stop() == 0
        assert scene.wrong(*some("kept", 30), *some("cut", 170), *new, *some("later", 10)) == []
        assert scene.sandbox.stats()["applied"] == 210 + len(new), "what was sent is not sent again"

    with ExitStack() as stack:
        cases = [
            (Scene.open(broker, tmp_path, stack, protocol), new)
            for protocol, new in product(PROTOCOLS, ([], some("new", 20)))
        ]
        at_once(prepare, cases)
        broker.stop()
        for scene, _ in cases:
            cut(broker, scene.topic, 30)
        broker.start()
        at_once(judge, cases)


# Offsets that no consumer sees.


def test_transactions_leave_no_lag(kafka: Kafka, tmp_path: Path) -> None:
    """Behind an aborted tail, behind a commit marker, and where there is nothing but an aborted transaction."""

    def no_lag(scene: Scene, connector: Connector, end: int) -> None:
        name = f'target_connector_consumer_lag{{partition="0",topic="{scene.topic}"}}'
        connector.until(lambda: scene.committed() == end, "the commit is at the end of the log")
        connector.until(lambda: connector.metrics().get(name) == 0, "the lag is 0")

    def case(scene: Scene) -> None:
        with scene.start() as connector:
            connector.until_said("partitions_assigned")
            produce_transaction(scene.kafka, scene.topic, some("never", 5), commit=False)
            no_lag(scene, connector, 6)
            produce_transaction(scene.kafka, scene.topic, some("single", 1), commit=True)
            no_lag(scene, connector, 8)
            produce_transaction(scene.kafka, scene.topic, some("committed", 10), commit=True)
            produce_transaction(scene.kafka, scene.topic, some("aborted", 15), commit=False)
            no_lag(scene, connector, 35)
            assert connector.stop() == 0
        with scene.start() as connector:
            no_lag(scene, connector, 35)
            assert connector.stop() == 0
        assert scene.wrong(*some("single", 1), *some("committed", 10)) == []

    both(case, kafka, tmp_path)
