"""One partition that this member owns: where it began, and what is still to be done before it is read."""

from connector.delivery.offset_tracker import NOTHING_COMMITTED, OffsetAndMetadata
from connector.delivery.start_position import Start


class OwnedPartition:
    """What this member knows of it. `Assignment` alone writes its fields."""

    __slots__ = ("acknowledged", "at", "began", "is_held", "read_on_at", "since", "start", "told")

    def __init__(self, since: float) -> None:
        self.since = since
        """Since when it is not known where to read."""
        self.start: Start | None = None
        """Where reading began; None while that is not known, or while the log does not continue there."""
        self.began: Start | None = None
        """The same, also while the log does not continue: the listener knows of the partition."""
        self.told: Start | None = None
        """Where the listener was told that it began: the name of this assignment between the two threads."""
        self.is_held = False
        """The listener does not want it now."""
        self.read_on_at: tuple[int, int] | None = None
        """Offset and leader epoch to read on at, as soon as it is known where the log continues."""
        self.at: int | None = None
        """The position at which the log does not continue, where the client says it."""
        self.acknowledged: OffsetAndMetadata = NOTHING_COMMITTED
        """What the group holds, as far as it was answered."""

    def position(self) -> int:
        """The offset to read at; 0 where that is not known: the partition is paused then, and begins elsewhere."""
        begin = 0 if self.start is None else self.start.offset
        # What retention has taken meanwhile is not there to be read on.
        return begin if self.read_on_at is None else max(self.read_on_at[0], begin)
