"""The ledger's topic: one order, append times of brokers with different clocks, and every outcome of an append."""

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from connector.quota.ledger import Ledger
from connector.quota.records import Record, Reserve, Spend, decode, encode
from tests.simulation.quota.oracle import Oracle
from tests.simulation.quota.setting import Setting
from tests.simulation.timeline import Timeline

BROKERS = 3
TICK = 0.001
"""Append times are whole milliseconds, which the margin has to cover too."""
DELIVERY_SECONDS = 30.0
"""Seconds after which a producer gives up; a record may land as late."""


class Entry(NamedTuple):
    """One record in the log."""

    record: Record | None
    appended: float
    """By the leader's clock."""
    true: float


class Log:
    """Takes appends and delivers them to all; an appended record never changes."""

    def __init__(
        self, setting: Setting, timeline: Timeline, rng: random.Random, oracle: Oracle, wrong: Callable[[str], None]
    ) -> None:
        self.entries: list[Entry] = []
        self.readers: list[Callable[[], None]] = []
        self.granted: dict[tuple[str, int], int] = {}
        """The record that granted a lease, by holder and number."""
        self._grants: list[tuple[int, str, int]] = []
        """Which record granted how much to which holder."""
        self.down_until = -math.inf
        self._timeline = timeline
        self._rng = rng
        self._wrong = wrong
        self._oracle = oracle
        self._faults = setting.profile.append_faults
        self._fates = setting.profile.fates
        terms = setting.terms
        self._spread = (min(terms.margin, setting.later.margin) - 2 * TICK) / 2
        self._give_up = min(DELIVERY_SECONDS, terms.window)
        self._clocks = [self._reading() for _ in range(BROKERS)]
        self._leader = 0
        self._truth = Ledger()
        if not setting.profile.clocks:
            self._clocks = [0.0] * BROKERS

    def _reading(self) -> float:
        """Clock error: two times in three the largest allowed one."""
        return self._rng.choice((-self._spread, self._spread, self._rng.uniform(-self._spread, self._spread)))

    def disturb_clock(self) -> None:
        """Change the leader, or set a broker's clock."""
        if self._rng.random() < 0.5:
            self._leader = self._rng.randrange(BROKERS)
        else:
            self._clocks[self._leader] = self._reading()

    def calm_down(self) -> None:
        """No faults from now on."""
        self._faults = 0.0
        self.down_until = -math.inf

    def append(self, record: Record, failed: Callable[[], None]) -> None:
        """Send it: mostly it lands within milliseconds; else it is lost, late, doubled or reported failed."""
        rng, value = self._rng, encode(record)
        wait = max(0.0, self.down_until - self._timeline.now)
        delay = wait + rng.choice((0.001, 0.003, 0.02)) * rng.random()
        if rng.random() >= self._faults and wait < self._give_up:
            self._timeline.after(delay, self._land, value)
            return
        fate = rng.choice(self._fates)
        late = rng.choice((0.5, 2.0, self._give_up)) * rng.random()
        if fate == "much later and failed":
            late = rng.uniform(1.0, 2.5) * self._give_up
        if fate != "lost":
            self._timeline.after(delay + (late if "late" in fate else 0.0), self._land, value)
        if fate == "twice":
            self._timeline.after(delay + late, self._land, value)
        if fate == "lost" or "failed" in fate:
            self._timeline.after(delay + rng.choice((0.01, self._give_up)) * rng.random(), failed)

    def _land(self, value: bytes) -> None:
        record, true = decode(value), self._timeline.now
        appended = math.floor((true + self._clocks[self._leader]) / TICK) * TICK
        self._check(record, appended)
        if isinstance(record, Spend):
            # The calls were made, so no limit can forbid them; but later requests have to count them.
            self._oracle.arrived(true, len(self.entries), math.inf, float(record.note), record.updates)
        self.entries.append(Entry(record, appended, true))
        for reader in list(self.readers):
            reader()

    def _check(self, record: Record | None, appended: float) -> None:
        """Check the fold, at the one place that every record passes once."""
        if record is None:
            self._wrong("a record cannot be read")
            return
        truth, before = self._truth, self._truth.used
        granted = truth.apply(record, appended)
        if isinstance(record, Reserve) and granted:
            self.granted.setdefault((record.holder, record.lease), len(self.entries))
            self._grants.append((len(self.entries), record.holder, granted))
        if truth.used < 0 or (not isinstance(record, Spend) and truth.used > max(before, _limit(record))):
            self._wrong(f"{truth.used} are used after {record}")
        if truth.used != sum(lease.updates for lease in truth.leases.values()):
            self._wrong(f"the sum is not that of the leases after {record}")

    def granted_to_others(self, holder: str, position: int) -> int:
        """What others than this holder were granted by the records from this position on."""
        theirs = 0
        for index, who, granted in reversed(self._grants):
            if index < position:
                break
            theirs += granted if who != holder else 0
        return theirs

    @property
    def truth(self) -> Ledger:
        """The fold of all records."""
        return self._truth


def _limit(record: Record | None) -> int:
    return record.limit if isinstance(record, Reserve) else 0
