"""librdkafka's configuration: one property, ours or of KAFKA_PROPERTIES, could break commit safety."""

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from connector.kafka.config import KafkaConfig, client, consumer, producer, standalone_config

SAFETY = {"enable.auto.commit": False, "enable.auto.offset.store": False, "enable.partition.eof": True}
PROTOCOLS = ("classic", "consumer")


def config(**others: Any) -> KafkaConfig:
    """The minimal settings, and those under test."""
    return KafkaConfig(**{"bootstrap_servers": "127.0.0.1:9", "topics": ("t",), "group_id": "g", **others})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_committed_or_stored_by_itself(protocol: str) -> None:
    """An automatic commit could pass unsettled records, which would lose events."""
    made = consumer(config(group_protocol=protocol))
    assert {name: made[name] for name in SAFETY} == SAFETY


HOSTILE = {
    "enable.auto.commit": "true",
    "enable.auto.offset.store": "true",
    "enable.partition.eof": "true",
    "partition.assignment.strategy": "range",
    "group.id": "another",
    "group.protocol": "another",
    "auto.offset.reset": "latest",
    "bootstrap.servers": "elsewhere:9092",
    "acks": "0",
    "enable.idempotence": "false",
    "allow.auto.create.topics": "true",
    "delivery.timeout.ms": "1",
}


def test_further_properties_undo_nothing_that_safety_needs() -> None:
    """The settings refuse most of these; the Kafka room must not depend on that."""
    plain, hostile = config(), config(properties=HOSTILE)
    ours_alone = {"acks", "enable.idempotence", "allow.auto.create.topics", "delivery.timeout.ms"}
    read, written = consumer(hostile), producer(hostile)
    assert {name: read[name] for name in HOSTILE.keys() - ours_alone - {"bootstrap.servers"}} == {
        name: consumer(plain)[name] for name in HOSTILE.keys() - ours_alone - {"bootstrap.servers"}
    }
    assert {name: written[name] for name in ours_alone} == {name: producer(plain)[name] for name in ours_alone}


def test_a_standalone_consumer_joins_no_group_and_commits_nothing() -> None:
    """Reading a production topic must not move the service's offsets, whatever KAFKA_PROPERTIES say."""
    properties = {**HOSTILE, "session.timeout.ms": "400000", "heartbeat.interval.ms": "9000"}
    made = standalone_config(replace(config(properties=properties), group_protocol="consumer", group_instance_id="a"))
    names = ("group.protocol", "enable.auto.commit", "enable.auto.offset.store", "allow.auto.create.topics")
    assert [made[name] for name in names] == ["classic", False, False, False]
    assert not {"group.instance.id", "session.timeout.ms", "heartbeat.interval.ms"} & made.keys()
    assert Consumer(made) is not None


def test_further_properties_reach_both_and_those_of_a_consumer_only_the_consumer() -> None:
    """A producer warns about each consumer property in its log."""
    properties = {
        "session.timeout.ms": "10000",
        "heartbeat.interval.ms": "1000",
        "fetch.min.bytes": "10",
        "fetch.queue.backoff.ms": "7",
        "queued.min.messages": "100",
        "max.poll.interval.ms": "400000",
        "max.partition.fetch.bytes": "65536",
        "isolation.level": "read_committed",
        "check.crcs": "true",
        "group.remote.assignor": "uniform",
        "socket.keepalive.enable": "true",
        "client.id": "mine",
    }
    read, written = consumer(config(properties=properties)), producer(config(properties=properties))
    assert {name: str(read[name]) for name in properties} == properties
    assert {name: written[name] for name in properties if name in written} == {
        "socket.keepalive.enable": "true",
        "client.id": "mine",
    }


@pytest.mark.parametrize(
    ("properties", "taken"),
    [
        ({}, {"linger.ms": "5", "compression.type": "zstd", "message.max.bytes": "100000000"}),
        ({"linger.ms": "100"}, {"linger.ms": "100"}),
        ({"compression.type": "none"}, {"compression.type": "none"}),
        ({"compression.codec": "lz4"}, {"compression.type": "lz4"}),
        ({"queue.buffering.max.ms": "100"}, {"linger.ms": "100"}),
        ({"message.max.bytes": "2000000"}, {"message.max.bytes": "2000000"}),
    ],
)
def test_a_users_producer_properties_hold(properties: dict[str, str], taken: dict[str, str]) -> None:
    """A broker may forbid zstd; a property without effect would show only at the first dead letter."""
    made = {**producer(config(properties=properties)), "debug": "conf", "log_level": 7}
    said: list[str] = []

    class Log:
        def log(self, _level: int, _format: str, *parts: object) -> None:
            said.append(str(parts[-1]))

    Producer(made, logger=Log()).poll(0)
    # As librdkafka reports it; it prints the older of two names.
    older = {"linger.ms": "queue.buffering.max.ms", "compression.type": "compression.codec"}
    for name, value in taken.items():
        assert any(line.endswith(f" {older.get(name, name)} = {value}") for line in said), said


def test_the_assignment_is_cooperative_where_the_client_decides_it() -> None:
    """Eager rebalances stop all replicas; with KIP-848 the broker decides, and the property is refused."""
    assert consumer(config())["partition.assignment.strategy"] == "cooperative-sticky"
    assert "partition.assignment.strategy" not in consumer(config(group_protocol="consumer"))


def test_a_replica_has_an_instance_id_only_if_given_one() -> None:
    """A generated one would hold partitions for a member that never comes back."""
    assert "group.instance.id" not in consumer(config())
    assert consumer(config(group_instance_id="pod-0"))["group.instance.id"] == "pod-0"


@pytest.mark.parametrize(("timeout", "least"), [(0.5, 300_000), (10.0, 300_000), (240.0, 468_000), (300.0, 570_000)])
def test_a_revoke_has_time_for_the_longest_request(timeout: float, least: int) -> None:
    """A member that waits for its requests longer than the poll interval is removed from the group."""
    interval = consumer(config(request_timeout=timeout))["max.poll.interval.ms"]
    assert interval == least
    assert int(interval) >= (timeout + 60) * 1_000


@pytest.mark.parametrize(
    ("properties", "timeout", "interval"),
    [({}, 10.0, 77_000), ({"session.timeout.ms": "6000"}, 10.0, 70_000), ({}, 30.0, 111_000)],
)
def test_a_poll_interval_that_is_too_short_counts_as_the_least(
    properties: dict[str, str], timeout: float, interval: int
) -> None:
    """As the description of KAFKA_PROPERTIES says: a minute more than the session, and than a request."""
    for short in ("1", "60000", str(interval - 1)):
        made = consumer(config(properties={**properties, "max.poll.interval.ms": short}, request_timeout=timeout))
        assert made["max.poll.interval.ms"] == interval


def test_security_reaches_every_client() -> None:
    """A dead letter or a metadata call without it would fail where consuming works."""
    security = {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512", "sasl.password": "hush"}
    for build in (client, consumer, producer):
        made = build(config(security=security))
        assert {name: made[name] for name in security} == security


def test_secrets_are_not_shown() -> None:
    """A config printed in an assertion or a traceback must not show them."""
    shown = repr(config(security={"sasl.password": "hush"}, properties={"ssl.key.password": "hush"}))
    assert "hush" not in shown


def test_a_dead_letter_counts_when_all_in_sync_replicas_have_it_once() -> None:
    """The source offset is committed after this acknowledgement; an auto-created topic has the wrong retention."""
    made = producer(config())
    assert made["acks"] == "all"
    assert made["enable.idempotence"] is True
    assert made["allow.auto.create.topics"] is False
    assert int(made["message.max.bytes"]) >= 100_000_000
