"""Findings from a cluster's answers; tests/integration/test_check.py covers the queries themselves."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import KafkaError

from connector.cli.check import kafka
from connector.cli.check.findings import Finding, State
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure
from connector.kafka.inspect import cluster
from connector.kafka.inspect.cluster import Group, Topic
from connector.kafka.inspect.tail_reader import Sample

SILENT = KafkaFailure("_TIMED_OUT", "kafka_error", "no answer in 5 s", "try again")


def topic(partitions: int) -> Topic:
    """A healthy topic with this many partitions."""
    return Topic(partitions, leaderless=0, behind=0, rights=frozenset(kafka.READS))


def partitions(
    monkeypatch: pytest.MonkeyPatch, topics: Mapping[str, Topic | KafkaFailure], group: Group | KafkaFailure
) -> Finding:
    """Findings about them."""

    def no_records(_config: KafkaConfig, _names: Sequence[str]) -> Sample:
        return Sample(())

    monkeypatch.setattr(cluster, "topics", lambda _config, _names: topics)
    monkeypatch.setattr(cluster, "group", lambda _config: group)
    monkeypatch.setattr(kafka, "last_records", no_records)
    monkeypatch.setattr(kafka, "standing", lambda _config, _partitions: {})
    checks = kafka.KafkaChecks(KafkaConfig("kafka:9092", tuple(topics), "g"), lambda _topic, _records: ())
    (found,) = [finding for finding in asyncio.run(checks.topics()) if finding.what == "partitions"]
    return found


def members(count: int) -> Group:
    """A group with this many members."""
    return Group("STABLE", count, None)


def test_more_members_than_partitions_of_all_topics_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaling for lag beyond the partitions adds idle replicas, and the lag stays."""
    found = partitions(monkeypatch, {"a": topic(3), "b": topic(1)}, members(6))
    assert found.state is State.WARNING
    assert found.detail == "4 in all, and the group has 6 members: 2 of them without work"
    assert found.remedy == "run fewer replicas: a further one has no work without a partition"


@pytest.mark.parametrize(
    ("topics", "group"),
    [
        ({"a": topic(3), "b": topic(1)}, members(4)),
        ({"a": topic(3)}, members(0)),
        ({"a": topic(3)}, SILENT),
        ({"a": topic(3), "b": SILENT}, members(4)),
    ],
)
def test_as_many_as_partitions_or_not_known_is_none(
    monkeypatch: pytest.MonkeyPatch, topics: dict[str, Topic | KafkaFailure], group: Group | KafkaFailure
) -> None:
    """A topic that cannot be seen may have partitions enough; that it cannot is a finding of its own."""
    found = partitions(monkeypatch, topics, group)
    assert found.state is State.OK
    assert "in all: at most this number of replicas have work" in found.detail


def group_said(monkeypatch: pytest.MonkeyPatch, group: Group, protocol: str) -> list[Finding]:
    """Findings about its members."""
    monkeypatch.setattr(cluster, "group", lambda _config: group)
    monkeypatch.setattr(kafka, "group_session", lambda _config: (45.0, None))
    checks = kafka.KafkaChecks(KafkaConfig("kafka:9092", ("t",), "g", protocol), lambda _topic, _records: ())
    return [finding for finding in asyncio.run(checks.group()) if finding.what == "members of group g"]


@pytest.mark.parametrize(
    ("group", "protocol"),
    [
        (Group("STABLE", 2, None, "classic", "cooperative-sticky"), "classic"),
        (Group("EMPTY", 0, None, "classic", "range"), "classic"),
        (Group("EMPTY", 0, None, "classic"), "consumer"),
        (Group("PREPARING_REBALANCING", 2, None, "classic", ""), "classic"),
        (Group("STABLE", 2, None, "consumer", "uniform"), "consumer"),
        (Group("STABLE", 2, None), "classic"),
    ],
)
def test_members_that_the_connector_can_join_are_no_finding(
    monkeypatch: pytest.MonkeyPatch, group: Group, protocol: str
) -> None:
    """A group without members takes any protocol; brokers before 4.0 do not report it."""
    assert group_said(monkeypatch, group, protocol) == []


def test_a_member_with_another_assignor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers would answer "inconsistent group protocol" to each of our attempts to join."""
    (found,) = group_said(monkeypatch, Group("STABLE", 1, None, "classic", "range"), "classic")
    assert found.state is State.FAILED
    assert "range" in found.detail
    assert "KAFKA_GROUP_ID" in found.remedy


def test_members_of_the_other_protocol_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers allow some changes while members are left, but not most."""
    (found,) = group_said(monkeypatch, Group("STABLE", 2, None, "classic", "cooperative-sticky"), "consumer")
    assert found.state is State.WARNING
    assert "stop all replicas" in found.remedy


def test_a_coordinator_that_is_being_created_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request for a group creates the offsets topic; until it exists there is no coordinator."""
    coming = KafkaFailure("COORDINATOR_NOT_AVAILABLE", "kafka_error", "not yet", "wait")
    answers: list[object] = [
        coming,
        coming,
        KafkaFailure("GROUP_AUTHORIZATION_FAILED", "x", "no", "no"),
    ]
    monkeypatch.setattr(cluster, "_ask", lambda _config, _ask: {"g": answers.pop(0)})
    monkeypatch.setattr(cluster, "METADATA_SECONDS", 0.0)
    found = cluster.group(KafkaConfig("kafka:9092", ("t",), "g"))
    assert isinstance(found, KafkaFailure)
    assert found.code == "GROUP_AUTHORIZATION_FAILED"


def test_an_error_without_text_is_named_by_its_code() -> None:
    """An empty text between the name of a check and its remedy says nothing."""
    assert cluster._failure(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, "")).detail  # noqa: SLF001 - its edge
