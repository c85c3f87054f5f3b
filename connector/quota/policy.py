"""What a quota is, in numbers: the one place where its times are derived from the window."""

from dataclasses import dataclass

LEASES = 288
LEAST_LEASE, MOST_LEASE = 1.0, 60.0
MARGINS = 1_000
LEAST_MARGIN, MOST_MARGIN = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class QuotaPolicy:
    """Updates in any window, and its seconds, for all who share the ledger."""

    limit: int
    window: float
    horizon: float
    """Seconds over which what is free is spread."""
    request_timeout: float
    """Seconds that a request may be under way."""

    @property
    def lease(self) -> float:
        """Seconds from asking for a lease within which its requests must begin."""
        return min(max(self.window / LEASES, LEAST_LEASE), MOST_LEASE)

    @property
    def margin(self) -> float:
        """Seconds that the brokers' clocks may differ by, among themselves and over a window."""
        return min(max(self.window / MARGINS, LEAST_MARGIN), MOST_MARGIN)

    @property
    def settled(self) -> float:
        """Seconds for which requests count from a moment at which the endpoint has answered them all."""
        return self.margin + self.window

    @property
    def counted(self) -> float:
        """Seconds for which a lease counts whose requests may begin, and arrive, as late as they may."""
        return self.lease + self.request_timeout + self.settled

    def pace(self, free: float, coming: float) -> float:
        """Updates a second for all replicas: what is free over the horizon, and what comes free within a lease."""
        return free / self.horizon + coming / self.lease
