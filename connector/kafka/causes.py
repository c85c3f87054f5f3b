"""Which of the client's many errors are worth a line: one a cause, and one when it is over. Pure, handed `now`."""

from typing import Final

from connector.kafka.errors import VAGUE, Kind, Trouble

CONNECTION: Final = frozenset({"kafka_unreachable", "kafka_authentication_failed"})
"""Events of which one says all: every broker, and every client of the process, has the same cause."""
CAUSE_SECONDS: Final = 60.0
"""For this time a cause explains its effects. A login that fails is tried again every few seconds."""
VAGUE_SECONDS: Final = 2.0
"""For this time a cause is waited for: the client says first that no broker is up, and then why."""
QUIET_SECONDS: Final = 10.0
"""For this time no error may have come before Kafka counts as reached; the client tries again within 7.5 s."""

_NEVER: Final = float("-inf")


class Causes:
    """Remembers what is wrong with the connections; all else passes."""

    def __init__(self) -> None:
        self._login_at = _NEVER
        self._named_at = _NEVER
        self._vague_at = _NEVER
        self._last = _NEVER
        self._since: float | None = None

    def admit(self, trouble: Trouble, now: float) -> bool:
        """Whether to say it: not what a known cause brings about, as that no broker is up after a login failed."""
        if trouble.kind is Kind.IGNORABLE:
            return False
        if trouble.event not in CONNECTION:
            return True
        self._last = now
        if trouble.event == "kafka_authentication_failed":
            self._login_at = self._named_at = now
        elif now - self._login_at < CAUSE_SECONDS:
            return False
        elif trouble.code not in VAGUE:
            self._named_at = now
        elif not self._stays_unexplained(now):
            return False
        if self._since is None:
            self._since = now
        return True

    def answered(self, now: float) -> float | None:
        """A broker answered. Returns for how many seconds none did, once, if that had been said."""
        if self._since is None or now - self._last < QUIET_SECONDS:
            return None
        seconds, self._since = self._last - self._since, None
        self._login_at = self._named_at = self._vague_at = _NEVER
        return seconds

    def _stays_unexplained(self, now: float) -> bool:
        if now - self._named_at < CAUSE_SECONDS:
            return False
        if now - self._vague_at > CAUSE_SECONDS:
            self._vague_at = now
        return now - self._vague_at >= VAGUE_SECONDS
