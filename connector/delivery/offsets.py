"""Which offset may be committed, so that no record is ever behind the group's position and not done."""

from typing import NamedTuple


class TopicPartition(NamedTuple):
    """A partition by name, as it crosses the edges."""

    topic: str
    partition: int


class PartitionOffsets:
    """One assignment of one partition: what was taken from it and what of that is still open.

    An assignment that ends takes its object with it. Whoever still holds a reference settles nothing by it: a partition
    that comes back is a new object that starts at the committed offset. That is why there is no epoch number anywhere.

    Cost: one entry for each thing that is open (a pending update, a dead letter), none for each coalesced record.
    """

    __slots__ = ("_open", "committed", "detached", "letters", "name", "position", "revoking")

    def __init__(self, name: TopicPartition, committed: int = -1) -> None:
        """`committed` is where the group stands; -1 when it does not or when that is not known."""
        self.name = name
        self.position = committed
        """The offset after the last record taken."""
        self.committed = committed
        """The offset last acknowledged by the group coordinator."""
        self.letters = 0
        """Records whose own dead letter is not acknowledged yet."""
        self.revoking = False
        """Set while the group takes the partition away: nothing of it goes on the wire any more."""
        self.detached = False
        """Set when the assignment is over: a receipt of it counts for nothing."""
        self._open: dict[int, None] = {}

    def open(self, offset: int) -> None:
        """Hold the committable offset at `offset` or below until it is closed; offsets are opened in order."""
        self._open[offset] = None

    def close(self, offset: int) -> None:
        """What `offset` stood for is done."""
        del self._open[offset]

    @property
    def committable(self) -> int:
        """The offset below which every record is done; -1 when nothing was taken yet and none was committed."""
        return next(iter(self._open), self.position)
