"""What the check makes of what a cluster says: that it is asked rightly, tests/integration/test_check.py says."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from connector.cli.check import kafka
from connector.cli.check.findings import Finding, State
from connector.events import JsonDecoder
from connector.kafka import survey
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import Kind, Trouble
from connector.kafka.sample import Sample
from connector.kafka.survey import Group, Topic

SILENT = Trouble(Kind.RETRIABLE, "kafka_error", "_TIMED_OUT", "no answer in 5 s", "try again")


def topic(partitions: int) -> Topic:
    """One that is well, of so many partitions."""
    return Topic(partitions, leaderless=0, behind=0, rights=frozenset(kafka.READS))


def partitions(
    monkeypatch: pytest.MonkeyPatch, topics: Mapping[str, Topic | Trouble], group: Group | Trouble
) -> Finding:
    """What is said of them."""

    def no_records(_config: KafkaConfig, _names: Sequence[str]) -> Sample:
        return Sample(())

    monkeypatch.setattr(survey, "topics", lambda _config, _names: topics)
    monkeypatch.setattr(survey, "group", lambda _config: group)
    monkeypatch.setattr(kafka, "last_records", no_records)
    checks = kafka.KafkaChecks(KafkaConfig("kafka:9092", tuple(topics), "g"), JsonDecoder())
    (found,) = [finding for finding in asyncio.run(checks.topics()) if finding.what == "partitions"]
    return found


def members(count: int) -> Group:
    """A group of so many."""
    return Group("STABLE", count, None)


def test_more_members_than_partitions_of_all_topics_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who scales for lag beyond the partitions pays for replicas that wait, and the lag stays."""
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
    monkeypatch: pytest.MonkeyPatch, topics: dict[str, Topic | Trouble], group: Group | Trouble
) -> None:
    """A topic that cannot be seen may have partitions enough; that it cannot is said by itself."""
    found = partitions(monkeypatch, topics, group)
    assert found.state is State.OK
    assert "in all: so many replicas of the connector at most have work" in found.detail
