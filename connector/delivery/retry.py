"""When an update that failed may go again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter; all times in seconds."""

    initial: float
    maximum: float
    max_attempts: int
    """Attempts of one update, while the endpoint is otherwise healthy, before it is a dead letter."""

    def delay(self, attempts: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds to wait after the `attempts`-th failure; not less than the endpoint asked for, up to the maximum."""
        ceiling = min(self.maximum, self.initial * 2.0 ** min(max(attempts, 1) - 1, 30))
        jittered = rng.uniform(0.0, ceiling)
        return max(jittered, min(retry_after or 0.0, self.maximum))
