"""What may be committed, in the small tables that the state machine's failures are easier to read by."""

from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.events.change import Visitor

V = Visitor("pcId", "v")


def _tracker() -> OffsetTracker:
    return OffsetTracker(TopicPartition("t", 0))


def test_nothing_taken_is_nothing_to_commit() -> None:
    """A fresh assignment commits nothing; 0 would throw the group back to the start of the log."""
    assert _tracker().watermark == -1


def test_the_position_is_committable_when_nothing_is_open() -> None:
    """Skipped records move the commit along; a tracker of open ones alone would stand still on tombstones."""
    tracker = _tracker()
    tracker.position = 42
    assert tracker.watermark == 42


def test_completion_out_of_order_never_passes_the_first_that_is_open() -> None:
    """The commit waits for the lowest open offset; "highest done" would lose what is below it."""
    tracker = _tracker()
    for offset in (5, 6, 9):
        tracker.open(offset, V)
    tracker.position = 10
    tracker.close(9)
    tracker.close(6)
    assert tracker.watermark == 5
    tracker.close(5)
    assert tracker.watermark == 10


def test_an_open_first_record_holds_before_the_position_moves() -> None:
    """Between open and the move of the position the record is safe, even as the first one of all."""
    tracker = _tracker()
    tracker.open(7, None)
    assert tracker.watermark == 7
