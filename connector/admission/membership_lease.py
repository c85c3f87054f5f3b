"""Whether the partitions are still ours: a replica that was frozen past its session may not know that they are not."""

import math

REQUEST_SHARE = 0.6
"""Of the session, what a request may last: the rest is for the time between an answer of the group and its begin."""
MARGIN = 0.05
"""Of the session, for what clocks and timers are off by."""


def longest_request(session: float) -> float:
    """Seconds that a request may last, so that a lease is left in a session of these seconds."""
    return session * REQUEST_SHARE


def lease_seconds(session: float, request_timeout: float) -> float:
    """Seconds after an answer of the group within which a request may begin."""
    return session * (1 - MARGIN) - request_timeout


class MembershipLease:
    """Sending is allowed for a time after a moment at which the group knew us.

    The group gives a member's partitions away when it has not heard of it for the session timeout. A request may be on
    the wire for the request timeout. So a request that begins within the session less that is over before a successor
    can have sent a newer value. The times must come from a clock that runs on while the process or its machine sleeps.
    """

    __slots__ = ("_asked", "_expired_at", "seconds")

    def __init__(self) -> None:
        """Nothing may be sent before `seconds` is known and the lease renewed."""
        self.seconds = 0.0
        """The session timeout less the request timeout, less some margin."""
        self._asked = -math.inf
        self._expired_at = -math.inf

    def bound(self, seconds: float) -> None:
        """Each renewal is good for this time."""
        self.seconds = seconds

    def renew(self, asked: float) -> None:
        """The group acknowledged what was asked at this moment; it knew us then or later."""
        if asked >= self._expired_at:
            self._asked = max(self._asked, asked)

    def expire(self, now: float) -> None:
        """Nothing may be sent until the group acknowledges what is asked after this moment."""
        self._expired_at = now
        self._asked = -math.inf

    def left(self, now: float) -> float:
        """Seconds for which sending is still allowed; 0 or less: not until it is renewed."""
        return self._asked + self.seconds - now
