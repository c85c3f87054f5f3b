"""Which offset may be committed, so that no record is ever behind the group's position and not done."""

from itertools import islice
from typing import NamedTuple

from connector.delivery import owed
from connector.delivery.owed import Owed
from connector.events.change import Visitor

MOST_OWED = 612
"""More visitors than a commit's metadata can name."""


class TopicPartition(NamedTuple):
    """A partition by name, as it crosses the edges."""

    topic: str
    partition: int


class OffsetAndMetadata(NamedTuple):
    """What a group commits for a partition, by Kafka's own name; offset -1: none, or not known."""

    offset: int
    metadata: str = ""


class PartitionOffsets:
    """One assignment of one partition: what was taken from it and what of that is still open.

    An assignment that ends takes its object with it. Whoever still holds a reference settles nothing by it: a partition
    that comes back is a new object that starts at the committed offset. That is why there is no epoch number anywhere.

    Cost: one entry for each thing that is open (a pending update, a dead letter), none for each coalesced record.
    """

    __slots__ = ("_open", "_owed", "committed", "detached", "letters", "name", "position", "revoking")

    def __init__(self, name: TopicPartition, start: OffsetAndMetadata = OffsetAndMetadata(-1)) -> None:  # noqa: B008 - a tuple never changes
        """`start` is where the group stands, with what an earlier owner said of the records beyond it."""
        self.name = name
        self.position = start.offset
        """The offset after the last record taken."""
        self.committed = start
        """What the group coordinator last acknowledged."""
        self.letters = 0
        """Records whose own dead letter is not acknowledged yet."""
        self.revoking = False
        """Set while the group takes the partition away: nothing of it goes on the wire any more."""
        self.detached = False
        """Set when the assignment is over: a receipt of it counts for nothing."""
        self._open: dict[int, Visitor | None] = {}
        self._owed = owed.decode(start.offset, start.metadata)

    def open(self, offset: int, visitor: Visitor | None) -> None:
        """Hold the committable offset at `offset` or below until it is closed; offsets are opened in order.

        `visitor` is who is owed, None for a record that waits for its dead letter.
        """
        self._open[offset] = visitor

    def close(self, offset: int) -> None:
        """What `offset` stood for is done."""
        del self._open[offset]

    @property
    def committable(self) -> int:
        """The offset below which every record is done; -1 when nothing was taken yet and none was committed."""
        return next(iter(self._open), self.position)

    @property
    def recovering(self) -> Owed | None:
        """What an earlier owner settled beyond the offset at which we began, while we still read that stretch."""
        return self._owed if self._owed is not None and self.position < self._owed.until else None

    def to_commit(self, limit: int = owed.MAX_CHARACTERS) -> OffsetAndMetadata:
        """The committable offset, and in at most `limit` characters who is owed beyond it."""
        offset, until = self.committable, self.position
        waiting: list[tuple[int, int]] = []
        earlier = self.recovering
        for first, visitor in islice(self._open.items(), MOST_OWED):
            if visitor is None:
                until, earlier = first, None
                break
            waiting.append((first, owed.fingerprint(visitor)))
        else:
            if len(self._open) > MOST_OWED:
                until, earlier = waiting[-1][0], None
        if earlier is None:
            return OffsetAndMetadata(offset, owed.encode(offset, until, waiting, limit))
        entries = owed.merged(waiting, earlier, self.position)
        return OffsetAndMetadata(offset, owed.encode(offset, earlier.until, entries, limit))
