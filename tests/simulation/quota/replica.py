"""One replica: the real holder and the real gate in a process that can be frozen or killed between any two steps."""

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connector.admission.gate import Gate, Permit
from connector.admission.quota_budget import QuotaBudget
from connector.admission.quota_shares import QuotaShares
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.quota.lease_manager import Demand, LeaseManager
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve

if TYPE_CHECKING:
    from tests.simulation.quota.world import World

MANY = 10_000
RATE = 200.0
"""Demand of the group in the paced worlds, a second, or several times what the quota allows."""


class Replica:
    """The quota manager and the pipeline's workers, without their event loop."""

    def __init__(self, world: "World", number: int, terms: QuotaPolicy) -> None:
        self._world = world
        self._rng = rng = random.Random(world.rng.random())
        self.name = f"r{number}"
        self.terms = terms
        self.dead = False
        self.waiting = 0
        self.sent = 0
        self.partitions = rng.randint(1, 4)
        profile = world.setting.profile
        self.style = rng.choice(profile.styles)
        self.traffic = profile.traffic[number % len(profile.traffic)]
        self._boot = rng.uniform(-500.0, 500.0)
        self._wall = rng.uniform(-500.0, 500.0)
        self._stood = 0.0
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = None
        self.gate = Gate(MANY, QuotaBudget(unlimited=False), self._shares())
        self.gate.lease.seconds = math.inf
        self.gate.lease.renew(0.0)
        self.gate.allowance.wanted = self._ring
        self.holder = LeaseManager(
            terms,
            self.gate.allowance,
            rng,
            who=f"{rng.getrandbits(64):016x}",
            name=self.name,
            offset=self.wall() - self.boottime(),
        )
        self._position = 0
        self._start_end = len(world.log.entries)
        self._reading = self._ringing = False
        self._pump_at = math.inf
        self._pumped = self.boottime()
        self._owed = 0.0
        self._idle_since = math.inf
        self._flying: dict[int, tuple[Update, float, Permit]] = {}
        self._serial = 0
        self._look = terms.lease / (6 if profile.bulk else 5)
        self._backlog(start=True)
        world.log.readers.append(self.appended)
        self.later(rng.random() * 0.1, self._tick)
        self.appended()

    def _shares(self) -> QuotaShares | None:
        """The shares of the quota; None: all updates may use all of it."""
        return None

    @property
    def wanted(self) -> int:
        """Updates that wait and may go."""
        return self.waiting

    # Its process.

    def boottime(self) -> float:
        """The clock that advances while the machine sleeps."""
        return self._world.timeline.now + self._boot

    def monotonic(self) -> float:
        """The clock that stops while the machine sleeps."""
        return self._world.timeline.now + self._boot - self._stood

    def wall(self) -> float:
        """The wall clock, which can be set."""
        return self._world.timeline.now + self._wall

    def set_wall(self, seconds: float) -> None:
        """The wall clock is set."""
        self._wall += seconds

    def later(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """Do it in this process."""
        self._world.timeline.after(seconds, self._due, what, args)

    def _due(self, what: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.dead:
            return
        if self._held is not None:
            self._held.append((what, args))
        else:
            what(*args)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, or the machine sleeps."""
        if self._held is None and not self.dead:
            self._world.note("freezes", self.name, round(seconds, 3))
            self._held = []
            self._world.timeline.after(seconds, self._thaw, seconds)

    def _thaw(self, seconds: float) -> None:
        if self.dead:
            return
        self._stood += seconds
        held, self._held = self._held or [], None
        self._rng.shuffle(held)  # The loop may find them in any order.
        for what, args in held:
            self.later(0.0, what, *args)
        if self._rng.random() < 0.5:
            self._pump()

    @property
    def frozen(self) -> bool:
        """Whether it is frozen or dead."""
        return self._held is not None

    def _hurt(self) -> None:
        """A freeze at a critical moment; the most critical length is likely."""
        rng, terms = self._rng, self.terms
        if rng.random() < self._world.setting.profile.freezes:
            longest = rng.choice((terms.lease, terms.lease + terms.request_timeout, terms.counted, 2 * terms.counted))
            self.freeze(longest * rng.choice((rng.random(), rng.uniform(0.95, 1.05))))

    def kill(self) -> None:
        """Nothing that it does later has an effect; sent requests continue."""
        self.dead = True
        self._world.log.readers.remove(self.appended)

    def stop(self) -> None:
        """SIGTERM at its end: requests are cancelled, leases are returned."""
        if self.frozen:
            return
        for _, _, passed in self._flying.values():
            self.gate.abandon(passed)
        self._flying.clear()
        for record in self.holder.close(self.boottime()):
            self._world.log.append(record, _nothing)
        self.kill()

    # The ledger.

    def appended(self) -> None:
        """New records can be read."""
        if not self._reading:
            self._reading = True
            world, rng = self._world, self._rng
            delay = rng.uniform(0.0, 0.01) + max(0.0, world.log.down_until - world.timeline.now)
            if rng.random() < world.setting.profile.slow_reads:
                delay += rng.choice((self.terms.lease, self.terms.counted)) * rng.random()
            self.later(delay, self._read)

    def _read(self) -> None:
        self._reading = False
        holder, entries, boottime = self.holder, self._world.log.entries, self.boottime()
        had = len(holder.allowance.grants)
        for entry in entries[self._position :]:
            holder.read(entry.record, entry.appended, boottime)
        if self._position != len(entries):
            self._position = len(entries)
            self._world.oracle.folded(self._position, holder.ledger)
        if self._position >= self._start_end:
            holder.caught_up = True
        self._folded()
        self._hurt()
        if len(holder.allowance.grants) > had:
            self.later(0.0, self._pump)
        self._ring()

    def _folded(self) -> None:
        """All that was there to read is folded."""

    def _ring(self) -> None:
        if not self._ringing:
            self._ringing = True
            self.later(1e-4, self._rung)

    def _rung(self) -> None:
        self._ringing = False
        self._decide()

    def _tick(self) -> None:
        self._decide()
        if self._world.setting.profile.bulk:
            self._pump()
        self.later(self._look * self._rng.uniform(0.8, 1.2), self._tick)

    def _decide(self) -> None:
        gate, holder, boottime = self.gate, self.holder, self.boottime()
        self._backlog()
        if self._world.setting.profile.exact:
            self._check_idle()  # Where nothing is late, not even for the moment until it is returned.
        rate = self._rate()
        need = Demand(self.wanted, gate.in_flight, self.partitions, rate, gate.circuit.is_open)
        before = holder.per_second
        for record in holder.decide(boottime, need):
            if isinstance(record, Reserve):
                self._hurt()
            self.later(0.0, self._append, record)
        self._check_idle()
        self._decided(before)

    def _decided(self, before: float) -> None:
        """The pace was `before`, and may be another one now."""
        pace = self.holder.per_second
        self.gate.rate.limit(min(self._rate(), pace) if self.style == "paced" else math.inf)
        if pace != before and not self._world.setting.profile.bulk:
            self.later(0.0, self._pump)

    def _append(self, record: Record) -> None:
        number = record.lease if isinstance(record, Reserve) else 0
        self._world.note(type(record).__name__.lower(), self.name, record)
        self._world.log.append(record, lambda: self.later(0.0, self._failed, number))
        self._hurt()

    def _failed(self, number: int) -> None:
        self.holder.failed(number, self.boottime())

    def _rate(self) -> float:
        if self.style != "paced":
            return math.inf
        total = sum(replica.partitions for replica in self._world.replicas) or self.partitions
        group = RATE if self._world.setting.profile.bulk else 5 * self.terms.limit / self.terms.window
        return group * self.partitions / total

    def _check_idle(self) -> None:
        """A replica that sends nothing for a lease holds nothing."""
        now = self._world.timeline.now
        if self.wanted or self.gate.in_flight:
            self._idle_since = math.inf
        elif self._idle_since == math.inf:
            self._idle_since = now
        elif now - self._idle_since > self.terms.lease + 2 * self._look and self.holder.in_hand:
            self._world.wrong(f"{self.name} has nothing to send and holds {self.holder.in_hand}")

    # What it sends.

    def _backlog(self, *, start: bool = False) -> None:
        rng = self._rng
        if self.traffic == "flood":
            self.waiting = max(self.waiting, 50)
        elif start:
            self._arrive()
        if not start and self.traffic == "bursts" and rng.random() < 0.04:
            self.waiting += rng.randint(1, rng.choice((5, self.terms.limit)))

    def _arrive(self) -> None:
        if self.traffic == "idle":
            self.waiting += 1
            self.later(self._rng.expovariate(1.0) * self.terms.counted / 2, self._arrive)
        elif self.traffic == "drips":
            self.waiting += 1
            self.later(self._rng.expovariate(1.0) * self.terms.lease / 4, self._arrive)
        elif self.traffic == "steady":
            share = 0.7 * self.terms.limit / self.terms.window / max(1, self._world.setting.replicas)
            self.waiting += max(1, round(share))
            self.later(max(1, round(share)) / share, self._arrive)

    def _pump(self) -> None:
        """Send what may be sent now."""
        self._pump_at = math.inf
        if self._world.setting.profile.bulk:
            self._pour()
            return
        gate, rng = self.gate, self._rng
        late = min(0.05, self.terms.lease / 8) * rng.random()
        while self.waiting and self._held is None and not self.dead:
            boottime = self.boottime()
            if self.style != "paced":
                gate.concurrency.slots = MANY
            wait = gate.wait(boottime, boottime)
            if wait <= 0 and self.style == "late" and (grant := gate.allowance.current(boottime)) is not None:
                wait = grant.ends - boottime - late
            if wait > 0:
                if wait < math.inf and boottime + wait < self._pump_at:
                    self._pump_at = boottime + wait
                    self.later(wait + 1e-6, self._pump)
                return
            passed = gate.enter(boottime, boottime)
            if rng.random() < 0.01:
                gate.spare(passed)  # There was nothing to send.
                self.waiting -= 1
                continue
            self.waiting -= 1
            self._send(passed, boottime)
            self._hurt()

    def _pour(self) -> None:
        """Many at once, at the pace: a day has a million of them."""
        boottime, holder = self.boottime(), self.holder
        pace = min(self._rate(), holder.per_second)
        self._owed = min(self._owed + pace * (boottime - self._pumped), pace * self.terms.lease)
        self._pumped = boottime
        while self.waiting and self._owed >= 1 and (grant := holder.allowance.current(boottime)) is not None:
            count = min(grant.left, int(self._owed), MANY if self.traffic == "flood" else self.waiting)
            grant.left -= count
            self._owed -= count
            self.sent += count
            self.waiting -= 0 if self.traffic == "flood" else count
            self._world.arrived(self, grant.number, count)

    def _send(self, passed: Permit, boottime: float) -> None:
        """One request. It arrives within its timeout after the gate was asked, or never: its deadline ensures that."""
        world, rng, timeout = self._world, self._rng, self.terms.request_timeout
        self.sent += 1
        self._serial += 1
        update = Update(Visitor("mbox3rdPartyId", str(self._serial)), 0.0)
        self._flying[self._serial] = update, boottime, passed
        latency = min(timeout, rng.choice((0.005, 0.02, 0.1)) * rng.uniform(0.5, 1.5))
        arrival = latency * rng.random()
        answer = Answer(Verdict.ACCEPTED)
        if world.endpoint_down:
            answer = Answer(Verdict.UNAVAILABLE, reached=False)
        elif rng.random() < world.setting.profile.bad_answers:
            kind = rng.choice(("slow", "timeout", "gateway", "own", "throttled", "last moment"))
            last = timeout * rng.choice((rng.random(), 1 - 1e-4, 1 - 1e-4))
            if kind in ("slow", "last moment"):
                latency = arrival = last
            elif kind == "timeout":
                latency, arrival, answer = timeout, last, Answer(Verdict.TIMEOUT)
            elif kind == "gateway":
                arrival, answer = last, Answer(Verdict.UNAVAILABLE)
            elif kind == "own":
                answer = Answer(Verdict.UNAVAILABLE, own=True)
            else:
                answer = Answer(Verdict.THROTTLED)
        world.timeline.after(arrival, world.arrived, self, passed[1].number, 1)
        self.later(latency, self._answered, self._serial, answer)

    def _answered(self, serial: int, answer: Answer) -> None:
        update, began, passed = self._flying.pop(serial)
        self.gate.leave(update, answer, began, self.boottime(), passed)
        if answer.verdict is not Verdict.ACCEPTED:
            self.waiting += 1
        self._pump()


def _nothing() -> None:
    """The process has ended."""
