"""How many requests may still be sent, and until when: what the quota's leases leave in the hand of this replica."""

import math
from collections import deque
from collections.abc import Callable

UNLIMITED = 1 << 62


class QuotaGrant:
    """A number of requests may begin before `ends`, by the clock that runs on while the machine sleeps."""

    __slots__ = ("ends", "flying", "left", "lost", "low", "number", "size")

    def __init__(self, number: int, size: int, ends: float) -> None:
        """`number` is the lease's, counted by its holder."""
        self.number = number
        self.size = size
        self.left = size
        self.low = size // 2
        """With this number left it is time to look for more."""
        self.ends = ends
        self.flying = 0
        """Requests on the wire that were spent of it."""
        self.lost = False
        """A request of it ended without an answer: it may reach the endpoint later."""

    def spend(self) -> None:
        """A request goes."""
        self.left -= 1
        self.flying += 1

    def settle(self, *, is_lost: bool) -> None:
        """A request of it is over; `is_lost`: without an answer that tells whether it arrived."""
        self.flying -= 1
        self.lost = self.lost or is_lost

    def restore(self) -> None:
        """A request of it did not go after all, so nothing was spent."""
        self.flying -= 1
        self.left += 1

    def close(self) -> None:
        """Nothing more may be spent of it."""
        self.ends = -math.inf


class QuotaBudget:
    """The grants in hand, spent in the order in which they came; without a quota there is one that never ends."""

    __slots__ = ("grants", "wanted")

    def __init__(self, *, unlimited: bool = True) -> None:
        """`unlimited`: there is no quota, so nobody has to ask."""
        self.grants: deque[QuotaGrant] = deque()
        self.wanted: Callable[[], None] = _nobody
        """Called when a grant runs low, or when there is none."""
        if unlimited:
            self.grants.append(QuotaGrant(0, UNLIMITED, float("inf")))

    def call_when_wanted(self, callback: Callable[[], None]) -> None:
        """Call this when a grant runs low, or when there is none."""
        self.wanted = callback

    def current(self, boottime: float) -> QuotaGrant | None:
        """The grant that the next request spends of; None: it has to wait."""
        for grant in self.grants:
            if grant.left > 0 and boottime < grant.ends:
                return grant
        self.wanted()
        return None

    def spend(self, boottime: float) -> QuotaGrant:
        """One request goes now; `current` was asked at the same moment."""
        grant: QuotaGrant | None = self.grants[0] if self.grants else None
        if grant is None or grant.left <= 0 or boottime >= grant.ends:
            grant = self.current(boottime)  # Not the first: it is used up or over, and not given back yet.
        if grant is None:
            msg = "a request went without a grant"
            raise RuntimeError(msg)
        grant.spend()
        if grant.left == grant.low:
            self.wanted()
        return grant


def _nobody() -> None:
    """Nobody hands out grants."""
