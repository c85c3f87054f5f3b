"""Which offset may be committed, so that no record is ever behind the group's position and not done."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from connector.delivery import offset_mark, offset_metadata
from connector.delivery.offset_mark import OffsetMark
from connector.delivery.offset_metadata import OffsetMetadata
from connector.delivery.start_position import NOTHING_COMMITTED, OffsetAndMetadata, Start, TopicPartition
from connector.events.change import Visitor

__all__ = ["NOTHING_COMMITTED", "OffsetAndMetadata", "OffsetTracker", "Start", "TopicPartition"]

MOST_OWED = 612
"""More visitors than a commit's metadata can name."""


class OffsetTracker:
    """One assignment of one partition: what was taken from it and what of that is still open.

    An assignment that ends takes its object with it. A reference to it that is left settles nothing: a partition that
    comes back is a new object that starts at the committed offset. That is why there is no epoch number anywhere. A log
    that begins anew (its topic was made again, its tail was cut) is a new assignment too.

    Cost: one entry for each thing that is open (a pending update, a dead letter), none for each coalesced record.
    """

    __slots__ = (
        "_earlier",
        "_has_lists",
        "_mark",
        "_open",
        "_rules",
        "committed",
        "detached",
        "hold_below",
        "letters",
        "name",
        "position",
        "read_on_at",
        "revoking",
        "start",
    )

    def __init__(
        self,
        name: TopicPartition,
        start: Start = Start(-1),  # noqa: B008 - it is frozen
        rules: str = "",
    ) -> None:
        """`start` is where reading begins, with what an earlier owner said of the records beyond it.

        `rules` names how records are decoded; what was said under other rules means nothing.
        """
        self.name = name
        self.start = start
        self.position = start.offset
        """The offset after the last record taken."""
        self.committed = start.committed if start.offset == start.committed.offset else NOTHING_COMMITTED
        """What the group coordinator last acknowledged; nothing, where that is not where reading began."""
        self.letters = 0
        """Records whose own dead letter is not acknowledged yet."""
        self.revoking = False
        """Set while the group takes the partition away: nothing of it goes on the wire any more."""
        self.detached = False
        """Set when the assignment is over: a receipt of it counts for nothing."""
        self.read_on_at = start.offset, start.epoch
        """The offset behind the last record taken, and that record's leader epoch; -1 where it is not known."""
        self.hold_below = -1
        """Visitors of records below this offset may have a request of an earlier process on the wire."""
        self._open: dict[int, Visitor | list[Visitor | None] | None] = {}
        """By offset what is open there; a list where a record carried several changes."""
        self._has_lists = False
        """Of a record that is open, some changes may be settled."""
        self._earlier = _earlier(start, rules)
        self._mark = OffsetMark(start.log.topic_id, start.mark.epoch)
        self._rules = rules

    def open(self, offset: int, visitor: Visitor | None) -> None:
        """Hold the committable offset at `offset` or below until it is closed; offsets are opened in order.

        `visitor` is who is owed, None for what waits for its dead letter. A record that carries several changes opens
        its offset several times, once for each visitor and each dead letter.
        """
        if offset in self._open:
            held = self._open[offset]
            if type(held) is list:
                held.append(visitor)
            else:
                self._open[offset] = [cast("Visitor | None", held), visitor]
        else:
            self._open[offset] = visitor

    def carries_several(self) -> None:
        """A record carries several changes: it may be open and partly settled."""
        self._has_lists = True

    def open_letter(self, offset: int) -> None:
        """Hold it for a record that waits for its own dead letter."""
        self.open(offset, None)
        self.letters += 1

    def close_letter(self, offset: int) -> None:
        """That dead letter is acknowledged."""
        self.close(offset)
        self.letters -= 1

    def acknowledge(self, place: OffsetAndMetadata) -> None:
        """The group coordinator holds this now."""
        self.committed = place

    def hold(self, below: int) -> None:
        """Visitors of records below this offset may have a request of an earlier process on the wire."""
        self.hold_below = below

    def revoke(self) -> None:
        """The group takes the partition away: nothing of it goes on the wire any more."""
        self.revoking = True

    def detach(self) -> None:
        """The assignment is over: a receipt of it counts for nothing."""
        self.detached = True

    def close(self, offset: int, visitor: Visitor | None = None) -> None:
        """What `offset` stood for is done: of this visitor, or a dead letter."""
        held = self._open[offset]
        if type(held) is list:
            held.remove(visitor)
            if held:
                return
        del self._open[offset]

    def taken(self, offset: int, epoch: int | None) -> None:
        """All records up to this one were taken; `epoch` is its leader epoch."""
        self.position = offset + 1
        self.read_on_at = self.position, -1 if epoch is None else epoch
        if epoch is not None and epoch > self._mark.epoch:
            self._mark = replace(self._mark, epoch=epoch)
            if self._earlier is not None and epoch > self._earlier.epoch >= 0:
                self._earlier = None  # The log was cut below here: what was said of the rest is about other records.

    def advanced(self, position: int) -> None:
        """The client has read on to here, over what no reader sees: transaction markers, aborted records."""
        self.position = max(self.position, position)

    @property
    def watermark(self) -> int:
        """The offset below which every record is done; -1 when nothing was taken yet and none was committed."""
        return next(iter(self._open), self.position)

    @property
    def first_owed(self) -> Visitor | None:
        """The visitor of the oldest record that waits to be sent; None: there is none."""
        return next((visitor for _, visitor in self._each_open() if visitor is not None), None)

    def _each_open(self) -> Iterator[tuple[int, Visitor | None]]:
        """What is open, oldest first."""
        for offset, held in self._open.items():
            if type(held) is list:
                yield from ((offset, visitor) for visitor in held)
            else:
                yield offset, cast("Visitor | None", held)

    @property
    def recovering(self) -> OffsetMetadata | None:
        """What an earlier owner settled beyond the offset at which we began, while we still read that stretch."""
        return self._earlier if self._earlier is not None and self.position < self._earlier.until else None

    @property
    def is_open(self) -> bool:
        """Whether anything of it is not done."""
        return bool(self._open)

    @property
    def is_recovering(self) -> bool:
        """Whether the records that come now need a look at what an earlier owner did."""
        return self.recovering is not None or self.position < self.hold_below

    def is_done(self, offset: int, visitor: Visitor | None, epoch: int | None) -> bool:
        """Whether an earlier owner settled what this record asks of the visitor, by what the group's commit says.

        None asks for the record's own dead letter.
        """
        earlier = self.recovering
        return earlier is not None and earlier.is_done(offset, visitor, epoch)

    def to_commit(self, limit: int = offset_metadata.MAX_CHARACTERS, *, is_clean: bool = False) -> OffsetAndMetadata:
        """The committable offset, and in at most `limit` characters its log and who is owed beyond it.

        `is_clean`: this member ends, and nothing of it is on the wire.
        """
        mark = replace(self._mark, is_clean=True) if is_clean else self._mark
        room = limit - len(offset_mark.encode(mark, ""))
        if room < 0:
            return OffsetAndMetadata(self.watermark)
        return OffsetAndMetadata(self.watermark, offset_mark.encode(mark, self._owed(room)))

    def _owed(self, limit: int) -> str:
        offset, until = self.watermark, self.position
        waiting: dict[int, int] = {}
        earlier = self.recovering
        left = len(self._open)
        whole = earlier is None and not self._has_lists
        before = -1
        for first, visitor in self._each_open():
            # Where each record that is left is open by itself, nothing is settled and there is nothing to say.
            if (whole and left >= self.position - first) or len(waiting) == MOST_OWED:
                until, earlier = first, None
                waiting = {visitor: offset for visitor, offset in waiting.items() if offset < first}
                break
            left -= first != before
            before = first
            waiting.setdefault(offset_metadata.fingerprint(visitor), first)
        rules = _bound(self._rules, self._mark)
        if earlier is None:
            return offset_metadata.encode(offset, until, waiting, limit, rules)
        waiting |= offset_metadata.carried(waiting, earlier, self.position)
        return offset_metadata.encode(offset, earlier.until, waiting, limit, rules)


def _earlier(start: Start, rules: str) -> OffsetMetadata | None:
    """What an earlier owner settled at and beyond the offset where reading begins."""
    committed, mark = start.committed, start.mark
    if committed.offset < 0:
        return None
    said = owed_in(committed, rules)
    if said is not None and said.until > start.log.high and mark.epoch < 0:
        said = None  # It speaks of records that are not there, and nothing tells those that replace them.
    if start.is_reread:
        until, firsts = (said.until, said.firsts) if said is not None else (committed.offset, {})
        return OffsetMetadata(start.offset, until, firsts, mark.epoch)
    return said


def owed_in(committed: OffsetAndMetadata, rules: str = "") -> OffsetMetadata | None:
    """Who is owed at and beyond a committed offset, by its metadata; None where it says nothing under these rules."""
    mark = offset_mark.decode(committed.metadata)
    said = offset_metadata.decode(committed.offset, offset_mark.rest_of(committed.metadata), _bound(rules, mark))
    return None if said is None else replace(said, epoch=mark.epoch)


def _bound(rules: str, mark: OffsetMark) -> str:
    """Who is owed holds only for the log that it is said of."""
    return f"{rules} {mark.topic_id} {mark.epoch}" if mark.topic_id or mark.epoch >= 0 else rules
