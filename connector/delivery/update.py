"""One visitor's pending update: the newest values, and for each partition what they stand for."""

import sys
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Headers, Record
from connector.events.change import Priority, Visitor, named

if TYPE_CHECKING:
    from connector.delivery.due_queue import DueQueue

UPDATE_BYTES = 1_000
"""What an update takes beside its values: its objects, its visitor and its places in the maps (measured)."""
ATTRIBUTE_BYTES = 50
"""What a value takes beside its text (measured)."""
SINGLE_RECORD_BYTES = 120
"""What a record that is kept takes beside its key and value (measured)."""
HEADER_BYTES = 150
"""What a header that is kept takes beside its name and text (measured)."""
SHARED_NAME = 32
"""Characters up to which the decoder gives the same name to all events."""
TIME_BYTES = 100
"""What a value's time takes."""
WEIGH_AGAIN_BYTES = 2_048
"""Weighing a small update at each doubling would cost more than it is worth."""

NO_TIME = -0.001
"""The time of a record that has none: Kafka's -1 milliseconds, in seconds."""

_SingleRecord = tuple[bytes | None, bytes | None, Headers] | None


class Part:
    """What one partition gave to an update: its values and its receipt.

    A value stands in the part that wrote it last and in no other, so that a partition which is taken away takes just
    its own values along.
    """

    __slots__ = ("attributes", "first", "oldest_ms", "records", "times")

    def __init__(self, first: int, oldest_ms: int) -> None:
        self.first = first
        """The offset that holds the partition's commit back until the update is settled."""
        self.oldest_ms = oldest_ms
        """The timestamp of that record, in milliseconds since the epoch."""
        self.records = 1
        self.attributes: dict[str, str] = {}
        self.times: dict[str, float] = {}
        """When each value was true, in seconds since the epoch; kept where the order or an age goes by it."""


class Update:
    """A visitor's changes that have not been accepted yet, one value an attribute.

    Merging events merges their receipts: however many records coalesce, a partition has one entry here, its first.
    """

    __slots__ = (
        "attempts",
        "charged_attempts",
        "due",
        "hint",
        "never_sent",
        "parts",
        "priority",
        "single_record",
        "size",
        "successes_at_failure",
        "unknown_since",
        "visitor",
        "waits_in",
        "weigh_at",
    )

    def __init__(self, visitor: Visitor, due: float, priority: Priority = Priority.NORMAL) -> None:
        self.visitor = visitor
        self.due = due
        """When it may be sent, by the loop's clock in seconds."""
        self.priority = priority
        """The highest of its changes."""
        self.waits_in: DueQueue | None = None
        """The queue in which it waits for its turn; None: it is in flight, or behind one that is."""
        self.hint = ""
        """The newest location hint of a pcId."""
        self.charged_attempts = 0
        """Attempts that failed while the endpoint was otherwise healthy: what may end it as a dead letter."""
        self.attempts = 0
        """All attempts that failed: what makes the pauses between them longer."""
        self.never_sent = True
        """It never was on the wire."""
        self.successes_at_failure = -1
        """How many answers of a healthy endpoint there had been when it failed last."""
        self.unknown_since: float | None = None
        """When Target first did not know the visitor, by the loop's clock; None: it does, as far as known."""
        self.parts: dict[OffsetTracker, Part] = {}
        self.single_record: _SingleRecord = None
        """Key, value and headers of the one record that this is all of: what its dead letter would have."""
        self.size = UPDATE_BYTES
        """Bytes of memory, about: each record adds its length, and weighing sets it to what is held."""
        self.weigh_at = UPDATE_BYTES + WEIGH_AGAIN_BYTES

    def weigh(self) -> int:
        """Set the size to what is held now; returns the change. Only after doubling, so it costs an event little."""
        size = UPDATE_BYTES + _kept(self.single_record)
        for part in self.parts.values():
            attributes = part.attributes
            count = len(attributes)
            size += ATTRIBUTE_BYTES * count + TIME_BYTES * len(part.times)
            size += sum(map(sys.getsizeof, attributes.values()))
            size += max(0, sum(map(len, attributes)) - SHARED_NAME * count)
        change = size - self.size
        self.size = size
        self.weigh_at = 2 * size + WEIGH_AGAIN_BYTES
        return change

    def keep(self, record: Record) -> int:
        """All of it is this record so far; returns what keeping that as it came adds to the size."""
        self.single_record = (record.key(), record.value(), record.headers() or ())
        self.size += (kept := _kept(self.single_record))
        return kept

    def merge(self) -> int:
        """Another record comes in; returns what that takes off the size."""
        freed, self.single_record = _kept(self.single_record), None
        self.size -= freed
        return freed

    @property
    def attributes(self) -> Mapping[str, str]:
        """The values to send: a view, which holds for as long as the update is in flight and so does not change."""
        if len(self.parts) == 1:
            return next(iter(self.parts.values())).attributes
        return {name: value for part in self.parts.values() for name, value in part.attributes.items()}

    @property
    def recipient(self) -> Visitor:
        """The visitor as it is sent."""
        return named(self.visitor, self.hint)

    @property
    def records(self) -> int:
        """How many records wait for this update."""
        return sum([part.records for part in self.parts.values()])

    def forget(self, names: Iterable[str]) -> None:
        """These values were accepted: a retry sends only the rest. Receipts and times stay until all are."""
        gone = list(names)
        self.single_record = None
        for part in self.parts.values():
            for name in gone:
                part.attributes.pop(name, None)

    def yield_to(self, sent: "Update", *, is_accepted: bool) -> None:
        """What is older by event time than what was just accepted is not sent after it.

        Of an update that ended as a dead letter only what is not in that was accepted: to a value that Target never got
        nothing yields.
        """
        refused = set() if is_accepted else sent.attributes.keys()
        accepted = [
            (name, when) for part in sent.parts.values() for name, when in part.times.items() if name not in refused
        ]
        for name, when in accepted:
            for part in self.parts.values():
                if part.times.get(name, when) < when:
                    self.single_record = None
                    del part.attributes[name], part.times[name]

    def give_way(self, newer: "Update", going: Collection[OffsetTracker], *, by_time: bool) -> None:
        """What came meanwhile leaves with these partitions, whose next owner sends it.

        So what it replaces of the others is not sent again from here: a retry could land after that.
        """
        staying = [part for partition, part in self.parts.items() if partition not in going]
        for theirs in [newer.parts[partition] for partition in going if partition in newer.parts]:
            for name in theirs.attributes:
                for part in staying:
                    if name in part.attributes and not (by_time and part.times[name] > theirs.times[name]):
                        self.single_record = None
                        del part.attributes[name]
                        part.times.pop(name, None)

    def write(self, part: Part, attributes: Mapping[str, str], times: Mapping[str, float]) -> None:
        """The last writer in log order wins, attribute by attribute; `times` is empty where nothing goes by them."""
        part.attributes.update(attributes)
        part.times.update(times)
        if len(self.parts) > 1:
            for other in self.parts.values():
                if other is not part:
                    for name in attributes:
                        other.attributes.pop(name, None)
                        other.times.pop(name, None)

    def write_at(self, part: Part, attributes: Mapping[str, str], times: Mapping[str, float]) -> None:
        """The newest by event time wins, attribute by attribute; of two at the same time the later in the log."""
        for name, value in attributes.items():
            when = times[name]
            if any(other.times.get(name, when) > when for other in self.parts.values()):
                continue
            for other in self.parts.values():
                other.attributes.pop(name, None)
                other.times.pop(name, None)
            part.attributes[name] = value
            part.times[name] = when

    def older_than(self, limit: float) -> Collection[str]:
        """The names of those values that were true before, by the parts' times; one without a time has no age."""
        return {
            name
            for part in self.parts.values()
            for name, when in part.times.items()
            if when < limit and when != NO_TIME and name in part.attributes
        }

    def failed(self, successes: int) -> None:
        """An attempt failed, after this number of answers of a healthy endpoint."""
        self.attempts += 1
        self.successes_at_failure = successes

    def absorb(self, newer: "Update", *, by_time: bool) -> None:
        """Take over what came while this one was on the wire: its values win, its receipts merge into these."""
        self.size += newer.size
        self.single_record = None
        self.hint = newer.hint or self.hint
        self.priority = min(self.priority, newer.priority)
        for partition, theirs in newer.parts.items():
            mine = self.parts.get(partition)
            if mine is None:
                mine = self.parts[partition] = Part(theirs.first, theirs.oldest_ms)
                mine.records = theirs.records
            else:
                # This one's first offset is the lower: it was opened before the newer update was.
                partition.close(theirs.first, self.visitor)
                mine.records += theirs.records
            if by_time:
                self.write_at(mine, theirs.attributes, theirs.times)
            else:
                self.write(mine, theirs.attributes, theirs.times)


def _kept(sole: _SingleRecord) -> int:
    """Bytes that a record takes while it is kept as it came."""
    if sole is None:
        return 0
    key, value, headers = sole
    size = SINGLE_RECORD_BYTES + len(key or b"") + len(value or b"")
    if headers:
        size += sum(HEADER_BYTES + len(name) + len(text or b"") for name, text in headers)
    return size
