"""Which attributes of a letter are still the newest of their visitor: pure, fed with what the source log holds since.

The rule is that of the service. By offset the last event in the log wins; by event time the newest `occurredAt`, and
of two alike the later in the log. A letter's own records are read too, since a merged letter names only the first of
them. That does no harm: they cannot win against the letter, because their winner has the letter's value.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition
from connector.events.change import Change, Visitor


class _Last(NamedTuple):
    """The newest event so far that sets an attribute."""

    rank: float
    """Its offset, or by event time its seconds since the epoch."""
    value: int
    """A hash: of the value no more is needed, and it may be large."""
    from_log: bool
    """Read from the source log, and not known by a dead letter alone."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do with the attributes of a letter."""

    send: Mapping[str, str]
    superseded: frozenset[str]
    """Newer events have set these to other values."""
    unknown: frozenset[str]
    """The log no longer holds the letter's own record, so what came after it cannot be known."""


class Newest:
    """Holds the visitors and attributes of the letters that are to be judged, and nothing of other visitors."""

    def __init__(self, order: Order) -> None:
        self._by_time = order is Order.EVENT_TIME
        self._last: dict[TopicPartition, dict[Visitor, dict[str, _Last | None]]] = defaultdict(dict)
        self._origins: dict[TopicPartition, dict[int, set[Visitor]]] = defaultdict(lambda: defaultdict(set))

    def expect(self, source: TopicPartition, offset: int, change: Change) -> None:
        """A letter that came from there will be judged; a record may carry changes of several visitors."""
        known = self._last[source].setdefault(change.visitor, {})
        for name in change.attributes:
            known.setdefault(name, None)
        self._origins[source][offset].add(change.visitor)

    @property
    def starts(self) -> Mapping[TopicPartition, int]:
        """From which offset on each source partition has to be read."""
        return {source: min(offsets) for source, offsets in self._origins.items() if offsets}

    def dead_lettered(self, source: TopicPartition, offset: int, change: Change) -> None:
        """There is a dead letter of this, whether it is judged or not: so there was such an event."""
        if self._by_time:
            # When a merged letter's values were true is not known.
            if change.occurred_at is not None:
                self._set(source, change, change.occurred_at.timestamp(), from_log=False)
        else:
            self._set(source, change, offset, from_log=False)

    def read(self, source: TopicPartition, offset: int, milliseconds: int, change: Change, *, repeat: bool) -> None:
        """The source log holds this; called in the order of the log, and in their order for the changes of a record.

        A `repeat` is what a replay wrote: it is as old as the event that it repeats, so it counts at that one's place.
        """
        origins = self._origins.get(source)
        if origins is not None and offset in origins:
            origins[offset].discard(change.visitor)
            if not origins[offset]:
                del origins[offset]
        if repeat:
            return
        if not self._by_time:
            rank: float = offset
        else:
            said = change.occurred_at
            rank = milliseconds / 1_000 if said is None else said.timestamp()
        self._set(source, change, rank, from_log=True)

    def _set(self, source: TopicPartition, change: Change, rank: float, *, from_log: bool) -> None:
        known = self._last[source].get(change.visitor)
        if known is None:
            return
        for name, value in change.attributes.items():
            if name in known:
                last = known[name]
                if last is None or rank >= last.rank:
                    known[name] = _Last(rank, hash(value), from_log)

    def judge(self, source: TopicPartition, offset: int, change: Change) -> Judgement:
        """What is still the newest of a letter that was expected."""
        known = self._last[source].get(change.visitor, {})
        lost = change.visitor in self._origins[source].get(offset, ())
        send: dict[str, str] = {}
        superseded: set[str] = set()
        unknown: set[str] = set()
        for name, value in change.attributes.items():
            last = known.get(name)
            if last is not None and not self._is_comparable(last, offset, change, lost=lost):
                last = None
            if last is not None and last.value != hash(value):
                superseded.add(name)
            elif lost and (last is None or not last.from_log or self._by_time):
                unknown.add(name)
            else:
                send[name] = value
        return Judgement(send, frozenset(superseded), frozenset(unknown))

    def _is_comparable(self, last: _Last, offset: int, change: Change, *, lost: bool) -> bool:
        """Whether this is at least as new as the letter."""
        if not self._by_time:
            return last.rank >= offset
        # Read with all the rest, the letter's own records are among those that were compared; else it has to say.
        return not lost or change.occurred is not None
