"""The consumer thread as a fake: it hands on, filters and lets go in the order in which connector/kafka/consumer.py does.

It stands between the coordinator and the pipeline, in the lanes of its process: what the pipeline asks is done when the
thread comes round, and what the thread says is heard when the loop does.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from connector.delivery.offsets import OffsetAndMetadata, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.ports import Listener
from tests.simulation.coordinator import NOTHING, Coordinator, Refusal
from tests.simulation.oracle import Oracle
from tests.simulation.timeline import Lane, Process
from tests.support.fakes import FakeRecord

CREDITS = 2
POLL_SECONDS = 0.1
COMMIT_SECONDS = 10.0
REVOKE_SLACK_SECONDS = 2.0
CLIENT_COMMIT_SECONDS = 15.0
"""So long the client itself waits for the answer to a commit that goes before partitions are let go."""

Offsets = dict[TopicPartition, OffsetAndMetadata]
Log = dict[TopicPartition, list[FakeRecord]]


@dataclass
class CommitFaults:
    """What may happen to a commit now; each a probability."""

    vanishes: float = 0.0
    """It never reaches the coordinator."""
    refused: float = 0.0
    """The coordinator is loading, or a rebalance is under way: an error, and the member stays."""
    unanswered: float = 0.0
    """It takes effect, but the answer is lost."""
    lands_late: float = 0.0
    """An error is answered, and it takes effect all the same, up to a minute later."""
    slow: float = 0.0
    """It takes effect at once, and the answer comes seconds later."""
    unknown_start: float = 0.0
    """An assignment does not learn where the group stands."""


@dataclass(eq=False)
class _Commit:
    offsets: Offsets
    done: "asyncio.Future[bool] | None"
    over: bool = False
    after: list[Callable[[], None]] = field(default_factory=list)


class Source:
    """One replica's consumer."""

    def __init__(
        self,
        process: Process,
        coordinator: Coordinator,
        log: Log,
        oracle: Oracle,
        faults: CommitFaults,
        rng: random.Random,
        *,
        member: str,
        batch: int,
        request_timeout: float,
    ) -> None:
        self._process = process
        self._coordinator = coordinator
        self._log = log
        self._oracle = oracle
        self._faults = faults
        self._rng = rng
        self._member = member
        self._batch = batch
        self._request_timeout = request_timeout
        self.freeze_at_commit: Callable[[], None] | None = None
        """Called once, when the next commit has landed."""
        self.freeze_at_revoke: Callable[[], None] | None = None
        """Called once, when the thread has just asked the loop what to commit before it lets go."""
        self.cut_off = False
        """No way to the brokers, either direction."""
        self.number = 0
        """What the coordinator calls it; 0 when it is no member."""
        self.positions: dict[TopicPartition, int | None] = {}
        """What the thread owns, and where it reads; None: where the group stands, which is not known yet."""
        self._credits = CREDITS
        self._ops: deque[tuple[str, list[TopicPartition]]] = deque()
        self._fresh: Offsets = {}
        self._commands: deque[_Commit] = deque()
        self._on_their_way: list[_Commit] = []
        self._turn_due = False
        self._in_callback = False
        """The thread waits for the loop, inside a revoke."""
        self._replies: list[tuple[_Commit, str]] = []
        self._closing = False
        self._leaving = False
        self._finished = False
        self._finish: asyncio.Future[None] | None = None

    # What the pipeline calls, in the loop.

    def start(self, listener: Listener) -> None:
        self._listener = listener
        self._process.later(Lane.CLIENT, self._rng.uniform(0.0, 1.0), self._join)

    def more(self) -> None:
        self._credits += 1
        self.poke()

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        if self._process.dead or self._finished:
            msg = "the consumer is closed"
            raise CommitFailed(msg)
        self._oracle.asked(self._member, offsets)
        commit = _Commit(dict(offsets), asyncio.get_running_loop().create_future())
        self._commands.append(commit)
        self.poke()
        assert commit.done is not None
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await commit.done
        except TimeoutError as error:
            msg = "no answer from the group coordinator"
            raise CommitFailed(msg) from error

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        if self._process.dead or self._finished:
            return
        self._closing = True
        self._finish = asyncio.get_running_loop().create_future()
        self.poke()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish

    # The group, in the client's own thread.

    def is_reachable(self) -> bool:
        return not (self._process.dead or self._process.frozen or self.cut_off)

    def told(self, what: str, names: list[TopicPartition]) -> None:
        self._ops.append((what, names))
        self.poke()

    def silent(self) -> None:
        """It cannot be heard from now on."""
        self._coordinator.silent(self.number)

    def heard(self) -> None:
        """It can be heard again: its next heartbeat says whether it is still a member."""
        delay = self._rng.choice((0.001, 0.01, 0.1)) if self._rng.random() < 0.7 else self._rng.uniform(0, 3)  # noqa: PLR2004
        self._process.later(Lane.CLIENT, delay, self._beat)

    def _beat(self) -> None:
        if self.number and self.is_reachable() and not self._coordinator.heartbeat(self.number):
            self._thrown_out()

    def _join(self) -> None:
        if self._closing or self.number or self._process.dead:
            return
        if not self.is_reachable():
            self._process.later(Lane.CLIENT, 1.0, self._join)
            return
        self.number = self._coordinator.join(self)
        self._process.later(Lane.LOOP, 0.0, self._hear, "counted", {"t": len(self._log)})

    def _thrown_out(self) -> None:
        """The group does not know us: all is lost, and when the thread has served that we join again."""
        self.number = 0
        self._ops.clear()
        self._ops.append(("lost", []))
        self.poke()

    # The thread.

    def poke(self) -> None:
        """There is something for the thread to do; it comes round within the length of a poll."""
        if not self._turn_due:
            self._turn_due = True
            rng = self._rng
            delay = rng.random() * (0.002 if rng.random() < 0.8 else POLL_SECONDS)  # noqa: PLR2004 - mostly at once
            self._process.later(Lane.THREAD, delay, self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self._in_callback or self._leaving:
            return
        if self._closing:
            self._leaving = True
            self._do_commands()
            self._leave()
            return
        while self._ops:
            what, names = self._ops.popleft()
            if what == "assign":
                self._assign(names)
            elif what == "lost":
                self._let_go()
                self._process.later(Lane.CLIENT, self._rng.uniform(0.0, 0.5), self._join)
            elif self._revoke([name for name in names if name in self.positions], self._revoked_in_order):
                return
        self._take()
        self._tell_assigned()
        self._do_commands()

    def _take(self) -> None:
        if self._credits <= 0 or self.cut_off:
            return
        batch: list[FakeRecord] = []
        for name, position in self.positions.items():
            begin = max(0, self._coordinator.standing(name).offset) if position is None else position
            fresh = self._log[name][begin : begin + self._batch - len(batch)]
            if fresh:
                self.positions[name] = begin + len(fresh)
                batch.extend(fresh)
        if batch:
            self._credits -= 1
            self._tell_assigned()
            self._tell("records", batch)
            self.poke()

    def _do_commands(self) -> None:
        while self._commands:
            self._start_commit(self._commands.popleft())

    def _start_commit(self, commit: _Commit) -> None:
        commit.offsets = {name: where for name, where in commit.offsets.items() if name in self.positions}
        if not commit.offsets:
            self._answer(commit, acknowledged=False)
            return
        rng, faults = self._rng, self._faults
        self._on_their_way.append(commit)
        number = self.number
        delay = rng.uniform(0.0005, 0.005)
        if self.cut_off or rng.random() < faults.vanishes:
            return
        if rng.random() < faults.refused:
            self._reply(commit, delay, "COORDINATOR_LOAD_IN_PROGRESS")
            return
        if rng.random() < faults.lands_late:
            self._reply(commit, rng.uniform(0.0, 3.0), "NOT_ENOUGH_REPLICAS")
            self._process.timeline.after(rng.uniform(0.0, 60.0), self._land, number, commit.offsets)
            return
        self._process.timeline.after(delay, self._arrive, number, commit)

    def _arrive(self, number: int, commit: _Commit) -> None:
        """At the coordinator, whatever became of the sender."""
        result = self._land(number, commit.offsets)
        rng, faults = self._rng, self._faults
        if rng.random() < faults.unanswered:
            return
        # A refusal comes at once, and so before the answer to the join that follows it on the same connection.
        slow = not result and rng.random() < faults.slow
        self._reply(commit, rng.uniform(0.0, 20.0) if slow else rng.uniform(0.0005, 0.005), result)

    def _land(self, number: int, offsets: Offsets) -> str:
        try:
            refused = self._coordinator.commit(number, offsets)
        except Refusal as refusal:
            return refusal.code
        if self.freeze_at_commit is not None and not self._process.dead:
            freeze, self.freeze_at_commit = self.freeze_at_commit, None
            freeze()
        return "OFFSET_METADATA_TOO_LARGE" if refused else ""

    def _reply(self, commit: _Commit, seconds: float, code: str) -> None:
        """The answer comes in through the client, and is served by the thread's next poll."""
        self._process.later(Lane.CLIENT, seconds, self._replied, commit, code)

    def _replied(self, commit: _Commit, code: str) -> None:
        if self.cut_off:
            return
        self._process.later(Lane.THREAD, 0.0, self._committed, commit, code)

    def _committed(self, commit: _Commit, code: str) -> None:
        if self._in_callback:
            self._replies.append((commit, code))
            return
        if commit not in self._on_their_way:
            return
        self._on_their_way.remove(commit)
        if code:
            refused = code == "OFFSET_METADATA_TOO_LARGE"
            self._refuse(commit, CommitFailed(code, metadata_refused=refused))
        else:
            self._answer(commit, acknowledged=True)
        self._end_commit(commit)
        if code == "UNKNOWN_MEMBER_ID":
            self._let_go()
            self._beat()

    def _end_commit(self, commit: _Commit) -> None:
        if not commit.over:
            commit.over = True
            for what in commit.after:
                what()

    def _assign(self, names: list[TopicPartition]) -> None:
        begun: Offsets = {}
        for name in names:
            start = self._coordinator.standing(name)
            if self.cut_off or self._rng.random() < self._faults.unknown_start:
                self.positions[name] = None
                self._fresh[name] = NOTHING
                continue
            if start.offset < 0:
                begun[name] = start = OffsetAndMetadata(0)
            self.positions[name] = start.offset
            self._fresh[name] = start
        if begun:
            self._start_commit(_Commit(begun, None))

    def _revoke(self, going: list[TopicPartition], after: Callable[[list[TopicPartition]], None]) -> bool:
        """Ask the loop what to commit; the thread stands still until it says so, or for the time of a request."""
        self._tell_assigned()
        if not going:
            after(going)
            return False
        self._in_callback = True
        began = self._process.clock()
        work: list[asyncio.Task[Mapping[TopicPartition, OffsetAndMetadata]]] = []
        answered: list[bool] = []

        def start() -> None:
            if not answered:
                task = self._process.loop.create_task(self._revoked(going))
                work.append(task)
                task.add_done_callback(lambda task: self._process.later(Lane.THREAD, 0.0, done, task))

        def done(task: "asyncio.Task[Mapping[TopicPartition, OffsetAndMetadata]] | None") -> None:
            if answered:
                return
            answered.append(True)
            commit = None
            if task is not None and not task.cancelled() and task.exception() is None:
                self._oracle.revoke_took(self._member, began)
                commit = _Commit(dict(task.result()), None)
                self._start_commit(commit)
            else:
                if work:
                    self._process.loop.call_soon(work[0].cancel)
                self._tell("lost", going)
            for name in going:
                self.positions.pop(name, None)
            self._in_callback = False
            if commit is None or commit not in self._on_their_way:
                after(going)
            else:
                commit.after.append(lambda: after(going))
                self._process.later(Lane.CLIENT, CLIENT_COMMIT_SECONDS, self._end_commit, commit)
            replies, self._replies = self._replies, []
            for reply in replies:
                self._committed(*reply)
            self.poke()

        self._process.loop.call_soon(start)
        self._process.later(Lane.THREAD, self._request_timeout + REVOKE_SLACK_SECONDS, done, None)
        if self.freeze_at_revoke is not None:
            freeze, self.freeze_at_revoke = self.freeze_at_revoke, None
            freeze()
        return True

    async def _revoked(self, going: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        self._oracle.revoking(self._member, going)
        offsets = await self._listener.revoked(going)
        self._oracle.asked(self._member, offsets)
        self._oracle.over(self._member, going)
        return offsets

    def _revoked_in_order(self, names: list[TopicPartition]) -> None:
        if self.number:
            self._process.later(Lane.CLIENT, self._rng.uniform(0.0, 0.2), self._released, self.number, names)

    def _released(self, number: int, names: list[TopicPartition]) -> None:
        if self.is_reachable():
            self._coordinator.released(number, names)
        else:
            self._process.later(Lane.CLIENT, 1.0, self._released, number, names)

    def _leave(self) -> None:
        self._ops.clear()

        def left(_names: list[TopicPartition]) -> None:
            if self.number and self.is_reachable():
                self._coordinator.leave(self.number)
                self.number = 0
            self._finished = True
            for commit in (*self._on_their_way, *self._commands):
                self._refuse(commit, CommitFailed("the consumer was closed before the answer came"))
            if self._finish is not None and not self._finish.done():
                self._finish.set_result(None)

        self._revoke(list(self.positions), left)

    # To the loop.

    def _tell_assigned(self) -> None:
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            self._tell("assigned", fresh)

    def _let_go(self) -> None:
        self._tell_assigned()
        gone = sorted(self.positions)
        self.positions.clear()
        self._tell("lost", gone)

    def _tell(self, what: str, about: object) -> None:
        self._process.loop.call_soon(self._hear, what, about)

    def _hear(self, what: str, about: object) -> None:
        """In the loop; the oracle sees what the pipeline is told."""
        getattr(self._oracle, f"before_{what}", _nothing)(self._member, about)
        getattr(self._listener, what)(about)
        getattr(self._oracle, f"after_{what}", _nothing)(self._member, about)

    def _answer(self, commit: _Commit, *, acknowledged: bool) -> None:
        self._process.loop.call_soon(_resolve, commit.done, acknowledged)

    def _refuse(self, commit: _Commit, error: CommitFailed) -> None:
        self._process.loop.call_soon(_reject, commit.done, error)


def _nothing(*_: object) -> None:
    """The oracle has nothing to say to it."""


def _resolve(future: "asyncio.Future[bool] | None", answer: bool) -> None:  # noqa: FBT001 - a callback's argument
    if future is not None and not future.done():
        future.set_result(answer)


def _reject(future: "asyncio.Future[bool] | None", error: CommitFailed) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
