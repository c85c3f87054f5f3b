"""The life of one replica's work, between its first and its last commit: the parts joined, started, drained, ended."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from connector.decoding import EventReader
from connector.events.change import Visitor
from connector.kafka.causes import CONNECTION
from connector.kafka.errors import KafkaFailure
from connector.pipeline.assignment import Assignment
from connector.pipeline.back_pressure import BackPressure
from connector.pipeline.committer import COMMIT_AGAIN_SECONDS, Committer
from connector.pipeline.config import PipelineConfig
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.dispatch import Dispatch
from connector.pipeline.intake import Intake
from connector.pipeline.outcomes import Outcomes
from connector.pipeline.ports import Clocks, Observer, Ports
from connector.pipeline.quota_manager import QuotaManager
from connector.pipeline.state import ReplicaState
from connector.quota.lease_manager import LeaseManager
from connector.target.render import Rendered

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CLOSING_SHARE = 0.2
"""Of the grace time, what is kept for the last commit and for leaving the group, held to 1-5 s."""
LEAST_CLOSING_SECONDS, MOST_CLOSING_SECONDS = 1.0, 5.0


class Pipeline:
    """Joins the parts; the state is theirs. It is the listener of the source."""

    def __init__(
        self,
        config: PipelineConfig,
        ports: Ports,
        *,
        reader: EventReader,
        render: Callable[[Visitor, Mapping[str, str]], Rendered],
        rng: random.Random,
        clocks: Clocks,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Make it on the loop that runs it."""
        state = self.state = ReplicaState(config, rng, clocks, observers)
        self._source = ports.source
        self._dead_letters = DeadLetterWriter(state, ports.dead_letters)
        self._back_pressure = BackPressure(state, ports.source.more)
        self._dispatch = Dispatch(state, ports.sender, Outcomes(state, self._dead_letters), render)
        self._committer = Committer(state, ports.source)
        assignment = self._assignment = Assignment(
            state, self._committer, ports.sender, self._dead_letters, ports.source, ports.schemas
        )
        intake = Intake(state, assignment, self._back_pressure, self._dead_letters, reader)
        self.quota: QuotaManager | None = None
        if config.quota is not None and ports.ledger is not None:
            holder = LeaseManager(
                config.quota,
                state.gate.allowance,
                rng,
                who=f"{rng.getrandbits(64):016x}",
                name=config.name,
                offset=clocks.wall() - clocks.boottime(),
            )
            self.quota = QuotaManager(state, holder, ports.ledger)
        self.records = intake.records
        self.assigned = assignment.assigned
        self.revoked = assignment.revoked
        self.lost = assignment.lost
        self.log_changed = assignment.log_changed
        self.advanced = assignment.advanced
        self.ends = assignment.ends
        self.session = assignment.session
        self.schema_holds = assignment.holds
        self.reading_on = assignment.holds.reading_on
        self.schemas_changed = assignment.holds.changed
        self.counted = state.counted

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain; raises Fatal when continuing would lose something."""
        loop, state, config = asyncio.get_running_loop(), self.state, self.state.config
        stopped = loop.create_task(self._wake_when(stop))
        workers = [loop.create_task(self._dispatch.work()) for _ in range(config.max_in_flight)]
        keepers = [loop.create_task(it.keep()) for it in (self._committer, self._back_pressure, self.quota) if it]
        for task in (*workers, *keepers):
            task.add_done_callback(self._crashed)
        closing = min(MOST_CLOSING_SECONDS, max(CLOSING_SHARE * config.shutdown_grace, LEAST_CLOSING_SECONDS))
        deadline = loop.time() + config.shutdown_grace
        self._assignment.begin()
        self._source.start(self)
        try:
            while not stop.is_set() and state.failure is None:
                await state.ending.wait()
            state.drain()
            deadline = loop.time() + max(config.shutdown_grace, closing)
            if state.failure is None:
                await self._drain(deadline - closing)
                await self._commit_at_last(deadline - closing)
        finally:
            state.drain()
            deadline = min(deadline, loop.time() + closing)
            # What is cut may still land at the endpoint: then the session's end must keep a successor waiting.
            landed = state.gate.in_flight == 0
            ending = (stopped, *keepers, *workers, *self._dead_letters.tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            if config.static_member and landed and loop.time() >= self._assignment.hold_ends:
                self._committer.end_cleanly()
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline - closing / 2):
                        await self._committer.commit()
                        if self.quota is not None:
                            await self.quota.close(deadline - closing / 2 - loop.time())
            finally:
                await self._source.close(max(0.0, deadline - loop.time()), leave=landed)
        if state.failure is not None:
            raise state.failure

    def trouble(self, trouble: KafkaFailure) -> None:
        """Tell what Kafka says, one line a cause, once and then with backoff."""
        state = self.state
        if state.causes.admit(trouble, state.now()):
            about = "" if trouble.event in CONNECTION else trouble.code + trouble.detail
            state.say(trouble.event, about=about, code=trouble.code, detail=trouble.detail, remedy=trouble.remedy)

    def failed(self, error: Exception) -> None:
        """The consumer cannot continue, so the process must end."""
        self.state.fail(error)

    async def _drain(self, deadline: float) -> None:
        """Send what can be answered before the deadline; the rest is handed over, which costs no call."""
        state, coalescer = self.state, self.state.coalescer
        began = state.now()
        last = max(began, deadline - state.request_timeout)
        state.gate.close_at(last)
        log.info("drain_started", updates_pending=len(coalescer), seconds=round(deadline - began, 1))
        while (now := state.now()) < deadline and state.failure is None:
            to_send = coalescer.due_in(last, state.gate.lowest) <= 0 and self._can_send(last - now)
            if not (to_send or coalescer.in_flight or state.letters):
                break
            await state.ending.wait((last if to_send else deadline) - now)
        log.info("drain_finished", updates_left=len(coalescer), seconds=round(state.now() - began, 1))

    async def _commit_at_last(self, deadline: float) -> None:
        """Commit until it is acknowledged: in a rebalance that takes until all members have heard of it.

        Else the next owner would send again what was just sent. What fails is told by each try.
        """
        self.state.gate.close_at(self.state.now())
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self.state.failure is None and self._committer.behind:
                    if not await self._committer.commit():
                        await asyncio.sleep(COMMIT_AGAIN_SECONDS)

    def _can_send(self, seconds: float) -> bool:
        """Whether it is worth waiting this long for what is due."""
        state = self.state
        hope = self.quota is None or self.quota.holder.has_hope(state.boottime(), seconds)
        return seconds > 0 and hope and not state.gate.circuit.is_open

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.state.ending.wake()

    def _crashed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.state.fail(error)
