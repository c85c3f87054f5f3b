"""What the pipeline has to know of the settings, so that it needs to know nothing of where they come from."""

from dataclasses import dataclass

from connector.admission.quota_shares import QuotaShares, shares_of
from connector.delivery.coalescer import Order
from connector.delivery.retry import RetryPolicy
from connector.quota.policy import QuotaPolicy


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Times in seconds."""

    retry: RetryPolicy
    linger: float = 1.0
    order: Order = Order.OFFSET
    rules: str = ""
    """What decides how a record is decoded: what was noted under other rules says nothing of the records."""
    unchanged_seconds: float = 0.0
    """For which a value that Target accepted is not sent again; 0: it is."""
    unchanged_max_visitors: int = 200_000
    max_event_age: float = 0.0
    """A change that is older when its turn comes is skipped; 0: none is."""
    topics: int = 1
    """How many are subscribed to."""
    is_mapped: bool = False
    """A mapping says who the visitor is, so a visitor's events need not come over one partition."""
    max_visitors: int = 200_000
    max_bytes: int = 256 << 20
    max_in_flight: int = 64
    updates_per_second: float = 200.0
    """For the whole group; 0: no limit."""
    accept_unconfirmed: bool = True
    unknown_visitor_wait: float = 5_400.0
    """How long an update waits for a visitor that Target does not know."""
    skip_unknown_visitors: bool = False
    """What becomes of it then: skipped, or else a dead letter."""
    commit_interval: float = 5.0
    shutdown_grace: float = 25.0
    request_timeout: float = 10.0
    static_member: bool = False
    """The group keeps our partitions for us through a crash, and does not wait for a session's end."""
    max_dead_letters_in_a_row: int = 1_000
    max_dead_letter_ratio: float = 0.5
    quota: QuotaPolicy | None = None
    priority_aging: float = 3_600.0
    """For which an update waits for its turn before it rises a class."""
    quota_low_share: float = 1.0
    """Of the quota, up to which updates of class low are sent."""
    quota_normal_share: float = 1.0
    name: str = ""
    """Of this replica, for people who read the ledger."""

    @property
    def quota_shares(self) -> QuotaShares | None:
        """How far each class may fill the quota's window."""
        if self.quota is None:
            return None
        return shares_of(self.quota.limit, self.quota_low_share, self.quota_normal_share)

    @property
    def dead_letter_limits(self) -> tuple[int, float]:
        """Dead letters in a row, and their share, that end the process."""
        return self.max_dead_letters_in_a_row, self.max_dead_letter_ratio

    @property
    def has_many_writers(self) -> bool:
        """Whether the owners of several partitions may write one visitor."""
        return self.topics > 1 or self.is_mapped
