"""How fast this replica may send: its part of the group's rate, and what the quota's pace leaves of it."""

import math
from collections.abc import Mapping

from connector.admission.rate_limiter import RateLimiter

AHEAD = 60.0
"""The pace of updates of class high, as a multiple of the pace of the others."""


class Pacing:
    """Sets the rate limiter by what is owned, and by what the quota says."""

    __slots__ = ("_limiter", "_owned", "_pace", "_per_second", "totals")

    def __init__(self, limiter: RateLimiter, per_second: float) -> None:
        """`per_second`: updates of the whole group; 0: no limit."""
        self._limiter = limiter
        self._per_second = per_second or math.inf
        self._owned = 0
        self._pace = math.inf
        self.totals: Mapping[str, int] = {}
        """By subscribed topic its number of partitions."""

    @property
    def rate(self) -> float:
        """Updates a second: of the group's rate, the share that this replica has of the partitions."""
        total = sum(self.totals.values())
        share = min(1.0, self._owned / total) if total else 0.0
        return share * self._per_second if share else 0.0

    @property
    def owns_all(self) -> bool:
        """Whether this replica has every partition of every topic that is known."""
        return sum(self.totals.values()) == self._owned

    def owns(self, partitions: int) -> None:
        """Set the number of partitions that this replica owns."""
        self._owned = partitions
        self._set()

    def counted(self, totals: Mapping[str, int]) -> bool:
        """The topics have these numbers of partitions; returns whether that is news."""
        is_news = totals != self.totals
        self.totals = totals
        return is_news

    def paced(self, per_second: float) -> None:
        """Set the updates a second that the quota allows this replica."""
        self._pace = per_second
        self._set()

    def _set(self) -> None:
        rate = self.rate
        self._limiter.limit(min(rate, self._pace), min(rate, AHEAD * self._pace))
