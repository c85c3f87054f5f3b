"""How many different visitors there are, at constant memory: linear counting (Whang and others, 1990)."""

import math
from typing import Final

from connector.events.change import Visitor

BITS: Final = 1 << 23
"""A megabyte: good for some ten times this number of visitors."""


class Distinct:
    """Counts the visitors that it was shown."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray(BITS >> 3)

    def see(self, visitor: Visitor) -> None:
        """Take one in; the same again changes nothing."""
        # A tuple's hash is even over few bits of it; Python's own of a text is keyed anew in each process.
        place = hash(visitor) % BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def count(self) -> int:
        """The number of different ones, about."""
        free = BITS - int.from_bytes(self._bits, "little").bit_count()
        return round(BITS * math.log(BITS / max(free, 1)))
