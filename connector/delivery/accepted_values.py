"""Remembers what Target accepted of each visitor, so that a value that it has already takes no call.

It is only ever too short: what it does not know is sent once more. So it holds no value longer than the process, the
assignment of its partition, or the time that the settings give it, and none that a request on the wire may change.
"""

import math
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from struct import Struct

from connector.delivery.offset_tracker import TopicPartition
from connector.events.change import Visitor

MOST_ATTRIBUTES = 32
"""Of a visitor, on average: a few visitors with thousands of attributes must not break the bound on memory."""
VISITOR_BYTES = 320
"""What a visitor takes beside its attributes (measured)."""

_RECORD = Struct("=Iqd")
"""An attribute: 32 bits of its name, the digest of name and value, and when it was accepted."""
ATTRIBUTE_BYTES = _RECORD.size
_WHEN = Struct("=d")
_NAME_BITS = 0xFFFF_FFFF


class AcceptedValues:
    """By visitor, a digest of each attribute that Target accepted last, and when. No value and no name is in it.

    The digest is of name and value, 64 bits under a key of this process: that another value has the same one happens
    once in 2^64 changed values. Packed, an attribute takes 20 bytes; as a tuple in a dictionary it would take five
    times as many.
    """

    __slots__ = ("_attributes", "_most_attributes", "_most_visitors", "_owners", "_seconds", "_since", "_visitors")

    def __init__(self, seconds: float, most_visitors: int) -> None:
        """A value is not sent again for `seconds` after it was accepted."""
        self._seconds = seconds
        self._most_visitors = most_visitors
        self._most_attributes = MOST_ATTRIBUTES * most_visitors
        self._visitors: OrderedDict[Visitor, tuple[tuple[TopicPartition, ...], bytes]] = OrderedDict()
        """The partitions that a visitor's changes came over, and its attributes; the last accepted one comes last."""
        self._owners: dict[tuple[TopicPartition, ...], tuple[TopicPartition, ...]] = {}
        self._attributes = 0
        self._since = math.inf

    def __len__(self) -> int:
        """Visitors that are remembered."""
        return len(self._visitors)

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return VISITOR_BYTES * len(self._visitors) + ATTRIBUTE_BYTES * self._attributes

    def open(self, now: float) -> None:
        """From now on no other replica of the group writes what this one writes, until `close`."""
        self._since = min(self._since, now)

    def close(self) -> None:
        """Another replica may write the same visitors: what is known means nothing."""
        self._since = math.inf
        self._visitors.clear()
        self._owners.clear()
        self._attributes = 0

    def unchanged(self, visitor: Visitor, attributes: Mapping[str, str], now: float) -> Collection[str]:
        """The names of those attributes that Target has with just these values."""
        found = self._visitors.get(visitor)
        if found is None:
            return ()
        since = now - self._seconds
        known = {its_digest for _, its_digest, when in _RECORD.iter_unpack(found[1]) if when >= since}
        return [name for name, value in attributes.items() if digest(name, value) in known]

    def sent(self, visitor: Visitor, names: Iterable[str]) -> None:
        """These go on the wire: which value Target has of them is not known until they are accepted."""
        found = self._visitors.get(visitor)
        if found is None:
            return
        owners, packed = found
        left = _without(packed, names)
        self._attributes -= (len(packed) - len(left)) // ATTRIBUTE_BYTES
        if left:
            self._visitors[visitor] = owners, left
        else:
            del self._visitors[visitor]

    def accepted(
        self,
        visitor: Visitor,
        attributes: Mapping[str, str],
        partitions: Iterable[TopicPartition],
        began: float,
        now: float,
    ) -> None:
        """Target has all of these; `began`: when the update was taken to be sent."""
        if began < self._since:
            return  # Another replica may have written meanwhile.
        owners, packed = self._visitors.pop(visitor, ((), b""))
        left = _without(packed, attributes)
        fresh = [_RECORD.pack(_short(name), digest(name, value), now) for name, value in attributes.items()]
        owners = tuple(dict.fromkeys((*owners, *partitions)))
        self._attributes += len(fresh) - (len(packed) - len(left)) // ATTRIBUTE_BYTES
        self._visitors[visitor] = self._owners.setdefault(owners, owners), left + b"".join(fresh)
        self._make_room(now - self._seconds)

    def forget(self, visitor: Visitor) -> None:
        """It is not known any more what Target has of this visitor."""
        found = self._visitors.pop(visitor, None)
        if found is not None:
            self._attributes -= len(found[1]) // ATTRIBUTE_BYTES

    def release(self, partitions: Collection[TopicPartition]) -> None:
        """These are not ours any more: their next owner writes their visitors."""
        gone = {owners for owners in self._owners if not set(owners).isdisjoint(partitions)}
        if len(gone) < len(self._owners):
            for visitor in [visitor for visitor, (owners, _) in self._visitors.items() if owners in gone]:
                self.forget(visitor)
            for owners in gone:
                del self._owners[owners]
        elif gone:
            self._visitors.clear()
            self._owners.clear()
            self._attributes = 0

    def _make_room(self, since: float) -> None:
        """Let go of those that were accepted before, and of the oldest beyond the bounds."""
        visitors = self._visitors
        while visitors:
            packed = visitors[next(iter(visitors))][1]
            is_over = _WHEN.unpack_from(packed, len(packed) - _WHEN.size)[0] < since
            if not is_over and len(visitors) <= self._most_visitors and self._attributes <= self._most_attributes:
                break
            self._attributes -= len(packed) // ATTRIBUTE_BYTES
            visitors.popitem(last=False)


def digest(name: str, value: str) -> int:
    """64 bits of both, by Python's own keyed hash: the same value of another attribute has another digest."""
    return hash((name, value))


def _short(name: str) -> int:
    """Two names that share it only cost a repeat: the one that is accepted drops the other."""
    return hash(name) & _NAME_BITS


def _without(packed: bytes, names: Iterable[str]) -> bytes:
    """The attributes but for these."""
    if not packed:
        return packed
    gone = {_short(name) for name in names}
    return b"".join([_RECORD.pack(*record) for record in _RECORD.iter_unpack(packed) if record[0] not in gone])
