"""The watermark, in small tables that are easier to read than the state machine's failures."""

from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.events.change import Visitor

V = Visitor("pcId", "v")


def _tracker() -> OffsetTracker:
    return OffsetTracker(TopicPartition("t", 0))


def test_nothing_consumed_is_nothing_to_commit() -> None:
    """A fresh assignment commits nothing; 0 would reset the group to the start of the log."""
    assert _tracker().watermark == -1


def test_the_position_is_committable_when_nothing_is_open() -> None:
    """Skipped records advance the watermark; a tracker of open ones alone would stall on tombstones."""
    tracker = _tracker()
    tracker.position = 42
    assert tracker.watermark == 42


def test_completion_out_of_order_never_passes_the_first_open_offset() -> None:
    """The watermark waits for the lowest open offset; "highest done" would lose the records below it."""
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
    """Between its opening and the advance of the position the record is safe, even as the very first one."""
    tracker = _tracker()
    tracker.open(7, None)
    assert tracker.watermark == 7
