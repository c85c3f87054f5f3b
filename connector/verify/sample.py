"""Which visitors are looked at: drawn alike from the distinct visitors of a range, in bounded memory and in one pass.

Each visitor has a number by a hash with a key of this run, and those with the smallest numbers are the sample. So a
visitor with a thousand events is drawn no more often than one with a single event, and a visitor in the sample at the
end was in it from the first event on: the bound only sinks. That is bottom-k sampling; the bound also tells how many
distinct visitors there were.
"""

import heapq
import random
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Protocol

from connector.events.change import Visitor
from connector.verify.history import VisitorHistory

_NUMBERS: Final = 1 << 64
_KEY_BYTES: Final = 16


class Choice(Protocol):
    """Which visitors are looked at, and what was asked for them."""

    @property
    def chosen(self) -> Mapping[Visitor, VisitorHistory]:
        """Those that are looked at, as far as the range was read."""
        ...

    @property
    def distinct(self) -> int:
        """How many visitors the range has, about where they are more than are chosen."""
        ...

    def take(self, visitor: Visitor) -> VisitorHistory | None:
        """An event of this visitor comes: where it belongs; None: the visitor is not looked at."""
        ...


class Sampler:
    """A sample of at most `size` visitors."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self._size = size
        self._key = rng.randbytes(_KEY_BYTES)
        self._chosen: dict[Visitor, VisitorHistory] = {}
        self._largest: list[tuple[int, Visitor]] = []
        """A heap of the chosen ones, the largest number first."""
        self._is_whole = True
        """Nobody was left out."""

    @property
    def chosen(self) -> Mapping[Visitor, VisitorHistory]:
        """The sample."""
        return self._chosen

    @property
    def distinct(self) -> int:
        """How many visitors there were: counted while they fit, else estimated by the sample's largest number."""
        if self._is_whole:
            return len(self._chosen)
        return round((self._size - 1) * _NUMBERS / -self._largest[0][0])

    def take(self, visitor: Visitor) -> VisitorHistory | None:
        """An event of this visitor comes."""
        known = self._chosen.get(visitor)
        if known is not None:
            return known
        number = self._number(visitor)
        if len(self._chosen) < self._size:
            heapq.heappush(self._largest, (-number, visitor))
        elif number < -self._largest[0][0]:
            self._is_whole = False
            _, gone = heapq.heapreplace(self._largest, (-number, visitor))
            del self._chosen[gone]
        else:
            self._is_whole = False
            return None
        made = self._chosen[visitor] = VisitorHistory()
        return made

    def _number(self, visitor: Visitor) -> int:
        text = f"{visitor.kind}\0{visitor.id}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, key=self._key, digest_size=8).digest())


class Named:
    """The visitor of an id, under either kind, or under the one that stands before a colon."""

    def __init__(self, name: str) -> None:
        kind, _, visitor_id = name.partition(":")
        self._wanted = {Visitor("mbox3rdPartyId", name), Visitor("pcId", name), Visitor(kind, visitor_id)}
        self._chosen: dict[Visitor, VisitorHistory] = {}

    @property
    def chosen(self) -> Mapping[Visitor, VisitorHistory]:
        """Those of the name that came."""
        return self._chosen

    @property
    def distinct(self) -> int:
        """How many of them."""
        return len(self._chosen)

    def take(self, visitor: Visitor) -> VisitorHistory | None:
        """An event of this visitor comes."""
        return self._chosen.setdefault(visitor, VisitorHistory()) if visitor in self._wanted else None
