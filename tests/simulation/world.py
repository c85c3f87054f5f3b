"""One world of one seed: a log, an endpoint, a dead-letter topic, a group of replicas, and what happens to them."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from connector.delivery.letter import DeadLetter
from connector.delivery.offsets import TopicPartition
from connector.delivery.owed import MAX_CHARACTERS
from connector.delivery.retry import RetryPolicy
from connector.errors import Fatal
from connector.events import JsonDecoder
from connector.pipeline import Pipeline, PipelineConfig
from connector.service import LEASE_MARGIN
from connector.target.render import Renderer
from tests.simulation.coordinator import Coordinator
from tests.simulation.endpoint import (
    FAILING_PREFIX,
    OUTAGES,
    REJECTED_PREFIX,
    STUCK_PREFIX,
    Endpoint,
    Health,
    Sender,
)
from tests.simulation.oracle import Fact, Member, Oracle, Wrong
from tests.simulation.profiles import MANY, PROFILES, Profile
from tests.simulation.source import CommitFaults, Source
from tests.simulation.timeline import Lane, Process, Timeline
from tests.support.fakes import FakeRecord, event

PARTITIONS = [TopicPartition("t", number) for number in range(3)]
BIG = 40_000
"""Two values of this length need two requests."""
CONSUMER_SESSION = 45.0
"""The `consumer` protocol has its broker's default; see connector/kafka/config.py."""
MOST_REPLICAS = 4
CALM_SECONDS = 1_800.0
"""After the last fault all must be done within this time."""


class LetterBox:
    """The dead-letter topic: slow, silent or refusing, as the world has it."""

    def __init__(self) -> None:
        self.seconds = 0.01
        self.holds_until = 0.0
        self.refuses = False


class Letters:
    """One replica's way to it."""

    def __init__(self, process: Process, box: LetterBox, oracle: Oracle, rng: random.Random, member: str) -> None:
        self._process = process
        self._box = box
        self._oracle = oracle
        self._rng = rng
        self._member = member

    async def send(self, letter: DeadLetter) -> None:
        loop = asyncio.get_running_loop()
        if self._box.refuses:
            await asyncio.sleep(0.1)
            raise Fatal("dead_letter_failed", "the topic refuses it")
        timeline = self._process.timeline
        written: asyncio.Future[None] = loop.create_future()
        seconds = max(self._rng.random() * self._box.seconds, self._box.holds_until - timeline.now)
        timeline.after(seconds, self._write, letter, written)
        await written
        self._oracle.letter_heard(self._member, letter)

    def _write(self, letter: DeadLetter, written: "asyncio.Future[None]") -> None:
        self._oracle.lettered(letter)
        self._process.later(Lane.LOOP, 0.001, _done, written)


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


@dataclass(eq=False)
class Replica:
    """A running process with what is inside."""

    name: str
    process: Process
    source: Source
    sender: Sender
    stop: asyncio.Event
    pipeline: Pipeline | None = None
    main: "asyncio.Task[None] | None" = None
    busy: bool = False
    """Something is being done to it already."""
    leaving: bool = False


class World:
    """Everything in it follows from the seed and the profile."""

    def __init__(self, seed: int, profile: Profile | None = None) -> None:
        self.seed = seed
        self.rng = rng = random.Random(f"{seed} world")
        self.profile = profile or PROFILES[rng.choice(list(PROFILES))]
        self.lines: list[tuple[Any, ...]] = []
        self.timeline = Timeline()
        self.oracle = Oracle(self.timeline, PARTITIONS, self.trace)
        self.log: dict[TopicPartition, list[FakeRecord]] = {name: [] for name in PARTITIONS}
        self.faults = CommitFaults()
        self.health = Health(slowness=rng.choice(self.profile.slowness))
        self.box = LetterBox()
        self.timeout = 10.0
        self.session = rng.choice(self.profile.sessions)
        self.classic = self.session != CONSUMER_SESSION or rng.random() < self.profile.classic
        self.heartbeat = 3.0 if self.classic else 5.0
        self._options = self._choose_options()
        self.trouble = rng.choice(self.profile.trouble)
        self.health.trouble = self.trouble
        short = rng.random() < self.profile.short_words
        self.oracle.words_are_short = short
        self.oracle.doomed = self._is_doomed
        self.coordinator = Coordinator(
            self.timeline,
            random.Random(f"{seed} group"),
            PARTITIONS,
            session=self.session,
            heartbeat=self.heartbeat,
            poll_interval=max(self.timeout, self.session) + 60.0,
            classic=self.classic,
            most_characters=rng.choice((20, 60, 200)) if short else MAX_CHARACTERS,
            trace=self.trace,
        )
        self.endpoint = Endpoint(self.health, random.Random(f"{seed} endpoint"), self.timeout)
        self.replicas: list[Replica] = []
        self._names = 0
        self._serial = 0
        self._calm = False
        self._stopping = False
        self._trickle = 300
        self._over = False
        self._outages = 0
        self.deadline = 0.0

    def trace(self, *what: Any) -> None:
        """Remember what happened, for whoever wants to read it."""
        self.lines.append((self.timeline.now, *what))

    # From the beginning to the end.

    def run(self) -> None:
        """Live; raises Wrong when an invariant does not hold."""
        self._plan()
        step = self.timeline.step
        try:
            while not self._over:
                step()
                if self.oracle.failure:
                    raise Wrong(self.oracle.failure)
            self.oracle.at_end(self.coordinator.committed)
        finally:
            for replica in list(self.replicas):
                replica.process.kill()

    def _choose_options(self) -> dict[str, Any]:
        rng, profile = self.rng, self.profile
        return {
            "linger": rng.choice(profile.linger),
            "max_visitors": rng.choice(profile.max_visitors),
            "max_bytes": rng.choice(profile.max_bytes),
            "max_in_flight": rng.choice((1, 3, 8)),
            "updates_per_second": rng.choice(profile.rate),
            "commit_interval": rng.choice((0.3, 5.0)),
            "accept_unconfirmed": rng.random() < 0.5,
            "retry": RetryPolicy(0.5, rng.choice((2.0, 60.0)), rng.choice(profile.attempts)),
            "shutdown_grace": rng.choice((25.0, 5.0)),
        }

    def _plan(self) -> None:
        rng, profile = self.rng, self.profile
        seconds = rng.choice(profile.seconds)
        for _ in range(rng.choice(profile.replicas)):
            self.timeline.after(rng.choice((0.0, rng.uniform(0.0, 5.0))), self.start_replica)
        records = rng.choice(profile.records)
        while records > 0:
            burst = min(records, rng.choice((1, 3, 10, 40)))
            records -= burst
            self.timeline.after(rng.uniform(0.0, seconds), self._produce, burst)
        names = list(profile.faults)
        weights = list(profile.faults.values())
        for _ in range(rng.choice(profile.troubles) if names else 0):
            (name,) = rng.choices(names, weights)
            self.timeline.after(rng.uniform(1.0, seconds), getattr(self, f"_{name}"))
        self.timeline.after(seconds + 1.0, self._calm_down)

    def _calm_down(self) -> None:
        """No more faults, and at least one replica; what is still frozen comes back by itself."""
        self.trace("calm")
        self._calm = True
        self.faults.__init__()  # type: ignore[misc]
        self._heal(self._outages)
        self.health.trouble = 0.0
        self.health.cured = True
        self.health.slowness = min(self.health.slowness, 1.0)
        self.box.__init__()  # type: ignore[misc]
        self.deadline = self.timeline.now + CALM_SECONDS
        self._watch()

    def _watch(self) -> None:
        if not any(not replica.leaving for replica in self.replicas):
            self.start_replica()
        ends = {name: len(records) for name, records in self.log.items()}
        if all(max(0, self.coordinator.standing(name).offset) == end for name, end in ends.items()):
            self._stop_all()
            return
        if self._trickle > 0 and FAILING_PREFIX in self.profile.special.values():
            # Whether an update fails by its own fault can only be told while others get through.
            self._trickle -= 1
            for name in PARTITIONS:
                self._produce_event(1_000 + name.partition, name)
            for replica in self.replicas:
                replica.source.poke()
        if self.timeline.now > self.deadline:
            where = {name.partition: (self.coordinator.standing(name).offset, end) for name, end in ends.items()}
            self.oracle.wrong(f"stalled: not all is done {CALM_SECONDS:.0f} s after the last fault: {where}")
        self.timeline.after(1.0, self._watch)

    def _stop_all(self) -> None:
        self._stopping = True
        for replica in self.replicas:
            self._end(replica)
        self._wait_for_all(self.timeline.now + 300.0)

    def _wait_for_all(self, deadline: float) -> None:
        if not self.replicas:
            self._over = True
            return
        if self.timeline.now > deadline:
            self.oracle.wrong(f"does not stop: {[replica.name for replica in self.replicas]}")
        self.timeline.after(1.0, self._wait_for_all, deadline)

    # The log.

    def _is_doomed(self, visitor: str) -> bool:
        if visitor.startswith((REJECTED_PREFIX, FAILING_PREFIX)):
            return True
        return (self.trouble > 0 or visitor.startswith(STUCK_PREFIX)) and self._options["retry"].max_attempts < MANY

    def _produce(self, count: int) -> None:
        for _ in range(count):
            self._produce_one()
        for replica in self.replicas:
            replica.source.poke()

    def _produce_one(self) -> None:
        rng, profile = self.rng, self.profile
        number = rng.randrange(profile.visitors)
        partition = PARTITIONS[number % len(PARTITIONS)]
        kind = rng.random()
        if kind < 0.02:
            self._append(partition, None, Fact("", {}))
        elif kind < 0.02 + profile.malformed:
            value = rng.choice([b"{", b"[]", event("x"), event("x", a=[1]), b"\xff"])
            self._append(partition, value, Fact("", {}, malformed=True))
        else:
            self._produce_event(number, partition)

    def _produce_event(self, number: int, partition: TopicPartition) -> None:
        rng, profile = self.rng, self.profile
        visitor = f"{profile.special.get(number, 'v')}{number}"
        names = rng.sample("abcd", rng.randint(1, 2))
        if profile.spread and visitor[0] == "v" and rng.random() < profile.spread:
            # Visitors whose events come over all partitions: each has names of its own there, so the order is defined.
            visitor = f"w{number}"
            partition = rng.choice(PARTITIONS)
            names = [f"{name}{partition.partition}" for name in names]
        serials: dict[str, int] = {}
        for name in names:
            self._serial += 1
            serials[name] = self._serial
        values = {name: str(serial) for name, serial in serials.items()}
        if profile.big and number == 1 and rng.random() < 0.4:
            if visitor[0] == "v":
                self.oracle.big.add(visitor)
                values = {name: f"{serial}.{'x' * BIG}" for name, serial in serials.items()}
        elif profile.padding:
            values = {name: f"{value}.{'x' * profile.padding}" for name, value in values.items()}
        self._append(partition, event(visitor, **values), Fact(visitor, serials))

    def _append(self, partition: TopicPartition, value: bytes | None, fact: Fact) -> None:
        self.oracle.produced(partition, fact)
        self.log[partition].append(FakeRecord(value, len(self.log[partition]), partition=partition.partition))

    # Replicas.

    def start_replica(self) -> None:
        """A new process, which joins the group by itself."""
        if len(self.replicas) >= MOST_REPLICAS or self._stopping:
            return
        self._names += 1
        name = f"m{self._names}"
        rng = random.Random(f"{self.seed} {name}")
        process = Process(self.timeline, rng, self.oracle.wrong)
        batch = rng.choice(self.profile.batches)
        source = Source(
            process,
            self.coordinator,
            self.log,
            self.oracle,
            self.faults,
            rng,
            member=name,
            batch=batch,
            request_timeout=self.timeout,
        )
        sender = Sender(process, self.endpoint, self.oracle, self.timeout, name)
        replica = Replica(name, process, source, sender, asyncio.Event())
        self.replicas.append(replica)
        self.trace("starts", name)
        process.loop.call_soon(self._boot, replica, rng, batch)

    def _boot(self, replica: Replica, rng: random.Random, batch: int) -> None:
        config = PipelineConfig(
            **self._options,
            request_timeout=self.timeout,
            lease=self.session * (1 - LEASE_MARGIN) - self.timeout,
            max_dead_letters_in_a_row=0,
            max_dead_letter_ratio=0.0,
        )
        process = replica.process
        replica.pipeline = Pipeline(
            config,
            decode=JsonDecoder(),
            render=Renderer("/u"),
            source=replica.source,
            sender=replica.sender,
            dead_letters=Letters(process, self.box, self.oracle, rng, replica.name),
            rng=random.Random(rng.getrandbits(32)),
            awake=lambda: self.timeline.now,
        )
        bytes_a_batch = batch * (3_000 + self.profile.padding * 4) if not self.profile.big else batch * 200_000
        self.oracle.members[replica.name] = Member(process, replica.pipeline, config, batch, bytes_a_batch)
        process.loop.after_turn = partial(self.oracle.after_turn, replica.name)
        replica.main = process.loop.create_task(replica.pipeline.run(replica.stop))
        replica.main.add_done_callback(lambda task: self._main_ended(replica, task))

    def _main_ended(self, replica: Replica, task: "asyncio.Task[None]") -> None:
        if replica.process.dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Fatal):
            with suppress(Wrong):
                self.oracle.wrong(f"{replica.name} ended: {error!r}")
        self.trace("exits", replica.name, "" if error is None else repr(error))
        self.timeline.after(0.0, self._gone, replica)
        if error is not None:
            self.timeline.after(5.0, self.start_replica)

    def _gone(self, replica: Replica) -> None:
        """The process is over, whether it said goodbye or not."""
        if replica.process.dead:
            return
        replica.source.silent()
        self.replicas.remove(replica)
        self.oracle.ended(replica.name)
        replica.process.kill()

    def _end(self, replica: Replica) -> None:
        """SIGTERM."""
        if not replica.leaving:
            self.trace("is told to stop", replica.name)
            replica.leaving = True
            replica.process.later(Lane.LOOP, 0.0, replica.process.loop.call_soon, replica.stop.set)

    # What can happen; each is the name of a fault in a profile.

    def _some(self) -> Replica | None:
        """A replica to which nothing happens yet."""
        there = [it for it in self.replicas if not it.busy and not it.leaving and it.pipeline is not None]
        return self.rng.choice(there) if there and not self._calm else None

    def _crash(self) -> None:
        if (replica := self._some()) is None:
            return
        self.trace("is killed", replica.name)
        self._gone(replica)
        if self.rng.random() < 0.7:
            self.timeline.after(self.rng.uniform(0.5, 5.0), self.start_replica)

    def _stop(self) -> None:
        if (replica := self._some()) is None:
            return
        self._end(replica)
        if self.rng.random() < 0.7:
            self.timeline.after(self.rng.uniform(0.0, 10.0), self.start_replica)

    def _scale_up(self) -> None:
        if not self._calm:
            self.start_replica()

    def _roll(self) -> None:
        """One after the other is replaced."""
        for index, replica in enumerate(self.replicas):
            self.timeline.after(8.0 * index, self._end, replica)
            self.timeline.after(8.0 * index + 1.0, self.start_replica)

    def _shuffle(self) -> None:
        self.coordinator.shuffle()

    def _freeze(self) -> None:
        """SIGSTOP, at any moment, or when a commit has landed, or when a request has left."""
        if (replica := self._some()) is None:
            return
        rng = self.rng
        longer = rng.random() < 0.7
        seconds = self.session + rng.uniform(-3.0, 30.0) if longer else rng.uniform(1.0, 20.0)
        start = partial(self._begin_freeze, replica, seconds, asleep=rng.random() < self.profile.suspends)
        when = rng.random()
        if when < 0.3:
            replica.source.freeze_at_commit = start
        elif when < 0.5:
            replica.sender.freeze_at_send = start
        elif when < 0.6:
            replica.source.freeze_at_revoke = start
            self.coordinator.shuffle()
        else:
            start()

    def _begin_freeze(self, replica: Replica, seconds: float, *, asleep: bool) -> None:
        if replica.process.dead or replica.busy:
            return
        replica.busy = True
        self.trace("is suspended" if asleep else "is frozen", replica.name, round(seconds, 3))
        replica.process.hold(*Lane)
        replica.source.silent()
        self.timeline.after(seconds, self._thaw, replica, seconds if asleep else 0.0)

    def _thaw(self, replica: Replica, slept: float) -> None:
        if replica.process.dead:
            return
        self.trace("goes on", replica.name)
        replica.busy = False
        replica.process.slept += slept
        replica.process.release(*Lane)
        replica.source.heard()

    def _cut_off(self) -> None:
        """No way to the brokers, while the endpoint can be reached."""
        if (replica := self._some()) is None:
            return
        seconds = self.session + self.rng.uniform(-5.0, 40.0) if self.rng.random() < 0.7 else self.rng.uniform(1, 20)
        replica.busy = True
        self.trace("is cut off", replica.name, round(seconds, 3))
        replica.source.cut_off = True
        replica.source.silent()
        self.timeline.after(seconds, self._join_up, replica)

    def _join_up(self, replica: Replica) -> None:
        if replica.process.dead:
            return
        self.trace("is back", replica.name)
        replica.busy = False
        replica.source.cut_off = False
        replica.source.heard()
        replica.source.poke()

    def _stall(self) -> None:
        """The consumer's thread stands still, the rest goes on."""
        if (replica := self._some()) is None:
            return
        replica.busy = True
        seconds = self.rng.choice((5.0, 30.0, 150.0))
        self.trace("its thread stalls", replica.name, seconds)
        replica.process.hold(Lane.THREAD)
        self.timeline.after(seconds, self._end_stall, replica)

    def _end_stall(self, replica: Replica) -> None:
        if not replica.process.dead:
            replica.busy = False
            replica.process.release(Lane.THREAD)
            if replica.source.number and not replica.process.frozen:
                replica.source.heard()

    def _outage(self) -> None:
        if self._calm:
            return
        rng = self.rng
        self._outages += 1
        self.health.outage = rng.choice(OUTAGES)
        self.health.retry_after = rng.choice((None, 1.0, 5.0, 30.0))
        seconds = rng.choice((1.0, 10.0, 30.0, 60.0))
        self.trace("outage", self.health.outage, self.health.retry_after, seconds)
        self.timeline.after(seconds, self._heal, self._outages)

    def _heal(self, number: int) -> None:
        if number == self._outages and self.health.outage:
            self.trace("the endpoint is well")
            self.health.outage = ""

    def _commit_trouble(self) -> None:
        if self._calm:
            return
        rng = self.rng
        kind = rng.choice(("vanishes", "refused", "unanswered", "lands_late", "slow", "unknown_start"))
        setattr(self.faults, kind, rng.choice((0.3, 0.8, 1.0)))
        self.trace("commits", kind)
        self.timeline.after(rng.choice((2.0, 20.0, 50.0)), setattr, self.faults, kind, 0.0)

    def _letter_trouble(self) -> None:
        if self._calm:
            return
        rng = self.rng
        kind = rng.randrange(3)
        seconds = rng.choice((2.0, 20.0, 50.0))
        self.trace("letters", ("slow", "silent", "refused")[kind], seconds)
        if kind == 0:
            self.box.seconds = 10.0
        elif kind == 1:
            self.box.holds_until = self.timeline.now + seconds
        else:
            self.box.refuses = True
            self.timeline.after(seconds, setattr, self.box, "refuses", False)
