"""Partitions are read at different speeds; the forecast needs their records by time."""

from connector.delivery.offset_tracker import TopicPartition
from connector.plan import merge as room
from connector.plan.merge import Merge
from tests.support.fakes import FakeRecord

A, B, C = (TopicPartition("t", number) for number in range(3))
START, END = 1_000, 100_000


def record(name: TopicPartition, offset: int, ms: int, size: int = 1) -> FakeRecord:
    """A record's partition and time."""
    return FakeRecord(b"x" * size, offset, topic=name.topic, partition=name.partition, timestamp_ms=ms)


def handed_on(merge: Merge) -> list[tuple[int, int, int]]:
    """(partition, offset, milliseconds), in order."""
    return [(dated.partition(), dated.offset(), dated.timestamp()[1]) for dated in merge.ready()]


def test_a_record_waits_until_no_partition_can_bring_an_earlier_one() -> None:
    """Handed on as read, one partition's whole day would precede another's."""
    merge = Merge([A, B], START, END)
    for offset, ms in enumerate((2_000, 3_000, 9_000)):
        merge.add(record(A, offset, ms))
    assert handed_on(merge) == []
    merge.add(record(B, 0, 2_500))
    merge.add(record(B, 1, 5_000))
    assert handed_on(merge) == [(0, 0, 2_000), (1, 0, 2_500), (0, 1, 3_000), (1, 1, 5_000)]
    assert not merge.is_over
    merge.end(B)
    assert handed_on(merge) == [(0, 2, 9_000)]
    assert not merge.is_over
    merge.end(A)
    merge.end(A)
    assert merge.is_over


def test_time_never_goes_back_in_a_partition() -> None:
    """Producers' clocks differ; the service reads records in the log's order regardless."""
    merge = Merge([A], START, END)
    for offset, ms in enumerate((5_000, 4_000, 6_000)):
        merge.add(record(A, offset, ms))
    assert handed_on(merge) == [(0, 0, 5_000), (0, 1, 5_000), (0, 2, 6_000)]


def test_an_impossible_timestamp_moves_no_clock() -> None:
    """One record from the year 5000 would otherwise move all later ones to the same instant."""
    merge = Merge([A], START, END)
    for offset, ms in enumerate((-1, 2_000, 95_000_000_000_000, 3_000, 0)):
        merge.add(record(A, offset, ms))
    assert handed_on(merge) == [(0, 0, 1_000), (0, 1, 2_000), (0, 2, 2_000), (0, 3, 3_000), (0, 4, 3_000)]
    assert merge.timeless == 3


def test_a_partition_far_ahead_is_paused_until_the_others_caught_up() -> None:
    """Else a partition with earlier times than the others would fill memory; pausing has a cost, so not at once."""
    merge = Merge([A, B], START, END)
    most = room.WAITING_RECORDS // 2
    for offset in range(most):
        assert offset % 1_000 or not merge.ahead()
        merge.add(record(A, offset, 2_000 + offset))
    assert set(merge.ahead()) == {A}
    merge.add(record(B, 0, 2_000 + most // 2))
    assert len(handed_on(merge)) == most // 2 + 2
    assert set(merge.ahead()) == {A}
    merge.add(record(B, 1, 2_000 + most * 4 // 5))
    handed_on(merge)
    assert not merge.ahead()


def test_few_large_records_are_paused_too() -> None:
    """Records of a megabyte must not be counted like records of a hundred bytes."""
    merge = Merge([A, B], START, END)
    for offset in range(32):
        assert not merge.ahead()
        merge.add(record(A, offset, 2_000, size=1 << 20))
    assert set(merge.ahead()) == {A}


def test_many_partitions_share_the_buffer() -> None:
    """A hundred partitions must not take a hundred times the memory."""
    merge = Merge([TopicPartition("t", number) for number in range(100)], START, END)
    for offset in range(room.LEAST_RECORDS):
        assert not merge.ahead()
        merge.add(record(A, offset, 2_000))
    assert set(merge.ahead()) == {A}
