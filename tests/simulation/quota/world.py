"""One world: replicas, the log, and all faults until its end."""

import random
from collections import Counter
from dataclasses import replace

from connector.quota.records import Spend
from tests.simulation.quota.classes import ClassReplica, Shares
from tests.simulation.quota.log import Log
from tests.simulation.quota.oracle import Oracle, Wrong
from tests.simulation.quota.replica import Replica
from tests.simulation.quota.setting import Profile, choose
from tests.simulation.timeline import Timeline

MOST = 16
CALM = Profile()
FROZEN = 4.1
"""The longest freeze, in times that a lease counts, and the time to return what it left."""
LEAST_USE = 0.96
LEAST_SHARE = 0.6
LEAST_CALM_USE = 0.5


class World:
    """Runs until its time is over, or until an invariant fails."""

    def __init__(self, seed: int, profile: Profile, *, replicas: int | None = None, trace: bool = False) -> None:
        """`replicas` replaces the number of the seed."""
        self.rng = random.Random(f"quota {seed}")
        self.setting = choose(profile, self.rng)
        self.timeline = Timeline()
        self.oracle = Oracle()
        self.counts: Counter[str] = Counter()
        self.lines: list[tuple[float, str, tuple[object, ...]]] | None = [] if trace else None
        self.log = Log(self.setting, self.timeline, self.rng, self.oracle, self.wrong)
        self.shares = Shares(self.setting, self.log, self.oracle, self.wrong)
        self.replicas: list[Replica] = []
        self.endpoint_down = False
        self._number = 0
        self._terms = self.setting.terms
        self._ends = self.timeline.now + self.setting.seconds
        for _ in range(replicas or self.setting.replicas):
            self.start()

    def start(self) -> None:
        """Add a replica, which reads from the beginning."""
        kind = ClassReplica if self.setting.floods else Replica
        self.replicas.append(kind(self, self._number, self._terms))
        self._number += 1

    def note(self, what: str, *about: object) -> None:
        """Print the trace, for a replay."""
        self.counts[what] += 1
        if self.lines is not None:
            self.lines.append((self.timeline.now, what, about))

    def wrong(self, what: str) -> None:
        """End it here."""
        raise Wrong(what)

    def arrived(self, replica: Replica, lease: int, count: int) -> None:
        """Requests arrive at the endpoint."""
        order = self.log.granted.get((replica.holder.who, lease), len(self.log.entries))
        self.oracle.arrived(self.timeline.now, order, replica.terms.limit, replica.terms.window, count)
        self.counts["requests"] += count
        if self.lines is not None:
            self.note("arrives", replica.name, lease)

    def run(self) -> None:
        """Run it, and then a quiet time in which every replica can send; raises Wrong."""
        self.timeline.after(0.0, self._disturb)
        if self.setting.profile.upgrade:
            self.timeline.after(self.setting.seconds * self.rng.uniform(0.3, 0.6), self._upgrade)
        self._until(self._ends)
        if self.setting.profile.exact:
            self._judge_use()
        else:
            self._calm_down()
        self.counts["records"] = len(self.log.entries)
        self.oracle.judge()

    def _until(self, when: float) -> None:
        while self.timeline.now < when:
            self.timeline.step()

    def _judge_use(self) -> None:
        """The quota is used up to lease, margin and answers, and shared evenly."""
        terms = self._terms
        if self.setting.profile.bulk:
            return
        if self.setting.floods:
            self.shares.judge(self.replicas, self.timeline.now)
            return
        use = self.oracle.rounds(terms, terms.limit)
        possible = terms.window / (terms.window + terms.lease + terms.margin)
        if use < LEAST_USE * possible:
            self.wrong(f"{use:.3f} of the quota was used, and {possible:.3f} was possible")
        eager = [replica for replica in self.replicas if replica.traffic == "flood"]
        sent, partitions = sum(replica.sent for replica in eager), sum(replica.partitions for replica in eager)
        for replica in eager:
            if replica.sent / sent < LEAST_SHARE * replica.partitions / partitions:
                self.wrong(f"{replica.name} sent {replica.sent} of {sent} with {replica.partitions} of {partitions}")

    def _calm_down(self) -> None:
        """Without faults: after all earlier requests have ceased to count, every replica sends."""
        quiet = replace(CALM, upgrade=self.setting.profile.upgrade)
        self.setting = replace(self.setting, profile=quiet)
        self.log.calm_down()
        self.endpoint_down = False
        if not self.replicas:
            self.start()
        longest = max(self.setting.terms.counted, self.setting.later.counted)
        self._until(self.timeline.now + FROZEN * longest)
        begin, before = self.timeline.now, {replica.name: replica.sent for replica in self.replicas}
        self._until(begin + 2 * longest)
        # With a window as short as these, and no limit to the rate, one may take all that becomes free at once.
        idle = self.oracle.use(begin, 2 * longest, self._terms) < LEAST_CALM_USE
        for replica in self.replicas:
            if idle and replica.traffic == "flood" and replica.sent == before[replica.name]:
                self.wrong(f"{replica.name} wants to send and got nothing")

    def _disturb(self) -> None:
        """Every quarter of a lease: draw the faults."""
        rng, profile, terms = self.rng, self.setting.profile, self._terms
        step = terms.lease / 4
        if rng.random() < profile.clocks / 4:
            self.log.disturb_clock()
        if rng.random() < profile.outages / 4:
            self.note("outage")
            self.log.down_until = self.timeline.now + rng.choice((terms.lease, terms.counted)) * rng.random()
        if rng.random() < profile.troubles * step:
            self._trouble(rng.choice(profile.kinds))
        if profile.by_hand and rng.random() < step / terms.window:
            self._spend_by_hand()
        self.timeline.after(step, self._disturb)

    def _trouble(self, what: str) -> None:
        rng = self.rng
        self.note(what)
        if what == "start" and len(self.replicas) < MOST:
            self.start()
        if what == "endpoint":
            self.endpoint_down = not self.endpoint_down
        if not self.replicas:
            self.start()
        victim = rng.choice(self.replicas)
        if what == "crash":
            victim.kill()
            self.replicas.remove(victim)
            if rng.random() < 0.7:
                self.start()
        elif what == "stop" and not victim.frozen:
            victim.stop()
            self.replicas.remove(victim)
        elif what == "freeze":
            victim.freeze(2 * self._terms.counted * rng.random() * rng.random())
        elif what == "weights":
            victim.partitions = rng.randint(1, 8)
        elif what == "wall":
            victim.set_wall(rng.choice(self.setting.profile.walls))

    def _spend_by_hand(self) -> None:
        """Calls were made elsewhere and are booked: they count when there is room for them."""
        terms = self._terms
        count = self.rng.randint(1, terms.limit // 4)
        self.log.append(Spend(count, terms.counted, f"{terms.window}"), lambda: None)
        self.note("spends by hand", count)

    def _upgrade(self) -> None:
        """Rolling upgrade: one replica after the other restarts with other terms."""
        self._terms = self.setting.later
        old = [replica for replica in self.replicas if replica.terms is not self._terms]
        if not old:
            return
        self.note("upgrades")
        victim = old[0]
        if self.rng.random() < 0.5 and not victim.frozen:
            victim.stop()
        else:
            victim.kill()
        self.replicas.remove(victim)
        self.start()
        self.timeline.after(self.rng.uniform(0.1, 2.0) * self._terms.lease, self._upgrade)
