"""A whole pipeline between fakes, so that a test states only what is special in it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import structlog

from connector.decoding import EventReader
from connector.delivery.counters import Done
from connector.delivery.retry import RetryPolicy
from connector.events import JsonDecoder
from connector.pipeline import Pipeline, PipelineConfig
from connector.pipeline.ports import Clocks, Observer, Ports
from connector.quota.ports import LedgerLog
from connector.registry.store import SchemaStore
from connector.target.render import Renderer
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender, FakeSource

RETRY = RetryPolicy(initial=0.5, maximum=60.0, max_attempts=10)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log out of simulations, where it would be most of the work."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


def unwritten_letter() -> tuple[FakeLog, FakeDeadLetters]:
    """A log of one record that can never be delivered, and a dead-letter topic that acknowledges it at `hold`."""
    log, letters = FakeLog(), FakeDeadLetters()
    log.append(b"{")
    letters.hold.clear()
    return log, letters


async def _pause(least: float, began: float) -> None:
    """Wait the longer, the longer it is since `began`: an hour asked every 0.05 s costs seconds of CPU."""
    await asyncio.sleep(max(least, (asyncio.get_running_loop().time() - began) / 100))


class Bench:
    """One member of the group, with surroundings that can be inspected or made to fail.

    `async with` starts it with all partitions of the log, checks that it reconciles, and at the end stops it in order.
    """

    def __init__(  # noqa: PLR0913 - a world has many sides, and a test names only its own
        self,
        log: FakeLog,
        sender: FakeSender | None = None,
        letters: FakeDeadLetters | None = None,
        *,
        seed: int = 0,
        batch: int = 100,
        assign: bool = True,
        source: FakeSource | None = None,
        observers: Sequence[Observer] = (),
        ledger: LedgerLog | None = None,
        reader: EventReader | None = None,
        schemas: SchemaStore | None = None,
        wall: Callable[[], float] = time.time,
        **config: Any,
    ) -> None:
        """Without a rate limit unless `updates_per_second` is given; without a `reader` all is version 1."""
        self.log = log
        self.sender = sender or FakeSender()
        self.letters = letters or FakeDeadLetters()
        self.source = source or FakeSource(log, batch=batch)
        self.decode = JsonDecoder()
        self.pipeline = Pipeline(
            PipelineConfig(**{"retry": RETRY, "updates_per_second": 0.0, **config}),
            Ports(self.source, self.sender, self.letters, ledger, schemas),
            reader=reader or EventReader(self.decode, {}, ""),
            render=Renderer("/u"),
            rng=random.Random(seed),
            clocks=Clocks(asyncio.get_running_loop().time, wall),
            observers=observers,
        )
        if schemas is not None:
            schemas.listen(self.pipeline.schemas_changed)
        self._assign = assign
        self._stop = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.stop()
        else:
            self.crash()

    async def start(self) -> None:
        """Run, and join the group."""
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self.pipeline.run(self._stop))
        await asyncio.sleep(0)
        self._watch = loop.create_task(self._reconcile_always())
        if self._assign:
            self.source.assign(*self.log.records)

    async def stop(self) -> None:
        """SIGTERM; raises what the process would end with."""
        self._stop.set()
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end; raises what the process would end with, or TimeoutError when it runs for an hour."""
        assert self.task is not None
        try:
            await asyncio.wait_for(self.task, 3_600)
        finally:
            self._end_watch()
        self.reconcile()

    def crash(self) -> None:
        """End it as kill -9 does: nothing is committed, and it does not leave the group."""
        assert self.task is not None
        self.source.kill()
        self.task.cancel()
        self._end_watch()

    async def settle(self, seconds: float = 3_600.0) -> None:
        """Wait until all of the log is done; fails when that takes longer."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.is_settled():
            assert loop.time() - began < seconds, f"not settled after {seconds} s: {self.pending} records are pending"
            assert self.task is not None
            if self.task.done():
                self.task.result()
            await _pause(0.05, began)

    def is_settled(self) -> bool:
        """Whether all records of the owned partitions were consumed and are done."""
        return self.pending == 0 and all(
            (tracker.position if tracker.position >= 0 else self.log.committed.get(name, 0))
            == len(self.log.records[name])
            for name, tracker in self.pipeline.state.partitions.items()
        )

    @property
    def pending(self) -> int:
        """Records consumed and not done, by what the pipeline holds."""
        return self.pipeline.state.events_pending

    def done(self, how: Done) -> int:
        """Records with this outcome."""
        return self.pipeline.state.counters.events_done[how]

    def reconcile(self) -> None:
        """Check invariant 6 now."""
        tally = self.pipeline.state.counters
        assert tally.events_consumed == sum(tally.events_done.values()) + self.pending

    async def _reconcile_always(self) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            self.reconcile()
            await _pause(0.137, began)

    def _end_watch(self) -> None:
        assert self._watch is not None
        if self._watch.done() and not self._watch.cancelled():
            self._watch.result()
        self._watch.cancel()
