"""How many requests may be in flight: as many as the endpoint answers without making them wait."""

import math

FIRST = 8
"""Slots at the start; the first answers double them."""
WINDOW = 16
"""At least this number of answers is judged together, as a rule a round of them."""
RISE = 2.0
"""A median of a window that is this multiple of the lowest recent one says that requests queue somewhere."""
EASE = 0.7
"""What is left of the slots when they do."""
EASE_FLOOR = 8.0
"""Latency alone never takes the last of them: it may have risen for a reason that has nothing to do with us."""
CUT = 0.5
"""What is left of the slots when the endpoint says that it is overloaded, or says nothing."""
FORGET_SECONDS = 5.0
"""The lowest latency is that of the current and the last stretch of this length; a cut is forgotten after them."""


class ConcurrencyLimiter:
    """Additive increase, multiplicative decrease, as TCP does it with a slow start.

    More requests at once than rate times latency gain nothing: they wait at the endpoint, or in our own process, and
    cost both. Slots grow only while half of them are in use: they double each round up to the last level that was good,
    and beyond it grow by one. At most one cut a round: answers to requests sent before a cut say nothing new.
    """

    __slots__ = (
        "_began",
        "_cut_at",
        "_latencies",
        "_level",
        "_limit",
        "_lowest",
        "_lowest_before",
        "_maximum",
        "_window",
        "slots",
    )

    def __init__(self, maximum: int) -> None:
        """`maximum` is never passed."""
        self._maximum = float(maximum)
        self._limit = min(float(FIRST), self._maximum)
        self._level = self._maximum
        self._latencies: list[float] = []
        self._cut_at = -math.inf
        self._began = -math.inf
        self._lowest = self._lowest_before = math.inf
        self._window = WINDOW
        self.slots = int(self._limit)
        """Requests that may be in flight now."""

    def answered(self, seconds: float, now: float, in_flight: int) -> None:
        """The endpoint answered in this time, with this number of requests in flight, this one included."""
        latencies = self._latencies
        latencies.append(seconds)
        if len(latencies) >= self._window:
            self._judge(sorted(latencies)[len(latencies) // 2], now, in_flight)
            latencies.clear()

    def overloaded(self, began: float, now: float) -> None:
        """A request that began then got a 429, a 503 or no answer in time."""
        if began >= self._cut_at:
            self._cut_at = now
            self._set(max(1.0, self._limit * CUT))
            self._level = self._limit
            self._latencies.clear()

    def recovered(self, in_flight: int) -> None:
        """The endpoint works again after an outage: what was learnt in it does not count.

        What is in flight are probes that still hang; they must not take the slots of what can go now.
        """
        self._level = self._maximum
        self._set(max(self._limit, float(in_flight + FIRST)))
        self._latencies.clear()

    def _judge(self, median: float, now: float, in_flight: int) -> None:
        if now - self._began >= FORGET_SECONDS:
            self._began = now
            self._lowest_before, self._lowest = self._lowest, math.inf
        self._lowest = min(self._lowest, median)
        if now - self._cut_at >= FORGET_SECONDS:
            self._level = self._maximum
        if median > RISE * min(self._lowest, self._lowest_before) and self._limit > EASE_FLOOR:
            self._set(max(EASE_FLOOR, self._limit * EASE))
            self._level = self._limit
            self._cut_at = now
        elif 2 * in_flight >= self.slots:
            self._set(min(2 * self._limit, self._level) if self._limit < self._level else self._limit + 1)

    def _set(self, limit: float) -> None:
        self._limit = min(limit, self._maximum)
        self.slots = int(self._limit)
        self._window = max(WINDOW, self.slots)
