"""One world of one seed: a log, an endpoint, a dead-letter topic, a group of replicas, and their faults."""

import random
from typing import Any

from connector.delivery.offset_metadata import MAX_CHARACTERS
from tests.simulation.coordinator import Coordinator
from tests.simulation.endpoint import (
    FAILING_PREFIX,
    NEVER_KNOWN_PREFIX,
    REJECTED_PREFIX,
    STUCK_PREFIX,
    Endpoint,
    Health,
)
from tests.simulation.fleet import Fleet
from tests.simulation.logs import Logs, PartitionLog
from tests.simulation.oracle import Oracle
from tests.simulation.profiles import MANY, PROFILES, Profile
from tests.simulation.registry import Registry, Written
from tests.simulation.setting import TIMEOUT, choose, partitions_of
from tests.simulation.timeline import Timeline
from tests.simulation.traffic import Traffic
from tests.simulation.troubles import Troubles
from tests.simulation.truth import Wrong

CALM_SECONDS = 1_800.0
"""After the last fault all must be done within this time."""
LATE_SECONDS = 65.0
"""A commit that was answered with an error may land within this time; the end is judged after it."""
STOP_SECONDS = 300.0
"""Likewise for the end of all processes."""
TRICKLES = 300


class World:
    """All of it follows from the seed and the profile."""

    def __init__(self, seed: int, profile: Profile | None = None) -> None:
        """Without a profile the seed chooses one."""
        self.seed = seed
        self._rng = rng = random.Random(f"{seed} world")
        self.profile = profile or PROFILES[rng.choice(list(PROFILES))]
        self.lines: list[tuple[Any, ...]] = []
        """The trace: the time, and the event."""
        self.setting = setting = choose(seed, self.profile, rng)
        self._timeline = timeline = Timeline()
        self._partitions = partitions_of(self.profile)
        self.logs: Logs = {name: PartitionLog(name) for name in self._partitions}
        self.oracle = Oracle(timeline, self.logs, self._trace, setting.options.get("max_event_age", 0.0))
        if setting.most_characters < MAX_CHARACTERS:
            self.oracle.words_are_short()
        self.oracle.doomed = self._is_doomed
        registry = written = None
        if self.profile.by_schema:
            registry = Registry(timeline, random.Random(f"{seed} registry"))
            written = Written(registry, random.Random(f"{seed} schemas"))
        truth = self.oracle.truth
        self.traffic = Traffic(self.profile, rng, self.logs, truth.produced, truth.values, truth.ages, written)
        self.oracle.big = self.traffic.big
        self._health = Health(slowness=setting.slowness, trouble=setting.trouble)
        self._coordinator = Coordinator(
            timeline,
            random.Random(f"{seed} group"),
            self._partitions,
            session=setting.session,
            heartbeat=setting.heartbeat,
            poll_interval=max(TIMEOUT, setting.session) + 60.0,
            classic=setting.classic,
            most_characters=setting.most_characters,
            trace=self._trace,
        )
        endpoint = Endpoint(
            self._health, random.Random(f"{seed} endpoint"), TIMEOUT, setting.options["unknown_visitor_wait"]
        )
        self.fleet = Fleet(
            setting, timeline, self._coordinator, endpoint, self.oracle, self.logs, self._trace, registry
        )
        self._troubles = Troubles(
            setting, timeline, rng, self.fleet, self._coordinator, self._health, self._trace, self.oracle
        )
        self._trickle = TRICKLES
        self._over = False
        self._calm_at = 0.0

    def _trace(self, *what: Any) -> None:
        self.lines.append((self._timeline.now, *what))

    def run(self) -> None:
        """Live; raises Wrong when an invariant does not hold."""
        self._plan()
        step = self._timeline.step
        try:
            while not self._over:
                step()
                if self.oracle.failure:
                    raise Wrong(self.oracle.failure)
            self.oracle.at_end(self._coordinator.committed)
        finally:
            for replica in list(self.fleet.replicas):
                replica.process.kill()

    def _plan(self) -> None:
        rng, profile, timeline = self._rng, self.profile, self._timeline
        seconds = rng.choice(profile.seconds)
        for _ in range(rng.choice(profile.replicas)):
            timeline.after(rng.choice((0.0, rng.uniform(0.0, 5.0))), self.fleet.start)
        records = rng.choice(profile.records)
        while records > 0:
            burst = min(records, rng.choice((1, 3, 10, 40)))
            records -= burst
            timeline.after(rng.uniform(0.0, seconds), self._produce, burst)
        self._troubles.plan(seconds)
        timeline.after(seconds + 1.0, self._calm_down)

    def _produce(self, count: int) -> None:
        for _ in range(count):
            self.traffic.record()
        self.fleet.poke()

    def _is_doomed(self, visitor: str) -> bool:
        """Whether a visitor's updates may be dead letters in this world."""
        if visitor.startswith((REJECTED_PREFIX, FAILING_PREFIX, NEVER_KNOWN_PREFIX)):
            return True
        most: int = self.setting.options["retry"].max_attempts
        return (self.setting.trouble > 0 or visitor.startswith(STUCK_PREFIX)) and most < MANY

    def _calm_down(self) -> None:
        """No more faults, and at least one replica."""
        self._trace("calm")
        self._troubles.end()
        self._calm_at = self._timeline.now
        self._watch(self._timeline.now + CALM_SECONDS)

    def _watch(self, deadline: float) -> None:
        if all(replica.leaving for replica in self.fleet.replicas):
            self.fleet.start()
        ends = {name: len(log.records) for name, log in self.logs.items()}
        is_settled = self._timeline.now > self._calm_at + LATE_SECONDS
        if is_settled and all(max(0, self._coordinator.standing(name).offset) == end for name, end in ends.items()):
            self._stop_all()
            return
        if self._trickle > 0 and FAILING_PREFIX in self.profile.special.values():
            # Whether an update fails by its own fault can only be told while other updates succeed.
            self._trickle -= 1
            for name in self._partitions:
                self.traffic.event(1_000 + name.partition, name)
            self.fleet.poke()
        if self._timeline.now > deadline:
            where = {name.partition: (self._coordinator.standing(name).offset, end) for name, end in ends.items()}
            self.oracle.wrong(f"stalled: not all is done {CALM_SECONDS:.0f} s after the last fault: {where}")
        self._timeline.after(1.0, self._watch, deadline)

    def _stop_all(self) -> None:
        self.fleet.is_over = True
        for replica in self.fleet.replicas:
            self.fleet.terminate(replica)
        self._wait_for_all(self._timeline.now + STOP_SECONDS)

    def _wait_for_all(self, deadline: float) -> None:
        if not self.fleet.replicas:
            self._over = True
            return
        if self._timeline.now > deadline:
            self.oracle.wrong(f"does not stop: {[replica.name for replica in self.fleet.replicas]}")
        self._timeline.after(1.0, self._wait_for_all, deadline)
