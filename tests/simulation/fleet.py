"""The replicas: each a process with a real pipeline in it, which starts, stops, crashes and restarts."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from connector.decoding import EventReader
from connector.delivery.counters import Counters
from connector.errors import Fatal
from connector.events import JsonDecoder
from connector.pipeline import Pipeline, PipelineConfig
from connector.pipeline.ports import Clocks, Observer, Ports
from connector.target.render import Renderer
from tests.simulation.ages import Render
from tests.simulation.classes import Turns
from tests.simulation.client import CommitFaults
from tests.simulation.coordinator import Coordinator
from tests.simulation.endpoint import Endpoint, Sender
from tests.simulation.letters import LetterBox, Letters
from tests.simulation.logs import Logs
from tests.simulation.oracle import Oracle
from tests.simulation.registry import Registry, mapped_reader, store
from tests.simulation.setting import TIMEOUT, Setting
from tests.simulation.source import Source
from tests.simulation.timeline import Lane, Process, Timeline
from tests.simulation.truth import Member, Wrong

MOST_REPLICAS = 4


@dataclass(eq=False)
class Replica:
    """A running process with its parts."""

    name: str
    instance: str
    """Its name as a static member; empty: it is none."""
    process: Process
    source: Source
    sender: Sender
    stop: asyncio.Event
    pipeline: Pipeline | None = None
    main: "asyncio.Task[None] | None" = None
    busy: bool = False
    """A fault is being applied to it already."""
    leaving: bool = False


class Fleet:
    """All replicas."""

    def __init__(
        self,
        setting: Setting,
        timeline: Timeline,
        coordinator: Coordinator,
        endpoint: Endpoint,
        oracle: Oracle,
        logs: Logs,
        trace: Callable[..., None],
        registry: Registry | None = None,
    ) -> None:
        self.registry = registry
        """Of the schemas by which records are read; None: they are plain version 1."""
        self._setting = setting
        self._timeline = timeline
        self._coordinator = coordinator
        self._endpoint = endpoint
        self._oracle = oracle
        self.logs = logs
        self._trace = trace
        self._names = 0
        self.faults = CommitFaults()
        self.box = LetterBox()
        self.replicas: list[Replica] = []
        self.tallies: list[Counters] = []
        """Counters of each process, also of ended ones."""
        self.is_over = False
        """No new replicas from now on."""

    def poke(self) -> None:
        """The log has new records."""
        for replica in self.replicas:
            replica.source.poke()

    def start(self) -> None:
        """Start a process, which joins the group by itself."""
        if len(self.replicas) >= MOST_REPLICAS or self.is_over:
            return
        self._names += 1
        name = f"m{self._names}"
        setting = self._setting
        rng = random.Random(f"{setting.seed} {name}")
        process = Process(self._timeline, rng, self._oracle.wrong)
        batch = rng.choice(setting.profile.batches)
        instance = self._free_instance()
        source = Source(
            process,
            self._coordinator,
            self.logs,
            self._oracle,
            self.faults,
            rng,
            member=name,
            batch=batch,
            request_timeout=TIMEOUT,
            session=setting.told_session,
            instance=instance,
            from_end=setting.from_end,
        )
        sender = Sender(process, self._endpoint, self._oracle, TIMEOUT, name)
        replica = Replica(name, instance, process, source, sender, asyncio.Event())
        self.replicas.append(replica)
        self._trace("starts", name, instance)
        process.loop.call_soon(self._boot, replica, rng, batch)

    def _free_instance(self) -> str:
        """The first free name, as in a stateful set: a restarted replica has the name of the killed one."""
        taken = {replica.instance for replica in self.replicas}
        names = (f"i{number}" for number in range(MOST_REPLICAS))
        return next(name for name in names if name not in taken) if self._setting.static else ""

    def _boot(self, replica: Replica, rng: random.Random, batch: int) -> None:
        config = PipelineConfig(**self._setting.options)
        process, profile = replica.process, self._setting.profile
        letters = Letters(process, self.box, self._oracle, rng, replica.name)
        reader, schemas = EventReader(JsonDecoder(), {}, ""), None
        if self.registry is not None:
            schemas = store(self.registry, random.Random(rng.getrandbits(32)))
            reader = mapped_reader(schemas)
        render: Render = Renderer("/u")
        observers: list[Observer] = []
        watch = self._oracle.watch(replica.name)
        if watch is not None:
            watch.leaves_out_unchanged = config.unchanged_seconds > 0
            observers.append(watch)
            render = watch.over(render)
        turns: Turns | None = None
        if profile.agings:
            turns = self._oracle.turns(replica.name, config.priority_aging)
            observers.append(turns)
            render = turns.over(render)
        replica.pipeline = Pipeline(
            config,
            Ports(replica.source, replica.sender, letters, schemas=schemas),
            reader=reader,
            render=render,
            rng=random.Random(rng.getrandbits(32)),
            clocks=Clocks(lambda: self._timeline.now, lambda: self._timeline.now),
            observers=observers,
        )
        if turns is not None:
            turns.state = replica.pipeline.state
        if schemas is not None:
            schemas.listen(replica.pipeline.schemas_changed)
        self.tallies.append(replica.pipeline.state.counters)
        batch_bytes = batch * (200_000 if profile.big else 3_000 + profile.padding * 4)
        self._oracle.members[replica.name] = Member(process, replica.pipeline, config, batch, batch_bytes)
        process.loop.after_turn = partial(self._oracle.after_turn, replica.name)
        replica.main = process.loop.create_task(replica.pipeline.run(replica.stop))
        replica.main.add_done_callback(lambda task: self._main_ended(replica, task))

    def _main_ended(self, replica: Replica, task: "asyncio.Task[None]") -> None:
        if replica.process.dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Fatal):
            with suppress(Wrong):
                self._oracle.wrong(f"{replica.name} ended: {error!r}")
        self._trace("exits", replica.name, "" if error is None else repr(error))
        self._timeline.after(0.0, self.kill, replica)
        if error is not None:
            self._timeline.after(5.0, self.start)

    def kill(self, replica: Replica) -> None:
        """The process is over, whether it left the group or not."""
        if replica.process.dead:
            return
        replica.source.client.silent()
        self.replicas.remove(replica)
        self._oracle.ended(replica.name)
        replica.process.kill()

    def terminate(self, replica: Replica) -> None:
        """SIGTERM."""
        if not replica.leaving:
            self._trace("is told to stop", replica.name)
            replica.leaving = True
            replica.process.later(Lane.LOOP, 0.0, replica.process.loop.call_soon, replica.stop.set)
