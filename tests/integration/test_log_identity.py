"""A log that the committed offset does not belong to: recreated, or truncated and written anew.

Each case runs under both group protocols at once: most of its time is waiting.
"""

from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import Kafka
from tests.support.kafka.logs import cut, make_again
from tests.support.oracle import Event, event
from tests.support.process import Connector
from tests.support.scene import PROTOCOLS, Scene, at_once, both, done

STUCK = "status=503,visitors=poison"
OUTAGE = "status=503"
OLD = 300
"""Records of the log that is made again: the new one is far shorter, a little shorter, or longer."""


def with_one_stuck(count: int) -> list[Event]:
    """One event for each visitor; the endpoint refuses the tenth."""
    return [event("poison" if number == 10 else f"v{number}", a="old") for number in range(count)]


def owed(scene: Scene, events: list[Event], connector: Connector) -> None:
    """All is delivered but one visitor's update, and the group's metadata says so."""
    connector.until(lambda: scene.has("a", "old", len(events) - 1), "the others are delivered")
    connector.until(lambda: scene.committed() == 10, "the offset stands at the owed update")


@pytest.mark.parametrize("how", ["at once", "after its commit", "kill -9"])
def test_topic_made_again_with_one_update_owed_then_a_restart(kafka: Kafka, tmp_path: Path, how: str) -> None:
    """The old offset and its owed visitors reach the new topic's group: a restart must not use them."""
    new = [event(f"v{number}", a="new") for number in range(290)]

    def case(scene: Scene) -> None:
        old = with_one_stuck(OLD)
        scene.produce(old)
        with scene.start() as before:
            owed(scene, old, before)
            make_again(scene.kafka, scene.topic)
            if how == "after its commit":
                before.until(lambda: scene.committed() >= 0, "the group has an offset in the new topic")
            if how == "kill -9":
                before.kill9()
            else:
                assert before.stop() == 0
        scene.produce(new)
        with scene.start() as after:
            after.until(scene.caught_up, "all is committed")
            assert (done(after, "skipped"), done(after, "already_done"), done(after, "accepted")) == (0, 0, 290)
            assert after.stop() == 0
        assert scene.wrong(*old, *new, without="poison") == []
        scene.sandbox.assert_no_rule_was_broken()

    both(case, kafka, tmp_path, STUCK)


@pytest.mark.parametrize("count", [50, 290, 350])
def test_topic_made_again_under_a_running_replica(kafka: Kafka, tmp_path: Path, count: int) -> None:
    """The new log is shorter than the old position, or longer: then the client reads on in its middle."""
    new = [event(f"v{number}", a="new") for number in range(count) if number != 10]

    def case(scene: Scene) -> None:
        old = with_one_stuck(OLD)
        scene.produce(old)
        with scene.start() as connector:
            owed(scene, old, connector)
            make_again(scene.kafka, scene.topic)
            scene.produce(new)
            connector.until(lambda: scene.has("a", "new", len(new)), "all of the new log is delivered")
            connector.until(scene.caught_up, "all is committed")
            assert done(connector, "skipped") == done(connector, "already_done") == 0
            assert connector.said("topic_made_again") or connector.said("partitions_lost")
            assert connector.stop() == 0
        assert scene.wrong(*old, *new, without="poison") == []
        scene.sandbox.assert_no_rule_was_broken()

    both(case, kafka, tmp_path, STUCK)


@pytest.mark.parametrize("count", [60, 150])
def test_topic_made_again_with_all_updates_pending(kafka: Kafka, tmp_path: Path, count: int) -> None:
    """Pending updates of the old log exist nowhere else: they are sent once, unless the partition is revoked."""
    old = [event(f"v{number}", a="old", b=number) for number in range(100)]
    new = [event(f"v{number}", a="new") for number in range(count)]

    def case(scene: Scene) -> None:
        scene.produce(old)
        with scene.start() as connector:
            connector.until(
                lambda: connector.metrics()["target_connector_updates_pending"] == len(old), "all are pending"
            )
            make_again(scene.kafka, scene.topic)
            scene.produce(new)
            # A client that sees the topic missing gives the partition up: pending updates are handed over with it.
            taken = connector.until(
                lambda: [e for e in ("topic_made_again", "partitions_revoked", "partitions_lost") if connector.said(e)],
                "the change of the log is noticed",
            )
            scene.sandbox.set_faults()
            connector.until(lambda: scene.has("a", "new", count), "all of the new log is delivered")
            connector.until(scene.caught_up, "all is committed")
            if taken == ["topic_made_again"] and not (
                connector.said("partitions_revoked") or connector.said("partitions_lost")
            ):
                connector.until(lambda: scene.wrong(*old, *new) == [], "what was pending is delivered too")
            assert connector.stop() == 0
        scene.sandbox.assert_no_rule_was_broken()

    both(case, kafka, tmp_path, OUTAGE)


def test_tail_of_the_log_cut_under_a_running_replica_with_updates_pending(broker: KafkaBroker, tmp_path: Path) -> None:
    """An unclean leader election removes records that were read; the new log is shorter or longer than it was."""
    kept = [event(f"v{number}", a="kept") for number in range(50)]
    lost = [event(f"w{number}", a="lost") for number in range(50)]

    def prepare(scene: Scene, stack: ExitStack) -> Connector:
        scene.produce(kept)
        scene.produce(lost)
        connector = stack.enter_context(scene.start())
        connector.until(lambda: connector.metrics()["target_connector_updates_pending"] == 100, "all are pending")
        return connector

    def judge(scene: Scene, connector: Connector, new: list[Event]) -> None:
        scene.produce(new)
        scene.sandbox.set_faults()
        connector.until(lambda: scene.has("a", "new", len(new)), "all of the new records are delivered")
        connector.until(scene.caught_up, "all is committed")
        # A broker that is away longer than the session costs the assignment, and with it the pending updates:
        # they are handed over, and truncated records cannot be read again.
        gone = connector.said("partitions_lost") or connector.said("partitions_revoked")
        pending = [] if gone else lost
        connector.until(lambda: scene.wrong(*kept, *pending, *new) == [], "what was pending is delivered too")
        assert connector.stop() == 0
        scene.sandbox.assert_no_rule_was_broken()

    with ExitStack() as stack:
        running = []
        for protocol, count in product(PROTOCOLS, (30, 60)):
            scene = Scene.open(broker, tmp_path, stack, protocol, OUTAGE)
            new = [event(f"{kind}{number}", a="new") for kind in "vw" for number in range(count)]
            running.append((scene, prepare(scene, stack), new))
        # Not in order: a broker that is stopping can answer with an empty list of brokers, which librdkafka does
        # not survive (https://github.com/confluentinc/librdkafka/issues/5301).
        broker.kill9()
        for scene, _, _ in running:
            cut(broker, scene.topic, 50)
        broker.start()
        at_once(judge, running)


def test_log_truncated_during_downtime_and_written_beyond_the_committed_offset(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    """The committed offset lies within the log, so only leader epochs show that records below it were never read.

    With and without one visitor's update that is owed.
    """
    lost = [event(f"w{number}", a="old") for number in range(50)]
    new = [event(f"{kind}{number}", a="new") for kind in "wx" for number in range(60)]

    def prepare(scene: Scene, kept: list[Event], stuck: int) -> None:
        scene.produce(kept)
        scene.produce(lost)
        with scene.start() as before:
            before.until(lambda: scene.has("a", "old", 100 - stuck), "the old ones are delivered")
            before.until(lambda: scene.committed() == (10 if stuck else 100), "and committed")
            assert before.stop() == 0

    def judge(scene: Scene, kept: list[Event], stuck: int) -> None:
        scene.produce(new)
        sent = scene.sandbox.stats()["applied"]
        scene.sandbox.set_faults()
        with scene.start() as after:
            after.until(lambda: scene.has("a", "new", len(new)), "all of the new records are delivered")
            after.until(scene.caught_up, "all is committed")
            assert after.stop() == 0
        assert scene.wrong(*kept, *lost, *new) == []
        assert scene.sandbox.stats()["applied"] - sent == len(new) + stuck, "what was sent is not sent again"

    with ExitStack() as stack:
        cases = []
        for protocol, stuck in product(PROTOCOLS, (0, 1)):
            kept = with_one_stuck(50) if stuck else [event(f"v{number}", a="old") for number in range(50)]
            cases.append((Scene.open(broker, tmp_path, stack, protocol, STUCK), kept, stuck))
        at_once(prepare, cases)
        broker.stop()
        for scene, _, _ in cases:
            cut(broker, scene.topic, 50)
        broker.start()
        at_once(judge, cases)
