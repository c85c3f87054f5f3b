"""After a crash or a freeze, on a real broker: little is sent again, and nothing by a replica without partitions."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, event, fold
from tests.support.process import Connector, Sandbox, environment, request

DELIVERED = 6_000
IN_FLIGHT, SETTLED = 64, 2_000
"""What may be sent again: far less than was delivered."""


def sent(sandbox: Sandbox) -> list[dict[str, object]]:
    """Every request that the endpoint saw, oldest first."""
    _, body = request(sandbox.url, "GET", "/sandbox/log?since=0")
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_kill_9_with_one_visitor_stuck_repeats_little_of_what_was_delivered(
    kafka: Kafka, tmp_path: Path, protocol: str
) -> None:
    """One visitor holds the offset at the beginning; without the owed set a restart would send all again."""
    topic = kafka.unique_topic("owed", 1)
    events = [event("poison", a=0), *(event(f"v{number}", a=number) for number in range(DELIVERED))]
    kafka.produce(topic, [(key, value, None) for key, value in events])
    with Sandbox(tmp_path, "--fault", "status=500,visitors=poison") as sandbox:
        settings = environment(
            kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol, RETRY_MAX_ATTEMPTS=1_000
        )
        with Connector(tmp_path, settings) as victim:
            victim.until(lambda: sandbox.stats()["applied"] >= DELIVERED * 2 // 3, "most are delivered")
            assert kafka.committed(topic, topic)[0].offset == 0
            victim.kill9()
        with Connector(tmp_path, settings) as heir:
            heir.until(lambda: len(sandbox.profiles()) == DELIVERED, "the others are delivered")
            recovered = heir.said("recovery_started")[0]
            assert (recovered["offset"], recovered["owed"] >= 1) == (0, True)
            sandbox.set_faults()
            heir.until(lambda: caught_up(kafka, topic), "all is committed", 120)
            assert heir.stop() == 0
        times = Counter(line["visitor"] for line in sent(sandbox))
        again = sum(count - 1 for visitor, count in times.items() if "poison" not in str(visitor))
        assert again <= IN_FLIGHT + SETTLED, "in flight, and settled since the last commit"
        assert differences(fold(value for _, value in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_replica_that_wakes_from_a_freeze_sends_nothing_old(kafka: Kafka, tmp_path: Path, protocol: str) -> None:
    """It wakes with old values that are overdue; sent before it notices the loss, they would overwrite newer ones."""
    topic = kafka.unique_topic("zombie", 2)
    old = [event(f"v{number}", a="old") for number in range(100)]
    new = [event(f"v{number}", a="new") for number in range(100)]
    with Sandbox(tmp_path) as sandbox:
        settings = environment(
            kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol, COALESCE_LINGER_SECONDS=4
        )
        with Connector(tmp_path, settings) as sleeper, Connector(tmp_path, settings) as other:
            sleeper.until(
                lambda: sum(r.metrics()["target_connector_partitions_assigned"] for r in (sleeper, other)) == 2,
                "the group is settled",
            )
            kafka.produce(topic, [(key, value, None) for key, value in old])
            sleeper.until(lambda: sleeper.metrics()["target_connector_updates_pending"] > 0, "old values wait")
            sleeper.freeze()
            kafka.produce(topic, [(key, value, None) for key, value in new])
            other.until(lambda: len(sandbox.profiles()) == 100, "the other takes over")
            other.until(lambda: caught_up(kafka, topic), "and commits")
            before = len(sent(sandbox))
            sleeper.thaw()
            sleeper.until_said("partitions_lost")
            sleeper.until(lambda: sleeper.metrics()["target_connector_partitions_assigned"] == 1, "it is back")
            assert (sleeper.stop(), other.stop()) == (0, 0)
            assert [line for line in sent(sandbox)[before:] if "old" in str(line["attributes"])] == []
        assert differences(fold(value for _, value in new), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
