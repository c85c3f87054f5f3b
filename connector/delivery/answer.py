"""What one request came to, in the words that dispatching decides by; HTTP stays in `target`."""

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """The closed list of what a request can come to; the label `outcome` of the requests metric."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """Target will never take it: a dead letter."""
    UNAUTHORIZED = "unauthorized"
    """The token is missing or expired: everything waits for a new one, nothing is dropped."""
    THROTTLED = "throttled"
    """429 or 503: Target's two words for "too fast"."""
    UNAVAILABLE = "unavailable"
    """The endpoint, or the way to it, failed."""
    TIMEOUT = "timeout"
    """No whole answer in time; the update may have been applied."""
    UNCONFIRMED = "unconfirmed"
    """A 2xx whose body is in no known form."""
    UNKNOWN_VISITOR = "unknown_visitor"
    """Target has no profile of this visitor, yet: the update waits for it."""

    __hash__ = str.__hash__  # Enum's own is a Python call, on every request.


@dataclass(frozen=True, slots=True)
class Answer:
    """One attempt's end. `reason` is safe to log: no body, no token, no visitor. `retry_after` is in seconds, if said.

    `reached` is False when no connection came about, so that the attempt says nothing of the update itself. `own` is
    True when the failure may well be the update's own fault, as a plain 500 is and a 503 or a timeout is not. `local`
    is True when this process could not even begin, for want of something of its own: that says nothing of the endpoint.
    """

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None
    reached: bool = True
    own: bool = False
    local: bool = False

    @property
    def is_confirmed(self) -> bool:
        """Whether Target said what it did; an accepted answer with a reason was only taken for one, by the settings."""
        return self.verdict is Verdict.ACCEPTED and not self.reason
