"""The consumer thread as a fake: it hands on, filters and lets go in the order of connector/kafka/consumer.py.

It stands between the coordinator and the pipeline, in the lanes of its process: what the pipeline asks is done when the
thread comes round, and what the thread says is heard when the loop does.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from connector.delivery.offsets import OffsetAndMetadata, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.ports import Listener
from tests.simulation.client import COMMIT_SECONDS as CLIENT_COMMIT_SECONDS
from tests.simulation.client import Client, Commit, CommitFaults, Offsets
from tests.simulation.coordinator import NOTHING, Coordinator
from tests.simulation.oracle import Oracle
from tests.simulation.revoke import Revoke
from tests.simulation.timeline import Lane, Process
from tests.support.fakes import FakeRecord

CREDITS = 2
POLL_SECONDS = 0.1
COMMIT_SECONDS = 10.0

Log = dict[TopicPartition, list[FakeRecord]]


class Source:
    """One replica's consumer."""

    def __init__(  # noqa: PLR0913 - everything that a consumer stands between
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
        session: float,
        instance: str,
    ) -> None:
        """`session`: what the listener is told; `instance`: the name of a static member, or empty."""
        self._process = process
        self._coordinator = coordinator
        self._log = log
        self._oracle = oracle
        self._faults = faults
        self._rng = rng
        self._member = member
        self._batch = batch
        self.request_timeout = request_timeout
        self._session = session
        self._session_is_told = False
        self.client = Client(process, coordinator, faults, rng, self, instance=instance)
        self.freeze_at_revoke: Callable[[], None] | None = None
        """Called once, when the thread has just asked the loop what to commit before it lets go."""
        self.positions: dict[TopicPartition, int | None] = {}
        """What the thread owns, and where it reads; None: where the group stands, which is not known yet."""
        self._credits = CREDITS
        self._ops: deque[tuple[str, list[TopicPartition]]] = deque()
        self._fresh: Offsets = {}
        self._commands: deque[Commit] = deque()
        self._on_their_way: list[Commit] = []
        self._turn_due = False
        self._in_callback = False
        """The thread waits for the loop, inside a revoke."""
        self._replies: list[tuple[Commit, str]] = []
        self._closing = False
        self._leaves = True
        self._ending = False
        self._finished = False
        self._finish: asyncio.Future[None] | None = None

    # What the pipeline calls, in the loop.

    def start(self, listener: Listener) -> None:
        self._listener = listener
        self.client.join_within(1.0)

    def more(self) -> None:
        self._credits += 1
        self.poke()

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        if self._process.dead or self._finished:
            msg = "the consumer is closed"
            raise CommitFailed(msg)
        self._oracle.asked(self._member, offsets)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._commands.append(Commit(dict(offsets), done))
        self.poke()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await done
        except TimeoutError as error:
            msg = "no answer from the group coordinator"
            raise CommitFailed(msg) from error

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        if self._process.dead or self._finished:
            return
        self._closing = self.client.is_closing = True
        self._leaves = leave
        self._finish = asyncio.get_running_loop().create_future()
        self.poke()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish

    # What the client calls, in its own thread.

    def told(self, what: str, names: list[TopicPartition]) -> None:
        self._ops.append((what, names))
        self.poke()

    def joined(self) -> None:
        self._process.later(Lane.LOOP, 0.0, self._hear, "counted", {"t": len(self._log)})
        if not self._session_is_told:
            self._session_is_told = True
            self._process.later(Lane.LOOP, 0.0, self._hear, "session", self._session)

    def thrown_out(self) -> None:
        """The group does not know us: all is lost, and when the thread has served that we join again."""
        self._ops.clear()
        self._ops.append(("lost", []))
        self.poke()

    # The thread.

    def poke(self) -> None:
        """There is something for the thread to do; it comes round within the length of a poll."""
        if not self._turn_due:
            self._turn_due = True
            rng = self._rng
            delay = rng.random() * (0.002 if rng.random() < 0.8 else POLL_SECONDS)  # Mostly at once.
            self._process.later(Lane.THREAD, delay, self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self._in_callback or self._ending:
            return
        if self._closing:
            self._ending = True
            self._do_commands()
            if self._leaves:
                self._ops.clear()
                self._revoke(list(self.positions), self._leave)
            else:
                self._be_over()  # Without a word to the group, which waits for the session's end.
            return
        while self._ops:
            what, names = self._ops.popleft()
            if what == "assign":
                self._assign(names)
            elif what == "lost":
                self._let_go()
                self.client.join_within(0.5)
            elif self._revoke([name for name in names if name in self.positions], self.client.release):
                return
        self._take()
        self._tell_assigned()
        self._do_commands()

    def _take(self) -> None:
        if self._credits <= 0 or self.client.cut_off:
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
            self.start_commit(self._commands.popleft())

    def start_commit(self, commit: Commit) -> None:
        """Send it without waiting; only of what is owned now, because the coordinator does not check that."""
        commit.offsets = {name: where for name, where in commit.offsets.items() if name in self.positions}
        if not commit.offsets:
            self._answer(commit, acknowledged=False)
            return
        self._on_their_way.append(commit)
        self.client.commit(commit)

    def committed(self, commit: Commit, code: str) -> None:
        """The client has the answer."""
        if self._in_callback:
            self._replies.append((commit, code))
            return
        if commit not in self._on_their_way:
            return
        self._on_their_way.remove(commit)
        if code:
            self._refuse(commit, CommitFailed(code, metadata_refused=code == "OFFSET_METADATA_TOO_LARGE"))
        else:
            self._answer(commit, acknowledged=True)
        commit.end()
        if code == "UNKNOWN_MEMBER_ID":
            self._let_go()
            self.client.beat()

    def _assign(self, names: list[TopicPartition]) -> None:
        begun: Offsets = {}
        for name in names:
            start = self._coordinator.standing(name)
            if self.client.cut_off or self._rng.random() < self._faults.unknown_start:
                self.positions[name] = None
                self._fresh[name] = NOTHING
                continue
            if start.offset < 0:
                begun[name] = start = OffsetAndMetadata(0)
            self.positions[name] = start.offset
            self._fresh[name] = start
        if begun:
            self.start_commit(Commit(begun, None))

    def _revoke(self, going: list[TopicPartition], after: Callable[[list[TopicPartition]], None]) -> bool:
        """Ask the loop what to commit; the thread stands still until it says so, or for the time of a request."""
        self._tell_assigned()
        if not going:
            after(going)
            return False
        self._in_callback = True
        Revoke(
            self._process,
            self.request_timeout,
            ask=partial(self._revoked, going),
            hear_lost=partial(self._hear, "lost", going),
            let_go=partial(self._let_these_go, going, after, self._process.clock()),
        )
        if self.freeze_at_revoke is not None:
            freeze, self.freeze_at_revoke = self.freeze_at_revoke, None
            freeze()
        return True

    async def _revoked(self, going: Sequence[TopicPartition]) -> Offsets:
        """In the loop."""
        self._oracle.revoking(self._member, going)
        offsets = await self._listener.revoked(going)
        self._oracle.asked(self._member, offsets)
        self._oracle.over(self._member, going)
        return dict(offsets)

    def _let_these_go(
        self,
        going: list[TopicPartition],
        after: Callable[[list[TopicPartition]], None],
        began: float,
        offsets: Offsets | None,
    ) -> None:
        """The client finishes a commit on its way before it unassigns."""
        commit = Commit(offsets or {}, None)
        if offsets is not None:
            self._oracle.revoke_took(self._member, began)
            self.start_commit(commit)
        for name in going:
            self.positions.pop(name, None)
        self._in_callback = False
        if commit not in self._on_their_way:
            after(going)
        else:
            commit.after.append(lambda: after(going))
            self._process.later(Lane.CLIENT, CLIENT_COMMIT_SECONDS, commit.end)
        replies, self._replies = self._replies, []
        for reply in replies:
            self.committed(*reply)
        self.poke()

    def _leave(self, _names: list[TopicPartition]) -> None:
        self.client.leave()
        self._be_over()

    def _be_over(self) -> None:
        self._finished = True
        for commit in (*self._on_their_way, *self._commands):
            self._refuse(commit, CommitFailed("the consumer was closed before the answer came"))
        if self._finish is not None and not self._finish.done():
            self._finish.set_result(None)

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

    def _answer(self, commit: Commit, *, acknowledged: bool) -> None:
        self._process.loop.call_soon(_resolve, commit.done, acknowledged)

    def _refuse(self, commit: Commit, error: CommitFailed) -> None:
        self._oracle.counts["commits refused"] += 1
        self._process.loop.call_soon(_reject, commit.done, error)


def _nothing(*_: object) -> None:
    """The oracle has nothing to say to it."""


def _resolve(future: "asyncio.Future[bool] | None", answer: bool) -> None:  # noqa: FBT001 - a callback's argument
    if future is not None and not future.done():
        future.set_result(answer)


def _reject(future: "asyncio.Future[bool] | None", error: CommitFailed) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
