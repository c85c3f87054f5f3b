"""The quota's invariants, checked by the endpoint's arrival times and by what the replicas hold.

No window ever holds more requests than the limit under which its youngest lease was granted; the fold is the same for
all; a replica with nothing to send holds nothing; and the quota is used. Time is true time, which no replica knows.
"""

import math
from collections import deque

from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy

EPS = 1e-6


class Wrong(Exception):
    """An invariant does not hold."""


class Oracle:
    """Records arrivals, and which replica folded what."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, int, float, float, int]] = []
        """When, by which record it was allowed, under which limit, for which window, how many."""
        self._folds: list[tuple[int, float, int]] = []

    def arrived(self, when: float, order: int, limit: float, window: float, count: int = 1) -> None:
        """Requests arrive at the endpoint."""
        self.arrivals.append((when, order, limit, window, count))

    def folded(self, position: int, ledger: Ledger) -> None:
        """A replica has folded this many records."""
        state = (ledger.used, ledger.now, len(ledger.leases))
        while len(self._folds) < position:
            self._folds.append((-1, 0.0, 0))
        seen = self._folds[position - 1]
        if seen[0] < 0:
            self._folds[position - 1] = state
        elif seen != state:
            msg = f"two folds of {position} records differ: {seen} and {state}"
            raise Wrong(msg)

    def judge(self) -> None:
        """Slide a window over all arrivals; raises Wrong."""
        self.arrivals.sort()
        kinds = {(window, limit) for _, _, limit, window, _ in self.arrivals}
        for window in sorted({window for window, _ in kinds}):
            self._slide(window, min((limit for _, limit in kinds), default=math.inf))

    def _slide(self, window: float, least: float) -> None:
        inside: deque[tuple[float, int, float, float, int]] = deque()
        total = 0
        for arrival in self.arrivals:
            inside.append(arrival)
            total += arrival[4]
            while inside[0][0] <= arrival[0] - window + EPS:
                total -= inside.popleft()[4]
            if total > least:
                self._look(inside, window, arrival[0])

    def _look(self, inside: deque[tuple[float, int, float, float, int]], window: float, when: float) -> None:
        """A lease counts for its own window only, and the youngest was granted with all that still counted in view."""
        counting = [each for each in inside if each[0] > when - min(window, each[3]) + EPS]
        _, _, limit, _, _ = max(counting, key=lambda each: each[1])
        total = sum(each[4] for each in counting)
        if total > limit:
            msg = f"{total} requests in the {window} s before {when:.3f}, and {limit} are allowed"
            raise Wrong(msg)

    def rounds(self, terms: QuotaPolicy, most: int) -> float:
        """The same, by how long it takes until `most` are sent once more, anywhere in the window."""
        times = sorted(each[0] for each in self.arrivals)
        rounds = len(times) // most - 1
        if rounds < 1:
            return 0.0
        half = most // 2
        return terms.window * rounds / (times[rounds * most + half] - times[half])

    def use(self, start: float, seconds: float, terms: QuotaPolicy) -> float:
        """Share of the quota used: arrivals by possible arrivals."""
        came = sum(each[4] for each in self.arrivals if start <= each[0] < start + seconds)
        return came * terms.window / (terms.limit * seconds)
