"""The rate limit: evenly spaced sends with a bounded burst, so that no second holds twice its share."""

import math

BURST_SECONDS = 0.01


class RateLimiter:
    """A generic cell rate algorithm (GCRA): in any `w` seconds at most `1 + per_second * (w + BURST_SECONDS)` sends.

    The burst of 10 ms makes up for a timer that fires late; a whole second's burst would double the first second.

    What goes ahead of the others has a higher rate. Each of its sends counts for the others too, as one that is due
    at most one interval from now: they are delayed, and not for as long as it takes to make up for all of it.
    """

    __slots__ = ("_ahead_interval", "_interval", "_last", "_spent")

    def __init__(self, per_second: float) -> None:
        """`per_second` may be `inf` (no limit) or 0 (nothing may go)."""
        self._spent = -math.inf
        """When the last send was due by the rate."""
        self._last = -math.inf
        """When the last send was."""
        self._interval = self._ahead_interval = 0.0
        self.limit(per_second)

    def limit(self, per_second: float, ahead_per_second: float | None = None) -> None:
        """Change the rates, for the send that waits too: an hour's wait must not outlive the reason for it.

        `ahead_per_second` is that of what goes ahead of the others, and at least as high; None: the same.
        """
        ahead_per_second = per_second if ahead_per_second is None else ahead_per_second
        self._interval = 1.0 / per_second if per_second > 0 else math.inf
        self._ahead_interval = 1.0 / ahead_per_second if ahead_per_second > 0 else math.inf

    @property
    def per_second(self) -> float:
        """The rate; `inf`: no limit."""
        return 1.0 / self._interval if self._interval else math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next send may go; 0 or less: now."""
        if self._interval == math.inf:
            return math.inf
        return self._spent + self._interval - BURST_SECONDS - now

    def wait_ahead(self, now: float) -> float:
        """Seconds until what goes ahead of the others may go; 0 or less: now."""
        if self._ahead_interval == math.inf:
            return math.inf
        return min(self.wait(now), self._last + self._ahead_interval - now)

    def spend(self, now: float) -> None:
        """One request goes at `now`."""
        self._last = now
        self._spent = min(max(self._spent + self._interval, now), now + max(self._interval, BURST_SECONDS))
