"""One visitor's pending update: which value wins, in which part, and what merging does to the open offsets."""

from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.delivery.update import Part, Update
from connector.events.change import Visitor

VISITOR = Visitor("mbox3rdPartyId", "1")


def _update(*firsts: int) -> tuple[Update, list[Part], list[OffsetTracker]]:
    """An update with one open offset in as many partitions as offsets are given."""
    update = Update(VISITOR, 0.0)
    trackers = [OffsetTracker(TopicPartition("t", number)) for number in range(len(firsts))]
    for tracker, first in zip(trackers, firsts, strict=True):
        tracker.open(first, None)
        tracker.position = first + 1
        update.parts[tracker] = Part(first, first * 1_000)
    return update, list(update.parts.values()), trackers


def _in_one_part_each(update: Update) -> bool:
    names = [name for part in update.parts.values() for name in part.attributes]
    return len(names) == len(set(names)) == len(update.attributes)


def test_the_last_writer_wins_attribute_by_attribute() -> None:
    """Newer events replace only what they name; replacing the whole profile would lose the rest."""
    update, (part,), _ = _update(0)
    update.write(part, {"a": "1", "b": "1"}, {})
    update.write(part, {"a": "2"}, {})
    assert update.attributes == {"a": "2", "b": "1"}


def test_a_value_is_in_the_part_that_wrote_it_last() -> None:
    """A value moves to its last writer's partition; a copy left behind would be sent again after a revoke."""
    update, (one, two), (_, second) = _update(0, 0)
    update.write(one, {"a": "1", "b": "1"}, {})
    update.write(two, {"a": "2"}, {})
    assert update.attributes == {"a": "2", "b": "1"}
    assert _in_one_part_each(update)
    update.write(one, {"a": "3"}, {})
    assert update.attributes == {"a": "3", "b": "1"}
    assert _in_one_part_each(update)
    del update.parts[second]
    assert update.attributes == {"a": "3", "b": "1"}


def test_by_event_time_the_newest_wins_whatever_comes_last() -> None:
    """A late event does not overwrite a newer value; of two at the same time the later in the log wins."""
    update, (part,), _ = _update(0)
    update.write_at(part, {"a": "new"}, {"a": 20.0})
    update.write_at(part, {"a": "old", "b": "only"}, {"a": 10.0, "b": 10.0})
    assert update.attributes == {"a": "new", "b": "only"}
    update.write_at(part, {"a": "same time"}, {"a": 20.0})
    assert update.attributes == {"a": "same time", "b": "only"}


def test_by_event_time_a_value_is_in_one_part_too() -> None:
    """Only the winner is kept, with its time; a loser kept in another part would be sent again after a revoke."""
    update, (one, two), (first, _) = _update(0, 0)
    update.write_at(one, {"a": "1"}, {"a": 10.0})
    update.write_at(two, {"a": "2"}, {"a": 20.0})
    update.write_at(one, {"a": "3"}, {"a": 15.0})
    assert update.attributes == {"a": "2"}
    assert _in_one_part_each(update)
    assert one.times == {}
    del update.parts[first]
    assert update.attributes == {"a": "2"}


def test_absorbing_merges_values_and_offsets() -> None:
    """The newer values win, and its offset closes into the older one, which alone holds the watermark."""
    update, (part,), (tracker,) = _update(3)
    update.write(part, {"a": "1", "b": "1"}, {})
    newer = Update(VISITOR, 0.0)
    tracker.open(7, None)
    tracker.position = 8
    theirs = newer.parts[tracker] = Part(7, 7_000)
    theirs.records = 4
    newer.write(theirs, {"a": "2", "c": "2"}, {})
    update.absorb(newer, by_time=False)
    assert update.attributes == {"a": "2", "b": "1", "c": "2"}
    assert (update.records, part.oldest_ms, part.first) == (5, 3_000, 3)
    assert tracker.watermark == 3
    tracker.close(3)
    assert tracker.watermark == 8


def test_absorbing_takes_over_another_partition_with_its_offset() -> None:
    """A partition that only the newer one has is kept, still open at its own first offset."""
    update, (part,), _ = _update(3)
    update.write(part, {"a": "1"}, {})
    other = OffsetTracker(TopicPartition("t", 9))
    other.open(50, None)
    other.position = 51
    newer = Update(VISITOR, 0.0)
    theirs = newer.parts[other] = Part(50, 1_000)
    newer.write(theirs, {"a": "2"}, {})
    update.absorb(newer, by_time=False)
    assert update.attributes == {"a": "2"}
    assert _in_one_part_each(update)
    assert update.records == 2
    assert other.watermark == 50


def test_absorbing_by_event_time_keeps_the_newer_value_that_waited_longer() -> None:
    """Between a retried update and what came meanwhile event time decides, not the order of arrival."""
    update, (part,), (tracker,) = _update(3)
    update.write_at(part, {"a": "new"}, {"a": 20.0})
    tracker.open(7, None)
    newer = Update(VISITOR, 0.0)
    theirs = newer.parts[tracker] = Part(7, 7_000)
    newer.write_at(theirs, {"a": "old", "b": "x"}, {"a": 10.0, "b": 10.0})
    update.absorb(newer, by_time=True)
    assert update.attributes == {"a": "new", "b": "x"}


def test_accepted_values_are_dropped_and_their_offsets_stay_open() -> None:
    """A retry of a split update sends only the rest, and the watermark still waits for all of it."""
    update, (one, two), (tracker, _) = _update(3, 4)
    update.write_at(one, {"a": "1", "b": "1"}, {"a": 1.0, "b": 1.0})
    update.write_at(two, {"c": "1"}, {"c": 1.0})
    update.forget(iter(["a", "c"]))
    assert update.attributes == {"b": "1"}
    assert (one.times, two.times) == ({"a": 1.0, "b": 1.0}, {"c": 1.0}), "older values must still be refused"
    assert update.records == 2
    assert tracker.watermark == 3


def test_no_value_yields_to_one_that_only_a_dead_letter_has() -> None:
    """Else the newest value is a dead letter, the one before it is dropped, and Target keeps one older than both."""
    refused, (sent,), _ = _update(0)
    refused.write_at(sent, {"a": "new"}, {"a": 10.0})
    follower, (part,), _ = _update(1)
    follower.write_at(part, {"a": "old"}, {"a": 5.0})
    follower.yield_to(refused, is_accepted=False)
    assert follower.attributes == {"a": "old"}
    follower.yield_to(refused, is_accepted=True)
    assert follower.attributes == {}
