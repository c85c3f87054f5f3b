"""The consumer's thread as a lane of a simulated process: it runs the real `GroupMember` over a fake client.

The thread serves the pipeline's calls at its next turn, and the loop gets the thread's calls at its own.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.commits import Commit
from connector.kafka.group_member import POLL_SECONDS, GroupMember
from connector.kafka.inbox import Hold, Inbox, ReadOn
from connector.kafka.ports import Listener
from tests.simulation.client import COMMIT_SECONDS as CLIENT_COMMIT_SECONDS
from tests.simulation.client import Client, CommitFaults, Offsets
from tests.simulation.consumer import FakeConsumer
from tests.simulation.coordinator import Coordinator
from tests.simulation.logs import Logs
from tests.simulation.oracle import Oracle
from tests.simulation.revoke import Revoke
from tests.simulation.timeline import Lane, Process

COMMIT_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""The thread has a turn at least this often."""


class Source:
    """One replica's consumer."""

    def __init__(  # noqa: PLR0913 - everything that a consumer stands between
        self,
        process: Process,
        coordinator: Coordinator,
        logs: Logs,
        oracle: Oracle,
        faults: CommitFaults,
        rng: random.Random,
        *,
        member: str,
        batch: int,
        request_timeout: float,
        session: float,
        instance: str,
        from_end: bool,
    ) -> None:
        """`session`: reported to the listener; `instance`: the name of a static member, or empty."""
        self._process = process
        self._logs = logs
        self._oracle = oracle
        self._rng = rng
        self._name = member
        self.request_timeout = request_timeout
        self._session = session
        self._session_is_told = False
        self._from_end = from_end
        self.client = Client(process, coordinator, faults, rng, self, instance=instance)
        self._consumer = FakeConsumer(self.client, coordinator, logs, batch)
        self._inbox = Inbox()
        self.freeze_at_revoke: Callable[[], None] | None = None
        """Called once, when the thread has just asked the loop what to commit at a revoke."""
        self._ops: deque[tuple[str, list[TopicPartition]]] = deque()
        self._is_poked = self._is_timed = False
        self._in_callback = False
        """The thread waits for the loop, inside a revoke."""
        self._replies: list[tuple[Offsets, str]] = []
        self._ending = False
        self._finished = False
        self._finish: asyncio.Future[None] | None = None

    # Called by the pipeline, in the loop.

    def start(self, listener: Listener) -> None:
        self._listener = listener
        self._member = GroupMember(
            self._consumer, self._consumer, self._inbox, listener, self._tell, from_end=self._from_end
        )
        self.client.join_within(1.0)
        self.poke()

    def more(self) -> None:
        self._inbox.grant()
        self.poke()

    def hold(self, name: TopicPartition, start: Start) -> None:
        self._inbox.place(Hold(name, start))
        self.poke()

    def read_on(self, name: TopicPartition, start: Start, offset: int, epoch: int) -> None:
        self._inbox.place(ReadOn(name, start, offset, epoch))
        self.poke()

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        if self._process.dead or self._finished:
            msg = "the consumer is closed"
            raise CommitFailed(msg)
        self._oracle.asked(self._name, offsets)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        commit = Commit(offsets)
        commit.done.add_done_callback(lambda answer: self._process.loop.call_soon(_copy, answer, done))
        self._inbox.submit(commit)
        self.poke()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await done
        except TimeoutError as error:
            commit.done.cancel()
            msg = "no answer from the group coordinator"
            raise CommitFailed(msg) from error
        except CommitFailed:
            self._oracle.counts["commits refused"] += 1
            raise

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        if self._process.dead or self._finished:
            return
        self._inbox.close(leave=leave)
        self.client.is_closing = True
        self._finish = asyncio.get_running_loop().create_future()
        self.poke()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish

    # Called by the client, in its own thread.

    def told(self, what: str, names: list[TopicPartition]) -> None:
        self._ops.append((what, names))
        self.poke()

    def joined(self) -> None:
        self._process.later(Lane.LOOP, 0.0, self._hear, self._listener.counted, Counter(it.topic for it in self._logs))
        if not self._session_is_told:
            self._session_is_told = True
            self._process.later(Lane.LOOP, 0.0, self._hear, self._listener.session, self._session)

    def thrown_out(self) -> None:
        """The group does not know us: all is lost, and once the thread has served that we join again."""
        self._ops.clear()
        self._ops.append(("lost", []))
        self.poke()

    def committed(self, offsets: Offsets, code: str) -> None:
        """The client has the answer to a commit."""
        if self._in_callback:
            self._replies.append((offsets, code))
            return
        answered = [KafkaTopicPartition(*name, where.offset, where.metadata) for name, where in offsets.items()]
        error = KafkaError(getattr(KafkaError, code)) if code else None
        self._member.committed(error, answered)
        if code == "UNKNOWN_MEMBER_ID":
            self._consumer.unassigned(list(self._logs))
            self.client.beat()

    # The thread.

    def poke(self) -> None:
        """The thread has work; its next turn is within the length of a poll."""
        if not self._is_poked:
            self._is_poked = True
            rng = self._rng
            delay = rng.random() * (0.002 if rng.random() < 0.8 else POLL_SECONDS)  # Mostly at once.
            self._process.later(Lane.THREAD, delay, self._turn)

    def _look_around(self) -> None:
        self._is_timed = False
        self._turn()

    def _turn(self) -> None:
        self._is_poked = False
        if self._in_callback or self._ending:
            return
        if self._inbox.is_closing:
            self._ending = True
            self._member.send_commits()
            if self._inbox.leaves:
                self._ops.clear()
                self._revoke(self._member.owned, self._leave)
            else:
                self._be_over()  # Without leaving the group, which waits for the session's end.
            return
        now = self._process.clock()
        while self._ops:
            what, names = self._ops.popleft()
            if what == "assign":
                self._member.assign([KafkaTopicPartition(*name) for name in names], now)
            elif what == "lost":
                gone = self._member.owned
                self._member.lost(gone)
                self._consumer.unassigned(gone)
                self.client.join_within(0.5)
            elif self._revoke(names, partial(self.client.release, self.client.number)):
                return
        self._member.turn(now)
        if not self._is_timed:
            self._is_timed = True
            self._process.later(Lane.THREAD, LOOK_SECONDS, self._look_around)

    def _revoke(self, names: Sequence[TopicPartition], after: Callable[[list[TopicPartition]], None]) -> bool:
        """Ask the loop what to commit; the thread blocks until the answer, or for the time of a request."""
        owned = [name for name in names if name in self._member.owned]
        going = self._member.revoking([KafkaTopicPartition(*name) for name in owned])
        if not going:
            self._consumer.unassigned(owned)
            after(owned)
            return False
        self._in_callback = True
        Revoke(
            self._process,
            self.request_timeout,
            ask=partial(self._revoked, going),
            hear_lost=partial(self._hear, self._listener.lost, going),
            let_go=partial(self._let_these_go, going, owned, after, self._process.clock()),
        )
        if self.freeze_at_revoke is not None:
            freeze, self.freeze_at_revoke = self.freeze_at_revoke, None
            freeze()
        return True

    async def _revoked(self, going: Sequence[TopicPartition]) -> Offsets:
        """In the loop."""
        self._oracle.revoking(self._name, going)
        offsets = await self._listener.revoked(going)
        self._oracle.asked(self._name, offsets)
        self._oracle.over(self._name, going)
        return dict(offsets)

    def _let_these_go(
        self,
        going: list[TopicPartition],
        owned: list[TopicPartition],
        after: Callable[[list[TopicPartition]], None],
        began: float,
        offsets: Offsets | None,
    ) -> None:
        """The client finishes a commit in flight before it unassigns."""
        if offsets is not None:
            self._oracle.revoke_took(self._name, began)
        commit = self._member.revoked(going, offsets or {})
        self._consumer.unassigned(owned)
        self._in_callback = False
        if commit.done.done():
            after(owned)
        else:
            once = _Once(partial(after, owned))
            commit.done.add_done_callback(lambda _: once())
            self._process.later(Lane.CLIENT, CLIENT_COMMIT_SECONDS, once)
        replies, self._replies = self._replies, []
        for reply in replies:
            self.committed(*reply)
        self.poke()

    def _leave(self, _names: list[TopicPartition]) -> None:
        self.client.leave()
        self._be_over()

    def _be_over(self) -> None:
        self._finished = True
        self._member.close()
        if self._finish is not None and not self._finish.done():
            self._finish.set_result(None)

    # To the loop.

    def _tell(self, method: Callable[..., None], *about: Any) -> None:
        self._process.loop.call_soon(self._hear, method, *about)

    def _hear(self, method: Callable[..., None], *about: Any) -> None:
        """In the loop; the oracle sees all calls to the pipeline."""
        what = method.__name__
        getattr(self._oracle, f"before_{what}", _nothing)(self._name, *about)
        method(*about)
        getattr(self._oracle, f"after_{what}", _nothing)(self._name, *about)


class _Once:
    """Calls it the first time only."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def __call__(self) -> None:
        what, self._what = self._what, None
        if what is not None:
            what()


def _nothing(*_: object) -> None:
    """The oracle needs nothing of it."""


def _copy(answer: Any, to: "asyncio.Future[bool]") -> None:
    """In the loop: pass the answer to the waiter."""
    if to.done() or answer.cancelled():
        return
    if (error := answer.exception()) is not None:
        to.set_exception(error)
    else:
        to.set_result(answer.result())
