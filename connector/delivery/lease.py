"""Whether the partitions are still ours: a replica that was frozen past its session may not know that they are not."""

import math


class Lease:
    """Sending is allowed for so long after a moment at which the group knew us.

    The group gives a member's partitions away when it has not heard of it for the session timeout. A request may be on
    the wire for the request timeout. So a request that begins within the session less that is over before a successor
    can have sent a newer value. The times must come from a clock that runs on while the process or its machine sleeps.
    """

    __slots__ = ("_until", "seconds")

    def __init__(self, seconds: float) -> None:
        """`seconds` is the session timeout less the request timeout, less some margin."""
        self.seconds = seconds
        self._until = -math.inf

    def renew(self, asked: float) -> None:
        """The group acknowledged what was asked at this moment; it knew us then or later."""
        self._until = max(self._until, asked + self.seconds)

    def left(self, now: float) -> float:
        """Seconds for which sending is still allowed; 0 or less: not until it is renewed."""
        return self._until - now
