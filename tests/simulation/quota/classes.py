"""Replicas whose updates have classes, and what must hold of the shares of the quota.

1. When a request of low goes, fewer than low's share of the limit were truly sent in the window before it, plus what
   others have leased by records that its replica had not read when it looked last; likewise normal.
2. Without faults a request of high goes within a second: less of it comes than is kept for it.
3. Without faults the window is used up to the share of the highest class that floods: nothing is kept back besides.

All of it besides what the quota's oracle demands anyway.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from connector.admission.gate import Permit
from connector.admission.quota_shares import QuotaShares
from connector.delivery.answer import Answer, Verdict
from connector.delivery.coalescer import Coalescer
from connector.events.change import Priority
from connector.pipeline.pacing import AHEAD
from connector.pipeline.turns import next_turn
from connector.quota.policy import QuotaPolicy
from tests.simulation.quota.log import Log
from tests.simulation.quota.oracle import Oracle
from tests.simulation.quota.replica import MANY, Replica
from tests.simulation.quota.setting import Setting

if TYPE_CHECKING:
    from tests.simulation.quota.world import World

FLOOD = 50
FAST = 50.0
"""The group's rate limit, by the quota's average rate: no request of high waits long for it."""
HIGH_USE = 0.5
"""Of what is kept for high, the part that comes in a window."""
HIGH_SECONDS = 1.0
LEAST_USE = 0.97


class Waiting:
    """What waits, by class: as much of a coalescer as a turn is decided by."""

    has_classes = True

    def __init__(self) -> None:
        self.since: dict[Priority, deque[float]] = {each: deque() for each in Priority}

    def due_in(self, _now: float, lowest: Priority) -> float:
        """Seconds until an update of class `lowest` or above may go: all that wait are due."""
        return 0.0 if self.count(lowest) else float("inf")

    def count(self, lowest: Priority) -> int:
        """Updates of class `lowest` or above."""
        return sum(len(its) for each, its in self.since.items() if each <= lowest)

    def take(self, lowest: Priority) -> tuple[Priority, float]:
        """One of the highest class, and since when it waits."""
        highest = next(each for each in Priority if self.since[each] and each <= lowest)
        return highest, self.since[highest].popleft()


class Shares:
    """The oracle: knows what was truly sent, and when."""

    def __init__(self, setting: Setting, log: Log, oracle: Oracle, wrong: Callable[[str], None]) -> None:
        self._setting = setting
        self._oracle = oracle
        self._log = log
        self._wrong = wrong
        self._most = {Priority.NORMAL: setting.shares[0], Priority.LOW: setting.shares[1]}
        self._window: deque[float] = deque()

    def sent(self, replica: "ClassReplica", priority: Priority, waited: float, now: float) -> None:
        """A request goes."""
        window = self._window
        while window and window[0] <= now - self._setting.terms.window:
            window.popleft()
        if priority is not Priority.HIGH:
            most = self._most[priority]
            unread = self._log.granted_to_others(replica.holder.who, replica.decided)
            if len(window) >= most + unread:
                told = f"with {len(window)} in the window, its share is {most}, and {unread} are not known to it"
                self._wrong(f"{replica.name} sends {priority.word} {told}")
        elif self._setting.profile.exact and waited > HIGH_SECONDS:
            self._wrong(f"{replica.name} sends high after {waited:.3f} s with {len(window)} in the window")
        window.append(now)

    def judge(self, replicas: Sequence[Replica], end: float) -> None:
        """At the end of a world without faults: the use is how long it takes until the share is sent once more."""
        for replica in replicas:
            assert isinstance(replica, ClassReplica)
            if (high := replica.queue.since[Priority.HIGH]) and end - high[0] > HIGH_SECONDS:
                self._wrong(f"{replica.name} has not sent what is high, for {end - high[0]:.3f} s")
        terms, most = self._setting.terms, self._most[min(self._setting.floods)]
        use = self._oracle.rounds(terms, most)
        possible = terms.window / (terms.window + terms.lease + terms.margin)
        if use < LEAST_USE * possible:
            self._wrong(f"{use:.3f} of the share of {most} was used, and {possible:.3f} was possible")


class ClassReplica(Replica):
    """A replica that decides as `pipeline/quota_manager.py` and `pipeline/dispatch.py` do."""

    def __init__(self, world: "World", number: int, terms: QuotaPolicy) -> None:
        self.queue = Waiting()
        self._classes: dict[int, Priority] = {}
        self.decided = 0
        """Records that it had read when it looked last at what is in the window."""
        setting = world.setting
        self._high_rate = HIGH_USE * (terms.limit - setting.shares[0]) / terms.window / setting.replicas
        super().__init__(world, number, terms)
        self.gate.concurrency.slots = MANY

    def _shares(self) -> QuotaShares:
        normal, low = self._world.setting.shares
        return QuotaShares(low, normal)

    @property
    def wanted(self) -> int:
        return self.queue.count(self.gate.lowest)

    @property
    def filled(self) -> int:
        """Requests in the window, but for those that it may still send."""
        holder, ledger = self.holder, self.holder.ledger
        return ledger.used - ledger.until(holder.now(self.boottime())) - holder.in_hand

    def _rate(self) -> float:
        total = sum(replica.partitions for replica in self._world.replicas) or self.partitions
        return FAST * self.terms.limit / self.terms.window * self.partitions / total

    def _folded(self) -> None:
        self.gate.window_filled(self.filled)
        self.decided = self._position

    def _decided(self, before: float) -> None:
        gate, holder, lowest = self.gate, self.holder, self.gate.lowest
        gate.window_filled(self.filled)
        self.decided = self._position
        rate, pace = self._rate(), holder.per_second
        gate.rate.limit(min(rate, pace), min(rate, AHEAD * pace))
        if pace != before or gate.lowest > lowest:
            self.later(0.0, self._pump)

    # What it sends.

    def _backlog(self, *, start: bool = False) -> None:
        now = self._world.timeline.now
        for each in self._world.setting.floods:
            its = self.queue.since[each]
            its.extend([now] * (FLOOD - len(its)))
        if start:
            self.later(self._rng.expovariate(self._high_rate), self._arrive)

    def _arrive(self) -> None:
        self.queue.since[Priority.HIGH].append(self._world.timeline.now)
        self.later(self._rng.expovariate(self._high_rate), self._arrive)
        self._pump()

    def _pump(self) -> None:
        gate = self.gate
        while self._held is None and not self.dead:
            boottime = self.boottime()
            wait, lowest = next_turn(cast("Coalescer", self.queue), gate, boottime, boottime)
            if wait > 0:
                self._wake(boottime + wait)
                return
            passed = gate.enter(boottime, boottime)
            priority, since = self.queue.take(lowest)
            self._go(passed, boottime, priority, since)
            if self.decided != self._position:
                self._decide()  # What was read woke the manager too: it decides before a second worker goes.
            self._hurt()

    def _go(self, passed: Permit, boottime: float, priority: Priority, since: float) -> None:
        now = self._world.timeline.now
        self._world.note("sends", self.name, priority.word)
        self._world.shares.sent(self, priority, now - since, now)
        self._send(passed, boottime)
        self._classes[self._serial] = priority

    def _wake(self, at: float) -> None:
        if at < self._pump_at:
            self._pump_at = at
            self.later(at - self.boottime() + 1e-6, self._woken, at)

    def _woken(self, at: float) -> None:
        if at == self._pump_at:
            self._pump_at = float("inf")
            self._pump()

    def _answered(self, serial: int, answer: Answer) -> None:
        priority = self._classes.pop(serial)
        if answer.verdict is not Verdict.ACCEPTED:
            self.queue.since[priority].append(self._world.timeline.now)
        super()._answered(serial, answer)
