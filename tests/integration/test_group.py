"""Replicas that join, leave and freeze, and a broker that crashes, under load: the profiles must be right."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import Kafka
from tests.support.oracle import Event, caught_up, differences, fold, plain_events
from tests.support.process import START_SECONDS, Connector, Sandbox, environment, until

PROTOCOLS = ("classic", "consumer")


def produce(kafka: Kafka, topic: str, events: Sequence[Event]) -> None:
    """Append by key."""
    kafka.produce(topic, [(key, value, None) for key, value in events])


def owned(*replicas: Connector) -> list[int]:
    """The number of partitions of each."""
    return [int(replica.metrics()["target_connector_partitions_assigned"]) for replica in replicas]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_replicas_that_join_and_leave_under_load_lose_nothing(kafka: Kafka, tmp_path: Path, protocol: str) -> None:
    """Scaling and rollouts are routine: no visitor may have two requests at once, from any replicas."""
    topic = kafka.unique_topic("rebalanced", 6)
    waves = [plain_events(random.Random(wave), 3_000, 600) for wave in range(6)]
    load = iter(waves)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(tmp_path, "--fault", "delay=0.05"))
        settings = environment(
            kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol, COMMIT_INTERVAL_SECONDS=0.01
        )

        def start() -> Connector:
            return stack.enter_context(Connector(tmp_path, settings))

        produce(kafka, topic, next(load))
        first = start()
        first.until(lambda: owned(first) == [6], "the first has all")
        produce(kafka, topic, next(load))
        second, third = start(), start()
        until(lambda: owned(first, second, third) == [2, 2, 2], START_SECONDS, "each has two")
        produce(kafka, topic, next(load))
        assert first.stop() == 0
        produce(kafka, topic, next(load))
        until(lambda: owned(second, third) == [3, 3], START_SECONDS, "each has three")
        fourth = start()
        produce(kafka, topic, next(load))
        assert second.stop() == 0
        produce(kafka, topic, next(load))
        until(lambda: owned(third, fourth) == [3, 3], START_SECONDS, "each has three again")
        third.until(lambda: caught_up(kafka, topic), "all is committed", 150)
        assert (third.stop(), fourth.stop()) == (0, 0)
        events = [event for wave in waves for event in wave]
        assert differences(fold(event.value for event in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
    assert kafka.read_all(f"{topic}.dead-letter") == []


class Pair(NamedTuple):
    """Two replicas of one group, and their endpoint."""

    topic: str
    sandbox: Sandbox
    sleeper: Connector
    other: Connector


def test_a_replica_that_was_frozen_past_its_session_gives_up_what_it_had_and_comes_back(
    kafka: Kafka, tmp_path: Path
) -> None:
    """A paused machine does not own its partitions when it wakes: it must neither commit nor hang."""
    events = plain_events(random.Random(11), 2_000, 200)
    late = plain_events(random.Random(12), 400, 200)
    with ExitStack() as stack:
        pairs = []
        for protocol in PROTOCOLS:  # Both at once: most of the time is waiting for the session's end.
            topic = kafka.unique_topic("frozen", 4)
            sandbox = stack.enter_context(Sandbox(tmp_path))
            settings = environment(kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol)
            replicas = [stack.enter_context(Connector(tmp_path, settings)) for _ in range(2)]
            pairs.append(Pair(topic, sandbox, *replicas))
        for topic, _, sleeper, other in pairs:
            until(lambda: owned(sleeper, other) == [2, 2], START_SECONDS, "each has two")  # noqa: B023 - called in this round
            produce(kafka, topic, events[:1_000])
            sleeper.until(lambda: caught_up(kafka, topic), "the first half is committed")  # noqa: B023
        for _, _, sleeper, _ in pairs:
            sleeper.freeze()
        for topic, _, sleeper, other in pairs:
            other.until(lambda: owned(other) == [4], "the other takes over")  # noqa: B023
            produce(kafka, topic, events[1_000:])
            other.until(lambda: caught_up(kafka, topic), "the second half is committed by the other")  # noqa: B023
            sleeper.thaw()
        for topic, sandbox, sleeper, other in pairs:
            sleeper.until_said("partitions_lost")
            until(lambda: owned(sleeper, other) == [2, 2], START_SECONDS, "each has two again")  # noqa: B023
            produce(kafka, topic, late)
            sleeper.until(lambda: caught_up(kafka, topic), "what came later is committed too")  # noqa: B023
            assert (sleeper.stop(), other.stop()) == (0, 0)
            assert differences(fold(event.value for event in [*events, *late]), sandbox.profiles()) == []
            sandbox.assert_no_rule_was_broken()


def test_a_broker_that_crashes_and_comes_back_costs_nothing_but_time(broker: KafkaBroker, tmp_path: Path) -> None:
    """The process waits, and reports when Kafka is back; both protocols at once, since an own broker takes time."""
    with ExitStack() as stack:
        runs = []
        for protocol in PROTOCOLS:
            topic = broker.unique_topic(protocol, 4)
            sandbox = stack.enter_context(Sandbox(tmp_path, "--fault", "delay=0.02"))
            settings = environment(
                broker.bootstrap,
                topic,
                sandbox.url,
                KAFKA_GROUP_PROTOCOL=protocol,
                TARGET_MAX_UPDATES_PER_SECOND=300,
            )
            events = plain_events(random.Random(13), 4_000, 1_000)
            produce(broker, topic, events[:3_000])
            runs.append((topic, sandbox, events, stack.enter_context(Connector(tmp_path, settings))))
        for _, sandbox, _, connector in runs:
            connector.until(lambda: sandbox.stats()["applied"] > 100, "it is in full swing")  # noqa: B023 - called in this round
        broker.kill9()
        for _, _, _, connector in runs:
            connector.until_said("kafka_unreachable")
            assert connector.get("/livez")[0] == 200
        broker.start()
        for topic, sandbox, events, connector in runs:
            produce(broker, topic, events[3_000:])
            connector.until(lambda: caught_up(broker, topic), "all is committed", 90)  # noqa: B023 - called in this round
            connector.until_said("kafka_reached")
            assert connector.stop() == 0
            assert differences(fold(event.value for event in events), sandbox.profiles()) == []
            sandbox.assert_no_rule_was_broken()
