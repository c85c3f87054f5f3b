"""Merges changes into one pending update per visitor: at most one waiting and one in flight."""

import enum
import math
from collections.abc import Collection, Mapping

from connector.delivery.due_queue import DueQueue
from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Record
from connector.delivery.update import NO_TIME, UPDATE_BYTES, Part, Update
from connector.events.change import Change, Visitor

REPEAT_ATTEMPTS = 2
REPEAT_TURN = 32
REPEAT_SLOTS = 4
GATHER_SECONDS = 10.0
"""A record that is read late waits for others at least this long, if the linger is as long."""
GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
"""Steps of this size, wrapped at 1, never come near where they were before."""


_NO_TIMES: Mapping[str, float] = {}


class Order(enum.StrEnum):
    """Which of two values of an attribute wins."""

    OFFSET = "offset"
    EVENT_TIME = "event_time"


def linger_left(linger: float, age: float) -> float:
    """Seconds that a record of this age still waits for others.

    A linger counts from when the record was written: else a process that is restarted more often than a linger of an
    hour would never send. Records of a backlog still wait for a while, in which those behind them are read and merged.
    """
    return max(min(linger, GATHER_SECONDS), linger - max(0.0, age))


def true_at(change: Change, record: Record) -> float:
    """When a change was true, in seconds since the epoch: as it says, else when its record was written."""
    said = change.occurred_at
    return record.timestamp()[1] / 1000 if said is None else said.timestamp()


def is_too_old(change: Change, record: Record, limit: float) -> bool:
    """Whether it was true before `limit`; a record without a time has no age."""
    return NO_TIME != true_at(change, record) < limit


class Coalescer:
    """Pending updates of this replica, by visitor.

    An update is open to new changes until the moment it is taken; what comes while it is in flight gathers in a second
    one, and an update that comes back for a retry takes that one in. So there is never an older value behind a newer
    one, and waiting (for the linger, the rate, a retry) is more coalescing, not more queue.

    An update that failed twice or more is a repeat failure. Repeat failures take one turn in `REPEAT_TURN` while others
    wait and at most a `REPEAT_SLOTS`-th of the slots, so that visitors who fail for good cannot starve the rest.
    """

    __slots__ = (
        "_by_time",
        "_flying",
        "_held",
        "_hold_ends",
        "_keeps_times",
        "_linger",
        "_parked",
        "_pending",
        "_place",
        "_ready",
        "_repeat_failures",
        "_repeat_slots",
        "_repeats_in_flight",
        "_turns",
        "never_sent",
        "records",
        "size",
        "unknown",
    )

    def __init__(self, linger: float, order: Order, slots: int, *, keeps_times: bool = False) -> None:
        """`linger`: seconds that a visitor's first change waits for more; `slots`: requests at once.

        `keeps_times`: the age of values is asked for, whatever the order.
        """
        self._linger = linger
        self._by_time = order is Order.EVENT_TIME
        self._keeps_times = self._by_time or keeps_times
        self._repeat_slots = max(1, slots // REPEAT_SLOTS)
        self._pending: dict[Visitor, Update] = {}
        self._flying: dict[Visitor, Update] = {}
        self._ready = DueQueue()
        self._repeat_failures = DueQueue()
        self._repeats_in_flight = 0
        self._held: set[Visitor] = set()
        self._hold_ends = -math.inf
        self._parked: list[Update] = []
        self._turns = 0
        self._place = 0.0
        self.records = 0
        """Records whose update is not settled yet, waiting or in flight."""
        self.size = 0
        """Bytes of memory that all of it takes, about; see `Update.size`."""
        self.unknown = 0
        """Updates whose visitor Target does not know, waiting and in flight."""
        self.never_sent = 0
        """Waiting updates that never were on the wire."""

    def __len__(self) -> int:
        """Updates held, waiting and in flight."""
        return len(self._pending) + len(self._flying)

    @property
    def waiting(self) -> int:
        """Visitors whose update waits."""
        return len(self._pending)

    @property
    def in_flight(self) -> int:
        """Visitors whose update is on the wire, or whose dead letter is."""
        return len(self._flying)

    def add(
        self, change: Change, partition: OffsetTracker, record: Record, now: float, size: int, *, is_item: bool = False
    ) -> None:
        """Merge one record's change into its visitor's pending update; `size` is the record's length in bytes.

        `now` is the moment from which a new update lingers; `is_item`: the record may carry further changes.
        Counted and told together with the rest of its batch, by `added`; `partition.position` is moved by the caller.
        """
        visitor = change.visitor
        update = self._pending.get(visitor)
        if update is None:
            update = self._pending[visitor] = Update(visitor, now + self._linger)
            self.size += UPDATE_BYTES + (0 if is_item else update.keep(record))
            self.never_sent += 1
            if visitor not in self._flying:
                self._ready.push(update)
        elif update.single_record is not None:
            self.size -= update.merge()
        if hint := change.hint:
            update.hint = hint
        part = update.parts.get(partition)
        if part is None:
            offset = record.offset()
            partition.open(offset, visitor)
            part = update.parts[partition] = Part(offset, record.timestamp()[1])
        else:
            part.records += 1
        if self._keeps_times:
            times = dict.fromkeys(change.attributes, true_at(change, record))
            (update.write_at if self._by_time else update.write)(part, change.attributes, times)
        elif len(update.parts) == 1:
            part.attributes.update(change.attributes)
        else:
            update.write(part, change.attributes, _NO_TIMES)
        size += update.size
        update.size = size
        if size > update.weigh_at:
            self.size += update.weigh()

    def hold(self, visitor: Visitor, until: float) -> None:
        """Nothing of this visitor goes before `until`, which is the same for all that are held at one time."""
        self._held.add(visitor)
        self._hold_ends = until

    def added(self, records: int, size: int) -> None:
        """A batch is in: its number of records, and their bytes in all."""
        self.records += records
        self.size += size

    def due_in(self, now: float) -> float:
        """Seconds until an update can be taken; 0 or less: now; infinite: not before something changes."""
        if self._held:
            self._park(now)
        repeats = self._repeat_failures.due if self._repeats_in_flight < self._repeat_slots else math.inf
        due = min(self._ready.due, repeats)
        return (min(due, self._hold_ends) if self._parked else due) - now

    def take(self, now: float) -> Update:
        """The update that is due longest goes in flight; call it only when `due_in` is 0 or less."""
        return self._fly(self._lane(now).pop())

    def take_anywhere(self, now: float) -> Update:
        """An update goes in flight that is due, each time from another place, evenly spread over all that wait."""
        self._place = (self._place + GOLDEN_RATIO) % 1.0
        lane = self._lane(now)
        return self._fly(lane.pop() if self._held else lane.pop_at(self._place, now))

    def _fly(self, update: Update) -> Update:
        del self._pending[update.visitor]
        self._flying[update.visitor] = update
        self.never_sent -= update.never_sent
        update.never_sent = False
        if update.charged_attempts >= REPEAT_ATTEMPTS:
            self._repeats_in_flight += 1
        return update

    def dead_letter(self, update: Update) -> None:
        """The update stays in flight until its dead letter is acknowledged; it takes nobody's turn meanwhile."""
        if update.charged_attempts >= REPEAT_ATTEMPTS:
            self._repeats_in_flight -= 1
            update.charged_attempts = 0

    def settle(self, update: Update, *, is_accepted: bool = True) -> None:
        """The update is done: its receipts close, and what gathered behind it may follow.

        `is_accepted`: Target has it; otherwise its dead letter has.
        """
        self._land(update)
        self._forget(update)
        for partition, part in update.parts.items():
            partition.close(part.first, update.visitor)
            self.records -= part.records
        follower = self._pending.get(update.visitor)
        if follower is not None:
            if self._by_time:
                follower.yield_to(update, is_accepted=is_accepted)
            self._queue(follower)

    def give_back(self, update: Update, due: float, charged_attempts: int) -> int:
        """The update goes again at `due`, with all that came meanwhile; returns the records handed over.

        Handed over is what belongs to a partition that is being revoked: its next owner reads it again.
        """
        self._land(update)
        newer = self._pending.pop(update.visitor, None)
        if newer is not None:
            self.never_sent -= 1
            update.absorb(newer, by_time=self._by_time)
            self.size += update.weigh()
        update.due = due
        update.charged_attempts = charged_attempts
        dropped = self._strip(update, {partition for partition in update.parts if partition.revoking})
        if update.parts:
            self._pending[update.visitor] = update
            self._queue(update)
        else:
            self._forget(update)
        return dropped

    def drop_waiting(self, partitions: Collection[OffsetTracker]) -> int:
        """What waits for these partitions goes; returns the records handed over. Their receipts stay open."""
        dropped = 0
        for visitor, update in list(self._pending.items()):
            if (flying := self._flying.get(visitor)) is not None:
                flying.give_way(update, partitions, by_time=self._by_time)
            dropped += self._strip(update, partitions)
            if not update.parts:
                del self._pending[visitor]
                self._forget(update)
                self.never_sent -= update.never_sent
        left = set(self._pending.values()) - {u for v, u in self._pending.items() if v in self._flying}
        self._ready.keep(left)
        self._repeat_failures.keep(left)
        self._parked = [update for update in self._parked if update in left]
        return dropped

    def drop_flying(self, partitions: Collection[OffsetTracker]) -> int:
        """What is still on the wire settles nothing of these partitions; returns the records handed over."""
        return sum(self._strip(update, partitions) for update in self._flying.values())

    def is_flying(self, partitions: Collection[OffsetTracker]) -> bool:
        """Whether anything of these partitions is in flight."""
        return any(partition in update.parts for update in self._flying.values() for partition in partitions)

    def oldest_ms(self, partition: OffsetTracker) -> int | None:
        """The timestamp of the partition's oldest record that is not done; None: all are, but for dead letters."""
        visitor = partition.first_owed
        if visitor is None:
            return None
        held = (self._flying.get(visitor), self._pending.get(visitor))
        return next(
            (update.parts[partition].oldest_ms for update in held if update and partition in update.parts), None
        )

    def _park(self, now: float) -> None:
        """Set aside those in front that are held, or let them follow when the time is over."""
        if now >= self._hold_ends:
            parked, self._parked = self._parked, []
            self._held.clear()
            for update in parked:
                self._queue(update)
            return
        for lane in (self._ready, self._repeat_failures):
            while lane.due <= now and lane.first().visitor in self._held:
                self._parked.append(lane.pop())

    def is_unknown(self, update: Update, now: float) -> None:
        """Target does not know the visitor of an update that is in flight."""
        if update.unknown_since is None:
            update.unknown_since = now
            self.unknown += 1

    def _forget(self, update: Update) -> None:
        self.size -= update.size
        self.unknown -= update.unknown_since is not None

    def _strip(self, update: Update, partitions: Collection[OffsetTracker]) -> int:
        gone = [update.parts.pop(partition).records for partition in partitions if partition in update.parts]
        self.records -= sum(gone)
        return sum(gone)

    def _land(self, update: Update) -> None:
        del self._flying[update.visitor]
        if update.charged_attempts >= REPEAT_ATTEMPTS:
            self._repeats_in_flight -= 1

    def _queue(self, update: Update) -> None:
        (self._repeat_failures if update.charged_attempts >= REPEAT_ATTEMPTS else self._ready).push(update)

    def _lane(self, now: float) -> DueQueue:
        repeats_may = self._repeat_failures.due <= now and self._repeats_in_flight < self._repeat_slots
        self._turns += 1
        if repeats_may and (self._ready.due > now or self._turns >= REPEAT_TURN):
            self._turns = 0
            return self._repeat_failures
        return self._ready
