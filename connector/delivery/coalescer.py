"""Merges changes into one pending update per visitor: at most one waiting and one in flight."""

import enum
import math
from collections.abc import Collection, Mapping

from connector.delivery.ages import true_at
from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Record
from connector.delivery.schedule import Schedule
from connector.delivery.update import UPDATE_BYTES, Part, Update
from connector.events.change import Change, Priority, Visitor

_NO_TIMES: Mapping[str, float] = {}


class Order(enum.StrEnum):
    """Which of two values of an attribute wins."""

    OFFSET = "offset"
    EVENT_TIME = "event_time"


class Coalescer:
    """Pending updates of this replica, by visitor.

    An update is open to new changes until the moment it is taken; what comes while it is in flight gathers in a second
    one, and an update that comes back for a retry takes that one in. So there is never an older value behind a newer
    one, and waiting (for the linger, the rate, a retry) is more coalescing, not more queue. Which update goes next is
    decided by the schedule.
    """

    __slots__ = (
        "_by_time",
        "_flying",
        "_keeps_times",
        "_linger",
        "_others",
        "_pending",
        "_schedule",
        "never_sent",
        "records",
        "size",
        "unknown",
    )

    def __init__(
        self, linger: float, order: Order, slots: int, *, aging: float = math.inf, keeps_times: bool = False
    ) -> None:
        """`linger`: seconds that a visitor's first change waits for more; `slots`: requests at once.

        `aging`: seconds after which an update that waits for its turn rises a class. `keeps_times`: the age of values
        is asked for, whatever the order.
        """
        self._linger = linger
        self._by_time = order is Order.EVENT_TIME
        self._keeps_times = self._by_time or keeps_times
        self._pending: dict[Visitor, Update] = {}
        self._flying: dict[Visitor, Update] = {}
        self._schedule = Schedule(slots, aging)
        self._others = dict.fromkeys(Priority, 0)
        """Waiting updates of each class but normal."""
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

    def waiting_of(self, priority: Priority) -> int:
        """Visitors whose update waits and is of this class."""
        if priority is Priority.NORMAL:
            return len(self._pending) - sum(self._others.values())
        return self._others[priority]

    def overdue(self, priority: Priority, now: float) -> float:
        """Seconds for which the update of this class that is due longest waits for its turn; 0: none is due."""
        return self._schedule.overdue(priority, now)

    @property
    def has_classes(self) -> bool:
        """Whether there ever was an update of another class than normal."""
        return self._schedule.has_classes

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
            update = self._begin(change, now, None if is_item else record)
        else:
            if change.priority is not update.priority:
                self._rise(update, change.priority)
            if update.single_record is not None:
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

    def _begin(self, change: Change, now: float, whole: Record | None) -> Update:
        """A visitor's first change waits; `whole`: the record that is nothing but this change."""
        visitor = change.visitor
        update = self._pending[visitor] = Update(visitor, now + self._linger, change.priority)
        self.size += UPDATE_BYTES + (0 if whole is None else update.keep(whole))
        self.never_sent += 1
        self._count(update, 1)
        if visitor not in self._flying:
            self._schedule.push(update)
        return update

    def hold(self, visitor: Visitor, until: float) -> None:
        """Nothing of this visitor goes before `until`, which is the same for all that are held at one time."""
        self._schedule.hold(visitor, until)

    def added(self, records: int, size: int) -> None:
        """A batch is in: its number of records, and their bytes in all."""
        self.records += records
        self.size += size

    def due_in(self, now: float, lowest: Priority = Priority.LOW) -> float:
        """Seconds until an update of class `lowest` or above can be taken; 0 or less: now.

        Infinite: not before something changes.
        """
        return self._schedule.due_in(now, lowest)

    def take(self, now: float, lowest: Priority = Priority.LOW) -> Update:
        """The update whose turn it is goes in flight; call it only when `due_in` is 0 or less."""
        return self._fly(self._schedule.take(now, lowest))

    def take_anywhere(self, now: float, lowest: Priority = Priority.LOW) -> Update:
        """An update goes in flight that is due, each time from another place, evenly spread over all that wait."""
        return self._fly(self._schedule.take_anywhere(now, lowest))

    def _fly(self, update: Update) -> Update:
        del self._pending[update.visitor]
        self._count(update, -1)
        self._flying[update.visitor] = update
        self.never_sent -= update.never_sent
        update.never_sent = False
        self._schedule.flew(update)
        return update

    def _rise(self, update: Update, priority: Priority) -> None:
        """A change of another class was merged into an update that waits: the higher counts."""
        if priority < update.priority:
            self._count(update, -1)
            self._schedule.rise(update, priority)
            self._count(update, 1)

    def _count(self, update: Update, change: int) -> None:
        if update.priority is not Priority.NORMAL:
            self._others[update.priority] += change

    def dead_letter(self, update: Update) -> None:
        """The update stays in flight until its dead letter is acknowledged; it takes nobody's turn meanwhile."""
        self._schedule.landed(update)
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
            self._schedule.push(follower)

    def give_back(self, update: Update, due: float, charged_attempts: int) -> int:
        """The update goes again at `due`, with all that came meanwhile; returns the records handed over.

        Handed over is what belongs to a partition that is being revoked: its next owner reads it again.
        """
        self._land(update)
        newer = self._pending.pop(update.visitor, None)
        if newer is not None:
            self.never_sent -= 1
            self._count(newer, -1)
            update.absorb(newer, by_time=self._by_time)
            self.size += update.weigh()
        update.due = due
        update.charged_attempts = charged_attempts
        dropped = self._strip(update, {partition for partition in update.parts if partition.revoking})
        if update.parts:
            self._pending[update.visitor] = update
            self._count(update, 1)
            self._schedule.push(update)
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
                self._count(update, -1)
                self._forget(update)
                self.never_sent -= update.never_sent
        self._schedule.keep({update for visitor, update in self._pending.items() if visitor not in self._flying})
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
        self._schedule.landed(update)
