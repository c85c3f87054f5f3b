"""One chaos run: start everything, inject faults for a while, repair everything, then judge.

The seed decides which fault follows which, and for how long; it does not decide the timing of processes, so a seed
gives a similar run, never the same one.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException

from tests.chaos.cluster import Cluster, Node
from tests.chaos.load import POISON_FAULTS, Feed
from tests.chaos.oracle import KIND, Evidence, Request, Verdict, judge
from tests.chaos.replicas import SESSION_SECONDS, SLOTS, Fleet, Slot
from tests.chaos.toxics import HOST
from tests.support.kafka.client import Record
from tests.support.kafka.fetch import Distribution
from tests.support.oracle import caught_up
from tests.support.process import Sandbox, request

TOPIC = "profile-changes"
LETTERS = f"{TOPIC}.dead-letter"
PARTITIONS = 8
REPLICAS = 3
SETTLE_SECONDS = 180.0
LOOK_SECONDS = 0.25
CALM_SHARE = 0.8
CALM_SECONDS = 12.0
CALM_UPDATES = 100

SHORT = (1.0, 4.0)
LONG = (SESSION_SECONDS + 3.0, SESSION_SECONDS + 8.0)
"""Long enough for others to take over its partitions, and to write newer values."""

ENDPOINT_FAULTS: Sequence[Sequence[str]] = (
    (),
    (),
    (),
    ("status=500,p=0.3",),
    ("status=503,p=0.5",),
    ("status=503",),
    ("status=429,p=0.5,retry_after=1",),
    ("lost_answer,p=0.3",),
    ("drop,p=0.3",),
    ("hang=10,p=0.2",),
    ("delay=0.5,p=0.5", "delay=3,p=0.1"),
    ("html=502,p=0.3", "html=200,p=0.2", "empty,p=0.2"),
    ("redirect=/elsewhere,p=0.3",),
    ("status=401,p=0.5",),
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Parameters of a run. seconds: of chaos; starting, repairing and judging come on top."""

    seconds: float
    seed: int
    brokers: int = 1


async def run(plan: Plan, distribution: Distribution, folder: Path, say: Say) -> Verdict:
    """Do one run in a folder of its own; logs and evidence stay there."""
    began = time.monotonic()

    def tell(what: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {what}"
        with (folder / "timeline.log").open("a") as timeline:
            timeline.write(f"{time.monotonic():.3f} {line}\n")
        say(line)

    with ExitStack() as around:
        sandbox = around.enter_context(Sandbox(folder, "--host", HOST, "--seed", str(plan.seed)))
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Cluster(distribution, folder, plan.brokers, SLOTS))
            await asyncio.to_thread(cluster.create_topic, TOPIC, PARTITIONS)
            fleet = Fleet(folder, cluster, TOPIC, sandbox.url, random.Random(f"{plan.seed} links"), tell)
            stack.push_async_callback(fleet.end)
            world = _World(plan, cluster, fleet, sandbox, tell)
            await world.break_things()
            await world.mend_things()
            return await world.judge(folder)


class _World:
    def __init__(self, plan: Plan, cluster: Cluster, fleet: Fleet, sandbox: Sandbox, tell: Say) -> None:
        self._plan = plan
        self._cluster = cluster
        self._fleet = fleet
        self._sandbox = sandbox
        self._tell = tell
        self._rng = random.Random(f"{plan.seed} actions")
        self._feed = Feed(cluster.bootstrap, TOPIC, random.Random(f"{plan.seed} events"))
        self._broken_broker = False
        self._done: Counter[str] = Counter()
        self._actions: dict[str, Callable[[], Awaitable[bool]]] = {
            "kill -9": self._kill,
            "freeze": self._freeze_short,
            "freeze past the session": self._freeze_long,
            "rolling restart": self._roll,
            "scaling": self._scale,
            "cut off from Kafka": self._cut_off_short,
            "cut off from Kafka past the session": self._cut_off_long,
            "broker kill -9": self._kill_broker,
            "broker freeze": self._freeze_broker_short,
            "broker freeze past the session": self._freeze_broker_long,
        }

    # The three parts of a run.

    async def break_things(self) -> None:
        """Load, faults and actions, until the time is over; then wait for what is under way."""
        loop = asyncio.get_running_loop()
        await self._set_faults(())
        for slot in self._fleet.slots[:REPLICAS]:
            await self._fleet.start(slot)
        self._feeding = loop.create_task(self._feed.run())
        background = [self._feeding]
        deeds: list[asyncio.Task[None]] = []
        try:
            living = self._fleet.living()
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._watch_until(lambda: all(replica.has_partitions() for replica in living), background, deeds)
            background.append(loop.create_task(self._ail_endpoint()))
            deck: list[str] = []
            end = loop.time() + self._plan.seconds
            while loop.time() < end:
                if not deck:
                    deck = self._deal()
                taken = self._taken()
                deeds.append(loop.create_task(self._act(deck.pop(), end)))
                await self._watch(self._rng.uniform(0.5, 3.0), background, deeds)
                # Mostly not before the last fault was survived: a group that never forms has nothing to lose.
                if self._rng.random() < CALM_SHARE:
                    patience = min(end, loop.time() + CALM_SECONDS)
                    while self._taken() < taken + CALM_UPDATES and loop.time() < patience:
                        await self._watch(LOOK_SECONDS, background, deeds)
            await self._watch_until(lambda: all(deed.done() for deed in deeds), background, deeds)
        finally:
            for task in (*background[1:], *deeds):
                task.cancel()
            await asyncio.gather(*background[1:], *deeds, return_exceptions=True)

    async def mend_things(self) -> None:
        """All faults are over: everything that was written must now arrive, and be committed."""
        self._tell("all faults are over: what is left must arrive now")
        await self._fleet.heal()
        await self._set_faults(())
        for slot in self._fleet.slots:
            if slot.replica is None and len(self._fleet.living()) < REPLICAS:
                await self._fleet.start(slot)
        self._feed.calm()
        ends = await asyncio.to_thread(self._cluster.nodes[0].end_offsets, TOPIC)
        if await self._comes(lambda: self._has_committed(ends), "all that was written under faults is committed"):
            # One that stays out of the group would do no harm, and no work during its whole life.
            # Asked of the slot: the process in it may end, abandoned by its client, and another one is started.
            for slot in self._fleet.slots:
                if slot.replica is not None or slot.busy:
                    await self._comes(slot.has_partitions, f"slot {slot.number} has a replica with partitions")
        self._feeding.cancel()
        await asyncio.to_thread(self._feed.flush, SETTLE_SECONDS)
        await self._comes(lambda: caught_up(self._cluster.nodes[0], TOPIC), "all is committed")
        for replica in self._fleet.living():
            await asyncio.to_thread(self._reconcile, replica.name, replica.process.metrics)
        await asyncio.gather(*(self._fleet.stop(slot) for slot in self._fleet.slots if slot.replica is not None))

    async def judge(self, folder: Path) -> Verdict:
        """Gather what is left, keep it in the folder, and judge it."""
        fleet, kafka, sandbox = self._fleet, self._cluster.nodes[0], self._sandbox
        fleet.read_logs()
        _, log = await asyncio.to_thread(request, sandbox.url, "GET", "/sandbox/log")
        (folder / "journal.jsonl").write_bytes(log)
        stats = await asyncio.to_thread(sandbox.stats)
        profiles = await asyncio.to_thread(sandbox.profiles)
        records = await asyncio.to_thread(kafka.read_all, TOPIC)
        letters = await asyncio.to_thread(_letters, kafka)
        for name, found in (("records", records), ("letters", letters)):
            (folder / f"{name}.txt").write_text("".join(f"{record}\n" for record in found))
        (folder / "profiles.json").write_text(json.dumps(profiles))
        committed = await asyncio.to_thread(kafka.committed, TOPIC, TOPIC)
        verdict = judge(
            Evidence(
                records=records,
                letters=letters,
                journal=[Request.read(line) for line in log.decode().splitlines()],
                profiles={
                    visitor.removeprefix(KIND): {name: int(value) for name, value in attributes.items()}
                    for visitor, attributes in profiles.items()
                },
                committed={partition: where.offset for partition, where in committed.items()},
                ends=await asyncio.to_thread(kafka.end_offsets, TOPIC),
                lives={replica.name: replica.life for replica in fleet.all},
                overlaps=[text for replica in fleet.all for text in replica.link.overlaps],
                # The journal counts an overlap when the FIN of a client that gave up is late; the links know better.
                broken_rules={rule: count for rule, count in stats["violations"].items() if rule != "two_in_flight"},
                incidents=fleet.incidents,
            )
        )
        did = {
            **{f"actions: {name}": self._done[name] for name in self._actions},
            "processes": len(fleet.all),
            "processes whose client had no broker left to try": fleet.abandoned,
            "partitions given out": fleet.count_logged("partitions_assigned"),
            "partitions taken back": fleet.count_logged("partitions_revoked"),
            "partitions lost": fleet.count_logged("partitions_lost"),
            "commits that failed": fleet.count_logged("commit_failed"),
            "circuits opened": fleet.count_logged("circuit_opened"),
            **{f"toxics: {name}": count for name, count in sorted(fleet.toxics.items())},
            "requests that left the replicas": sum(replica.link.requests for replica in fleet.all),
            **{f"answers: {name}": count for name, count in sorted(stats["by_status"].items())},
            "visitors with requests of two processes at once": stats["overlapping"] - stats["overlapping_same_client"],
        }
        return Verdict(verdict.reasons, {**did, **verdict.counts})

    # Faults of the replicas.

    def _deal(self) -> list[str]:
        """Every kind once, in any order, and then once more those that leave the brokers alone."""
        alone = [name for name in self._actions if not name.startswith("broker")]
        return [*self._rng.sample(alone, len(alone)), *self._rng.sample(list(self._actions), len(self._actions))]

    async def _act(self, name: str, end: float) -> None:
        """Apply it as soon as there is a replica for it."""
        while not await self._actions[name]():
            await asyncio.sleep(LOOK_SECONDS)
            if asyncio.get_running_loop().time() >= end:
                return
        self._done[name] += 1

    def _pick(self, *, up: bool = False) -> Slot | None:
        """A replica without a fault so far, preferably one with work; with `up`, one that can be stopped in order."""
        free = [
            slot
            for slot in self._fleet.slots
            if slot.replica is not None and not slot.busy and (not up or slot.replica.is_up())
        ]
        working = [slot for slot in free if slot.replica is not None and slot.replica.has_partitions()]
        return self._rng.choice(working or free) if free else None

    async def _kill(self) -> bool:
        slot = self._pick()
        pause = self._rng.uniform(0, 3)
        if slot is None or slot.replica is None:
            return False
        slot.busy = True
        self._tell(f"kill -9 {slot.replica.name}, again in {pause:.1f} s")
        await self._fleet.kill(slot)
        await asyncio.sleep(pause)
        await self._fleet.start(slot)
        slot.busy = False
        return True

    async def _freeze_short(self) -> bool:
        return await self._for_a_time("freeze", self._fleet.freeze, SHORT)

    async def _freeze_long(self) -> bool:
        return await self._for_a_time("freeze", self._fleet.freeze, LONG)

    async def _cut_off_short(self) -> bool:
        return await self._for_a_time("cut off", self._fleet.cut_off, SHORT)

    async def _cut_off_long(self) -> bool:
        return await self._for_a_time("cut off", self._fleet.cut_off, LONG)

    async def _for_a_time(
        self, what: str, deed: Callable[[Slot, float], Awaitable[None]], bounds: tuple[float, float]
    ) -> bool:
        slot = self._pick()
        seconds = self._rng.uniform(*bounds)
        if slot is None or slot.replica is None:
            return False
        slot.busy = True
        self._tell(f"{what} {slot.replica.name} for {seconds:.1f} s")
        await deed(slot, seconds)
        slot.busy = False
        return True

    async def _roll(self) -> bool:
        slot = self._pick(up=True)
        if slot is None or slot.replica is None:
            return False
        slot.busy = True
        self._tell(f"SIGTERM {slot.replica.name}, and again")
        await self._fleet.stop(slot)
        await self._fleet.start(slot)
        slot.busy = False
        return True

    async def _scale(self) -> bool:
        wanted = self._rng.randint(1, SLOTS)
        slots = [slot for slot in self._fleet.slots if not slot.busy]
        living = [slot for slot in slots if slot.replica is not None]
        others = len(self._fleet.living()) - len(living)
        up = [slot for slot in slots if slot.replica is None][: max(0, wanted - len(living) - others)]
        down = [slot for slot in living if slot.replica is not None and slot.replica.is_up()]
        down = down[: max(0, len(living) + others - wanted)]
        self._tell(f"scale from {len(living) + others} to {len(living) + others + len(up) - len(down)}")
        for slot in (*up, *down):
            slot.busy = True
        await asyncio.gather(*(self._fleet.start(slot) for slot in up), *(self._fleet.stop(slot) for slot in down))
        for slot in (*up, *down):
            slot.busy = False
        return bool(up or down)

    # Faults of the brokers and the endpoint.

    async def _kill_broker(self) -> bool:
        pause = self._rng.uniform(0.3, 3.0)

        async def deed(node: Node) -> None:
            node.kill9()
            await asyncio.sleep(pause)
            await asyncio.to_thread(node.start)

        return await self._to_a_broker(f"kill -9, again in {pause:.1f} s", deed)

    async def _freeze_broker_short(self) -> bool:
        return await self._freeze_broker(self._rng.uniform(*SHORT))

    async def _freeze_broker_long(self) -> bool:
        return await self._freeze_broker(self._rng.uniform(*LONG))

    async def _freeze_broker(self, seconds: float) -> bool:
        async def deed(node: Node) -> None:
            node.pause()
            await asyncio.sleep(seconds)
            node.resume()

        return await self._to_a_broker(f"freeze for {seconds:.1f} s", deed)

    async def _to_a_broker(self, what: str, deed: Callable[[Node], Awaitable[None]]) -> bool:
        """Apply it, unless a broker is broken already: with two of three broken, Kafka promises nothing."""
        node = self._rng.choice(self._cluster.nodes)
        if self._broken_broker:
            return False
        self._broken_broker = True
        self._tell(f"{node.name}: {what}")
        await deed(node)
        self._tell(f"{node.name} is back")
        self._broken_broker = False
        return True

    async def _ail_endpoint(self) -> None:
        rng = random.Random(f"{self._plan.seed} endpoint")
        while True:
            await asyncio.sleep(rng.uniform(2.0, 5.0))
            faults = rng.choice(ENDPOINT_FAULTS)
            self._tell(f"the endpoint: {', '.join(faults) or 'healthy'}")
            await self._set_faults(faults)

    async def _set_faults(self, faults: Sequence[str]) -> None:
        await asyncio.to_thread(self._sandbox.set_faults, *POISON_FAULTS, *faults)

    # Observation.

    async def _watch(
        self, seconds: float, background: Sequence["asyncio.Task[None]"], deeds: Sequence["asyncio.Task[None]"]
    ) -> None:
        end = time.monotonic() + seconds
        await self._watch_until(lambda: time.monotonic() >= end, background, deeds)

    async def _watch_until(
        self,
        over: Callable[[], bool],
        background: Sequence["asyncio.Task[None]"],
        deeds: Sequence["asyncio.Task[None]"],
    ) -> None:
        """Watch the processes meanwhile; an error of the run's own machinery ends it."""
        while not over():
            self._fleet.look()
            for task in (*background, *deeds):
                if task.done():
                    task.result()
            await asyncio.sleep(LOOK_SECONDS)

    def _taken(self) -> int:
        taken: int = self._sandbox.stats()["applied"]
        return taken

    async def _comes(self, condition: Callable[[], bool], what: str) -> bool:
        """Wait for it, and report it, or note that it never came."""

        def ask() -> bool:
            with suppress(KafkaException):
                return condition()
            return False

        deadline = time.monotonic() + SETTLE_SECONDS
        while not await asyncio.to_thread(ask):
            self._fleet.look()
            if time.monotonic() > deadline:
                self._fleet.incidents.append(f"not within {SETTLE_SECONDS:.0f} s after the last fault: {what}")
                return False
            await asyncio.sleep(LOOK_SECONDS)
        self._tell(what)
        return True

    def _has_committed(self, ends: Mapping[int, int]) -> bool:
        committed = self._cluster.nodes[0].committed(TOPIC, TOPIC)
        return all(partition in committed and committed[partition].offset >= end for partition, end in ends.items())

    def _reconcile(self, name: str, metrics: Callable[[], dict[str, float]]) -> None:
        """Invariant 6, by each replica's own numbers."""
        numbers = metrics()
        done = sum(number for what, number in numbers.items() if what.startswith("target_connector_events_done_total"))
        pending = numbers["target_connector_events_pending"]
        taken = numbers["target_connector_events_consumed_total"]
        if taken != done + pending or pending:
            self._fleet.incidents.append(f"{name} does not reconcile: {taken} taken, {done} done, {pending} pending")


def _letters(kafka: Node) -> list[Record]:
    """The dead letters; none when the topic was never created."""
    try:
        return kafka.read_all(LETTERS)
    except KafkaException:
        return []
