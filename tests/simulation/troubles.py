"""Faults of a world; each public method is a fault by the name that a profile gives it."""

import random
from collections.abc import Callable
from functools import partial

from connector.delivery.offset_tracker import TopicPartition
from tests.simulation.coordinator import Coordinator
from tests.simulation.endpoint import OUTAGES, Health
from tests.simulation.fleet import Fleet, Replica
from tests.simulation.logs import PartitionLog
from tests.simulation.oracle import Oracle
from tests.simulation.setting import Setting
from tests.simulation.timeline import Lane, Timeline

MOST_PARTITIONS = 5


class Troubles:
    """Injects each fault, and ends it later by itself."""

    def __init__(
        self,
        setting: Setting,
        timeline: Timeline,
        rng: random.Random,
        fleet: Fleet,
        coordinator: Coordinator,
        health: Health,
        trace: Callable[..., None],
        oracle: Oracle,
    ) -> None:
        self._setting = setting
        self._timeline = timeline
        self._rng = rng
        self._fleet = fleet
        self._coordinator = coordinator
        self._health = health
        self._trace = trace
        self._oracle = oracle
        self._outages = 0
        self.is_over = False
        """The world has no faults from now on."""

    def plan(self, seconds: float) -> None:
        """Draw the faults of these seconds."""
        rng, profile = self._rng, self._setting.profile
        names = list(profile.faults)
        weights = list(profile.faults.values())
        for _ in range(rng.choice(profile.troubles) if names else 0):
            (name,) = rng.choices(names, weights)
            self._timeline.after(rng.uniform(1.0, seconds), getattr(self, name))

    def end(self) -> None:
        """No more faults; what is frozen or cut off recovers by itself."""
        self.is_over = True
        self._fleet.faults.end()
        self._fleet.box.heal()
        self._heal(self._outages)
        self._registry_back()
        self._health.trouble = 0.0
        self._health.cured = True
        self._health.slowness = min(self._health.slowness, 1.0)

    # Faults of the logs, and of what describes their records.

    def registry_outage(self) -> None:
        """The Schema Registry cannot be reached."""
        if self.is_over or (registry := self._fleet.registry) is None or registry.is_down:
            return
        self._trace("the registry is down")
        registry.is_down = True
        self._timeline.after(self._rng.choice((1.0, 20.0, 90.0)), self._registry_back)

    def _registry_back(self) -> None:
        if self._fleet.registry is not None:
            self._trace("the registry is back")
            self._fleet.registry.is_down = False

    def make_again(self) -> None:
        """The topic is deleted and made again; the group's offsets go with it, until a member commits again."""
        if self.is_over:
            return
        self._trace("the topic is made again")
        for name, log in self._fleet.logs.items():
            self._oracle.truth.cut(name, 0)
            log.make_again()
            self._coordinator.committed.pop(name, None)
        if self._rng.random() < 0.5:
            self._coordinator.shuffle()
        self._fleet.poke()

    def cut_tail(self) -> None:
        """An unclean election: records that the new leader did not have are lost."""
        if self.is_over:
            return
        name = self._rng.choice(list(self._fleet.logs))
        end = self._fleet.logs[name].cut(self._rng.choice((1, 3, 10, 30)))
        self._trace("the tail is cut", name.partition, end)
        self._oracle.truth.cut(name, end)
        self._fleet.poke()

    def elect(self) -> None:
        """A clean election."""
        if not self.is_over:
            self._fleet.logs[self._rng.choice(list(self._fleet.logs))].elect()

    def retention(self) -> None:
        """The oldest records are deleted, read or not."""
        if self.is_over:
            return
        name = self._rng.choice(list(self._fleet.logs))
        log = self._fleet.logs[name]
        log.forget(self._rng.randint(0, len(log.records)))
        self._trace("retention", name.partition, log.low)
        self._oracle.truth.begun(name, log.low)

    def add_partition(self) -> None:
        """The topic gets one more."""
        logs = self._fleet.logs
        if self.is_over or len(logs) >= MOST_PARTITIONS:
            return
        name = TopicPartition("t", len(logs))
        self._trace("a partition is added", name.partition)
        logs[name] = PartitionLog(name)
        if any(log.generation > 1 for log in logs.values()):
            logs[name].generation = max(log.generation for log in logs.values())
        self._oracle.truth.added(name)
        self._coordinator.add(name)

    def _some(self) -> Replica | None:
        """A replica without a fault."""
        there = [it for it in self._fleet.replicas if not it.busy and not it.leaving and it.pipeline is not None]
        return self._rng.choice(there) if there and not self.is_over else None

    def crash(self) -> None:
        if (replica := self._some()) is None:
            return
        self._trace("is killed", replica.name)
        self._fleet.kill(replica)
        if self._rng.random() < 0.7:
            soonest = 0.01 if self._setting.static else 0.5
            self._timeline.after(self._rng.uniform(soonest, 5.0), self._fleet.start)

    def bounce(self) -> None:
        """Stopped in order, started again, and killed soon after; its name comes back at once each time."""
        if (replica := self._some()) is None:
            return
        self._fleet.terminate(replica)
        rng = self._rng
        for seconds in (12.0, 12.0 + rng.uniform(1.0, 4.0)):
            self._timeline.after(seconds, self._fleet.start)
            self._timeline.after(seconds + rng.uniform(1.0, 6.0), self.crash)

    def stop(self) -> None:
        if (replica := self._some()) is None:
            return
        self._fleet.terminate(replica)
        if self._rng.random() < 0.7:
            self._timeline.after(self._rng.uniform(0.0, 10.0), self._fleet.start)

    def scale_up(self) -> None:
        if not self.is_over:
            self._fleet.start()

    def roll(self) -> None:
        """Replace one after the other."""
        for index, replica in enumerate(self._fleet.replicas):
            self._timeline.after(8.0 * index, self._fleet.terminate, replica)
            self._timeline.after(8.0 * index + 1.0, self._fleet.start)

    def shuffle(self) -> None:
        self._coordinator.shuffle()

    def freeze(self) -> None:
        """SIGSTOP, at any moment, or when a commit has landed, or when a request has left."""
        if (replica := self._some()) is None:
            return
        rng = self._rng
        longer = rng.random() < 0.7
        seconds = self._setting.session + rng.uniform(-3.0, 30.0) if longer else rng.uniform(1.0, 20.0)
        start = partial(self._begin_freeze, replica, seconds, asleep=rng.random() < self._setting.profile.suspends)
        when = rng.random()
        if when < 0.3:
            replica.source.client.freeze_at_commit = start
        elif when < 0.5:
            replica.sender.freeze_at_send = start
        elif when < 0.6:
            replica.source.freeze_at_revoke = start
            self._coordinator.shuffle()
        else:
            start()

    def _begin_freeze(self, replica: Replica, seconds: float, *, asleep: bool) -> None:
        if replica.process.dead or replica.busy:
            return
        replica.busy = True
        self._trace("is suspended" if asleep else "is frozen", replica.name, round(seconds, 3))
        replica.process.hold(*Lane)
        replica.source.client.silent()
        self._timeline.after(seconds, self._thaw, replica, seconds if asleep else 0.0)

    def _thaw(self, replica: Replica, slept: float) -> None:
        if replica.process.dead:
            return
        self._trace("resumes", replica.name)
        replica.busy = False
        replica.process.slept += slept
        replica.process.release(*Lane)
        replica.source.client.heard()

    def cut_off(self) -> None:
        """Cut off from the brokers, while the endpoint can be reached."""
        if (replica := self._some()) is None:
            return
        seconds = (
            self._setting.session + self._rng.uniform(-5.0, 40.0)
            if self._rng.random() < 0.7
            else self._rng.uniform(1, 20)
        )
        replica.busy = True
        self._trace("is cut off", replica.name, round(seconds, 3))
        replica.source.client.cut_off = True
        replica.source.client.silent()
        self._timeline.after(seconds, self._join_up, replica)

    def _join_up(self, replica: Replica) -> None:
        if replica.process.dead:
            return
        self._trace("is back", replica.name)
        replica.busy = False
        replica.source.client.cut_off = False
        replica.source.client.heard()
        replica.source.poke()

    def stall(self) -> None:
        """The consumer's thread is frozen, the rest continues."""
        if (replica := self._some()) is None:
            return
        replica.busy = True
        seconds = self._rng.choice((5.0, 30.0, 150.0))
        self._trace("its thread stalls", replica.name, seconds)
        replica.process.hold(Lane.THREAD)
        self._timeline.after(seconds, self._end_stall, replica)

    def _end_stall(self, replica: Replica) -> None:
        if not replica.process.dead:
            replica.busy = False
            replica.process.release(Lane.THREAD)
            if replica.source.client.number and not replica.process.frozen:
                replica.source.client.heard()

    def outage(self) -> None:
        if self.is_over:
            return
        rng = self._rng
        self._outages += 1
        self._health.outage = rng.choice(OUTAGES)
        self._health.retry_after = rng.choice((None, 1.0, 5.0, 30.0))
        seconds = rng.choice(self._setting.profile.outages)
        self._trace("outage", self._health.outage, self._health.retry_after, seconds)
        self._timeline.after(seconds, self._heal, self._outages)

    def _heal(self, number: int) -> None:
        if number == self._outages and self._health.outage:
            self._trace("the endpoint is well")
            self._health.outage = ""
            self._oracle.healed()

    def commit_trouble(self) -> None:
        if self.is_over:
            return
        rng = self._rng
        kind = rng.choice(("vanishes", "refused", "unanswered", "lands_late", "slow", "unknown_start"))
        setattr(self._fleet.faults, kind, rng.choice((0.3, 0.8, 1.0)))
        self._trace("commits", kind)
        self._timeline.after(rng.choice((2.0, 20.0, 50.0)), setattr, self._fleet.faults, kind, 0.0)

    def letter_trouble(self) -> None:
        if self.is_over:
            return
        rng = self._rng
        kind = rng.randrange(3)
        seconds = rng.choice((2.0, 20.0, 50.0))
        self._trace("letters", ("slow", "silent", "refused")[kind], seconds)
        if kind == 0:
            self._fleet.box.seconds = 10.0
        elif kind == 1:
            self._fleet.box.holds_until = self._timeline.now + seconds
        else:
            self._fleet.box.refuses = True
            self._timeline.after(seconds, setattr, self._fleet.box, "refuses", False)
