"""The replicas of a chaos run: processes that start, stop, freeze and are cut off, each behind proxies of its own."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos.cluster import Cluster
from tests.chaos.oracle import Life, Span
from tests.chaos.toxics import HOST, Link, Toxic
from tests.support.process import ColdConnector, environment

SLOTS = 4
SESSION_SECONDS = 6
GRACE_SECONDS = 8
STOP_SECONDS = 60.0
"""A stop has its grace time; on a machine that stalls it takes much longer."""

SETTINGS = {
    "KAFKA_PROPERTIES": f'{{"session.timeout.ms": {SESSION_SECONDS * 1_000}, "heartbeat.interval.ms": 500}}',
    "TARGET_TIMEOUT_SECONDS": "2",
    "TARGET_UNCONFIRMED_SUCCESS": "retry",
    "COALESCE_LINGER_SECONDS": "0.2",
    "COMMIT_INTERVAL_SECONDS": "1",
    "RETRY_INITIAL_SECONDS": "0.2",
    "RETRY_MAX_SECONDS": "2",
    "SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
}
"""Short times, so that many faults fit into a run."""

TOXICS: dict[Toxic, tuple[float, float]] = {
    Toxic.DELAY: (0.1, 2.5),
    Toxic.DRIP: (0.02, 0.25),
    Toxic.HALF_OPEN: (0, 0),
    Toxic.LOST_ANSWERS: (0, 0),
    Toxic.CUT: (0, 0),
    Toxic.RESET: (0, 0),
}
"""Toxics on the link to the endpoint, with the bounds of their seconds."""

ABANDONED = "librdkafka is connected to no broker and has tried none"
"""The log line of a client that cannot reconnect; the process ends then."""

Say = Callable[[str], None]


class Replica:
    """One process, from its start to its end."""

    def __init__(self, name: str, process: ColdConnector, link: Link, illness: "asyncio.Task[None]") -> None:
        self.life = Life(name)
        self.process = process
        self.link = link
        self.illness = illness

    @property
    def name(self) -> str:
        """Slot and number of the process in it: `r2.5`."""
        return self.life.name

    def has_partitions(self) -> bool:
        """Whether it owns partitions, as far as it knows."""
        said = [line["owned"] for line in self.process.lines() if line["event"].startswith("partitions_")]
        return bool(said and said[-1])

    def is_up(self) -> bool:
        """Whether it runs and has started far enough to be stopped in order."""
        return self.process.exit_code is None and bool(self.process.said("connector_started"))


class Slot:
    """A place for one replica; busy while a fault is applied to it."""

    def __init__(self, number: int, doors: list[Link]) -> None:
        self.number = number
        self.doors = doors
        self.replica: Replica | None = None
        self.busy = False
        self.processes = 0

    def has_partitions(self) -> bool:
        """Whether its replica owns partitions."""
        return self.replica is not None and self.replica.has_partitions()


class Fleet:
    """All replicas of the group, past ones too."""

    def __init__(self, folder: Path, cluster: Cluster, topic: str, endpoint: str, rng: random.Random, say: Say) -> None:
        self.slots = [Slot(number, doors) for number, doors in enumerate(cluster.doors)]
        self.all: list[Replica] = []
        self.incidents: list[str] = []
        self.abandoned = 0
        self.toxics: Counter[str] = Counter()
        self._folder = folder
        self._cluster = cluster
        self._topic = topic
        self._endpoint_port = urlsplit(endpoint).port or 0
        self._rng = rng
        self._say = say
        self._sick = True
        self._starting: list[asyncio.Task[None]] = []
        # The log has the time of day, all else the monotonic clock.
        self._clocks = time.time() - time.monotonic()

    def living(self) -> list[Replica]:
        """Slots that are meant to run."""
        return [slot.replica for slot in self.slots if slot.replica is not None]

    async def start(self, slot: Slot) -> None:
        """Put a new process into an empty slot."""
        slot.processes += 1
        name = f"r{slot.number}.{slot.processes}"
        link = Link(self._endpoint_port, name=name)
        await link.open()
        folder = self._folder / name
        folder.mkdir(parents=True)
        where = self._cluster.bootstrap_of(slot.number)
        settings = {**environment(where, self._topic, f"http://{HOST}:{link.port}"), **SETTINGS}
        sick = self._ail(link, random.Random(self._rng.random())) if self._sick else asyncio.sleep(0)
        illness = asyncio.get_running_loop().create_task(sick)
        slot.replica = Replica(name, ColdConnector(folder, settings), link, illness)
        self.all.append(slot.replica)
        self._say(f"{name} started")

    async def kill(self, slot: Slot) -> None:
        """Kill it as a crash does."""
        replica = self._leave(slot, "killed")
        replica.process.kill9()
        await self._bury(replica)

    async def stop(self, slot: Slot) -> None:
        """Stop it as an orchestrator does; its exit code must be 0."""
        replica = self._leave(slot, "stopped")
        replica.process.terminate()
        began = time.monotonic()
        with contextlib.suppress(AssertionError):
            await asyncio.to_thread(replica.process.wait, STOP_SECONDS)
        took = time.monotonic() - began
        code = replica.process.exit_code
        self._say(f"{replica.name} ended with {code} after {took:.1f} s")
        if code is None:
            self.incidents.append(f"{replica.name} did not end within {STOP_SECONDS:.0f} s of SIGTERM")
            replica.process.kill9()
        elif code:
            self.incidents.append(f"{replica.name} ended with {code} on SIGTERM; {_end_of(replica)}")
        await self._bury(replica)

    async def freeze(self, slot: Slot, seconds: float) -> None:
        """Freeze it (SIGSTOP) for a time."""
        assert slot.replica is not None
        replica, began = slot.replica, time.monotonic()
        replica.process.freeze()
        await asyncio.sleep(seconds)
        # Known as a span before it can do anything.
        replica.life.spans.append(Span(f"frozen for {seconds:.1f} s", began, time.monotonic()))
        replica.process.thaw()

    async def cut_off(self, slot: Slot, seconds: float) -> None:
        """Cut it off from the brokers for a time; it still reaches the endpoint."""
        assert slot.replica is not None
        span = Span(f"cut off from Kafka for {seconds:.1f} s", time.monotonic(), time.monotonic() + seconds)
        slot.replica.life.spans.append(span)
        for door in slot.doors:
            door.poison(Toxic.HOLD)
        await asyncio.sleep(seconds)
        for door in slot.doors:
            door.heal()

    def look(self) -> None:
        """Note each process that ended by itself; an orchestrator would start it again.

        A process that ends because librdkafka has no broker left to try is right, and no incident.
        """
        for slot in self.slots:
            if slot.replica is None or slot.replica.process.exit_code is None:
                continue
            replica = self._leave(slot, "by itself")
            what = f"{replica.name} ended by itself, {replica.process.exit_code}; {_end_of(replica)}"
            self._say(what)
            if any(ABANDONED in line["reason"] for line in replica.process.said("kafka_fatal")):
                self.abandoned += 1
            else:
                self.incidents.append(what)
            slot.busy = True
            self._starting.append(asyncio.get_running_loop().create_task(self._again(slot, replica)))

    async def heal(self) -> None:
        """Remove the toxics of every link, now and for those that come."""
        self._sick = False
        for replica in self.living():
            replica.illness.cancel()
            await asyncio.gather(replica.illness, return_exceptions=True)
            replica.link.heal()

    async def end(self) -> None:
        """Leave no process behind, also after a failure."""
        await asyncio.gather(*self._starting)
        for replica in self.all:
            if replica.process.exit_code is None:
                replica.process.kill9()
            await self._bury(replica)

    def read_logs(self) -> None:
        """Complete each life from its log, and check the log itself against the contract."""
        for replica in self.all:
            try:
                replica.process.assert_log_is_sound()
            except (AssertionError, KeyError, ValueError) as problem:
                self.incidents.append(f"the log of {replica.name} is not sound: {problem!r:.500}")
                continue
            # The brokers keep all that was written: a replica that tells otherwise has taken some answer for another.
            missed = [line["reason"] for line in replica.process.said("records_missed")]
            if missed:
                self.incidents.append(f"{replica.name} told {len(missed)} times that records are missed: {set(missed)}")
            for line in replica.process.said("partitions_assigned"):
                when = datetime.fromisoformat(line["timestamp"]).timestamp() - self._clocks
                replica.life.took += [(when, int(name.rpartition("/")[2])) for name in line["partitions"]]

    def count_logged(self, event: str) -> int:
        """How often an event is in all their logs."""
        return sum(len(replica.process.said(event)) for replica in self.all)

    async def _again(self, slot: Slot, former: Replica) -> None:
        await self._bury(former)
        await self.start(slot)
        slot.busy = False

    def _leave(self, slot: Slot, how: str) -> Replica:
        replica = slot.replica
        assert replica is not None
        replica.life.end = how
        slot.replica = None
        return replica

    async def _bury(self, replica: Replica) -> None:
        replica.illness.cancel()
        await asyncio.gather(replica.illness, return_exceptions=True)
        await replica.link.close()

    async def _ail(self, link: Link, rng: random.Random) -> None:
        """Put toxics on the link to the endpoint, now and then, each for a while."""
        while True:
            await asyncio.sleep(rng.uniform(1.0, 8.0))
            toxic = rng.choice(list(TOXICS))
            link.poison(toxic, rng.uniform(*TOXICS[toxic]))
            self.toxics[toxic.value] += 1
            await asyncio.sleep(rng.uniform(0.3, 4.0))
            link.heal()


def _end_of(replica: Replica) -> str:
    return f"the end of its output: {replica.process.stdout[-1_000:]}{replica.process.stderr[-1_000:]}"
