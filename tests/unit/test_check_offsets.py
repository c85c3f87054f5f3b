"""Findings about committed offsets that the log may not have any more."""

from connector.cli.check.findings import Finding, State
from connector.cli.check.offsets import findings
from connector.delivery.offset_mark import OffsetMark, encode
from connector.delivery.start_position import LogState, OffsetAndMetadata, TopicPartition
from connector.kafka.errors import KafkaFailure
from connector.kafka.standing import Standing

OLD, NEW = "AAAAAAAAAAAAAAAAAAAAA1", "AAAAAAAAAAAAAAAAAAAAA2"


def said(*partitions: Standing) -> Finding:
    """Findings for one topic."""
    (found,) = findings(["t"], {TopicPartition("t", number): it for number, it in enumerate(partitions)})
    return found


def at(offset: int, low: int, high: int, topic_id: str = OLD) -> Standing:
    """Committed in the log `OLD`."""
    return Standing(OffsetAndMetadata(offset, encode(OffsetMark(OLD, 1), "")), LogState(low, high, topic_id))


def test_existing_offsets_are_one_line() -> None:
    """The log's start and end are offsets that it has; a partition without an offset is no finding."""
    found = said(at(5, 5, 90), at(90, 5, 90), at(40, 0, 90), Standing(OffsetAndMetadata(-1), LogState(0, 5, OLD)))
    assert found == Finding(State.OK, "committed offsets of t", "the log has all of them, in 3 partitions")


def test_a_group_without_offsets_is_no_finding() -> None:
    """A line without content hides the others."""
    assert list(findings(["t"], {TopicPartition("t", 0): Standing(OffsetAndMetadata(-1), LogState(0, 5, OLD))})) == []


def test_each_cause_has_its_remedy_once() -> None:
    """Retention, a truncated tail and a recreated topic need three different remedies."""
    found = said(at(2, 5, 90), at(3, 5, 90), at(40, 5, 30), at(40, 0, 2_900, NEW), at(41, 0, 2_900, NEW))
    assert found.state is State.WARNING
    assert found.detail == (
        "partition 0: committed is 2, and the log begins at 5: 3 records are gone; "
        "partition 1: committed is 3, and the log begins at 5: 2 records are gone; "
        "partition 2: committed is 40, and the log ends at 30: 10 records are gone; and in 2 more"
    )
    assert found.remedy.count("retention.ms") == 1
    assert found.remedy.count("unclean.leader.election.enable=false") == 1
    assert found.remedy.count("who deleted") == 1


def test_a_coordinator_that_is_silent_is_a_warning_of_its_own() -> None:
    """Nothing is known then, and "all are there" would be wrong."""
    failure = KafkaFailure("_TIMED_OUT", "kafka_error", "no answer", "try again")
    (found,) = findings(["t"], failure)
    assert found == Finding(State.WARNING, "committed offsets", "no answer", "try again")
