"""The one thread that owns the one consumer: every call to it is made here, and a poll is never cancelled."""

import asyncio
import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offsets import OffsetAndMetadata, TopicPartition
from connector.delivery.ports import Record
from connector.errors import CommitFailed, Fatal
from connector.kafka.abandoned import watched
from connector.kafka.config import KafkaConfig, consumer
from connector.kafka.errors import FENCED, Kind, Trouble, of_topic, sort
from connector.kafka.ports import Listener
from connector.kafka.refusal import LIBRDKAFKA, refused
from connector.kafka.session import session
from connector.kafka.telling import Teller

BATCH = 1_000
CREDITS = 2
POLL_SECONDS = 0.1
STALL_SECONDS = 1.0
"""So long the thread just holds back before it pauses: a pause throws the prefetched records away."""
COMMIT_SECONDS = 10.0
"""A commit not answered by then is unknown. Committing synchronously has no deadline and would lock the consumer."""
ENDS_SECONDS = 5.0
ENDS_BUDGET_SECONDS = 0.2
"""Of one turn, for asking where logs end: with many partitions the rest waits for the next turn."""
COUNT_SECONDS = 30.0
COUNT_AGAIN_SECONDS = 5.0
METADATA_SECONDS = 2.0
REVOKE_SLACK_SECONDS = 2.0
HEAR_SECONDS = 30.0
"""A loop that does not come round for so long sends nothing either."""

_Wanted = dict[TopicPartition, OffsetAndMetadata]


class _Commit:
    """A commit on its way to the coordinator, and whoever waits for it."""

    __slots__ = ("done", "offsets")

    def __init__(self, offsets: _Wanted) -> None:
        self.offsets = offsets
        self.done: concurrent.futures.Future[bool] = concurrent.futures.Future()


class ConsumerThread:
    """Hands batches to the event loop while it has credit, and takes commits from it.

    Back-pressure: each batch uses a credit up, `more` gives one. Without credit the thread holds back; after
    `STALL_SECONDS` it pauses all partitions and goes on polling, so that the group keeps the member for however long.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._totals: dict[str, int] = {}
        self._session_is_told = False
        self._owned: set[TopicPartition] = set()
        self._credits = CREDITS
        self._paused = False
        self._closing = False
        self._leaves = True
        self._held: list[Message] = []
        self._fresh: _Wanted = {}
        self._count_at = 0.0
        self._missing: dict[str, Trouble] = {}
        self._starved_since = 0.0
        self._ends_at = 0.0
        self._ends_wanted: list[TopicPartition] = []
        self._wake = threading.Condition()
        self._commands: deque[_Commit] = deque()
        self._on_their_way: deque[_Commit] = deque()
        self._thread = threading.Thread(target=self._run, name="kafka-consumer", daemon=True)
        self._finished = threading.Event()
        self.last_beat = time.monotonic()
        """When the thread last came round, by the monotonic clock."""
        self.reached = False
        """True once the group has answered."""

    # Called on the event loop.

    def start(self, listener: Listener) -> None:
        """Begin; the listener is called on the running loop, in order."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._tell = Teller(listener.failed)
        self._thread.start()

    def more(self) -> None:
        """Grant a batch."""
        with self._wake:
            self._credits += 1
            self._wake.notify()

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit what is still owned of this; raises CommitFailed when refused or not answered in time.

        True when the coordinator, which knows who is a member, acknowledged it; False when nothing is owned.
        """
        commit = _Commit(dict(offsets))
        with self._wake:
            if self._finished.is_set():
                msg = "the consumer is closed"
                raise CommitFailed(msg)
            self._commands.append(commit)
            self._wake.notify()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await asyncio.wrap_future(commit.done)
        except TimeoutError as error:
            msg = f"no answer from the group coordinator in {COMMIT_SECONDS:.0f} s"
            raise CommitFailed(msg) from error

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        """Leave the group, within so many seconds: closing can hang with a broker that does not answer.

        Without `leave` the consumer is only let be, until the process ends: closing it would tell the group.
        """
        with self._wake:
            self._closing = True
            self._leaves = leave
            self._wake.notify()
        # In a thread: the loop stays free, because the last revoke asks it what to commit.
        await asyncio.to_thread(self._finished.wait, seconds)

    # Everything below runs in the thread.

    def _run(self) -> None:
        try:
            made = watched(consumer(self._config), partial(self._tell, self._listener.failed))
            client = Consumer({**made, "error_cb": self._error, "on_commit": self._committed}, logger=LIBRDKAFKA)
            client.subscribe(
                list(self._config.topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
            )
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would leave a process that is live for ever
            is_refusal = isinstance(error, KafkaException)
            why = refused(self._config, error.args[0]) if is_refusal else f"the consumer cannot be made: {error!r}"
            self._tell(self._listener.failed, Fatal("kafka_fatal", str(why)))
            self._finished.set()
            return
        try:
            while not self._closing:
                self.last_beat = time.monotonic()
                # The poll before the commits: after a freeze it is what says that the partitions are lost.
                self._turn(client)
                self._tell_assigned()
                self._do_commands(client)
                self._count_partitions(client)
                self._tell_session()
                self._tell_ends(client)
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would leave a Ready replica that consumes nothing
            self._tell(self._listener.failed, Fatal("kafka_fatal", f"the consumer thread failed: {error!r}"))
        finally:
            self._do_commands(client)
            if self._leaves:
                client.close()  # Revokes what is owned, through `_revoke`, and waits for the commits on their way.
            self._finished.set()
            for commit in (*self._on_their_way, *self._commands):
                self._refuse(commit, CommitFailed("the consumer was closed before the answer came"))
        if not self._leaves:
            threading.Event().wait()  # For ever, in a daemon: a client without an owner is closed all the same.

    def _turn(self, client: Consumer) -> None:
        """Take a batch, or hold back."""
        if self._credits > 0:
            self._starved_since = 0.0
            if self._paused:
                self._paused = False
                client.resume(_kafka(self._owned))
            self._take(client)
            return
        now = time.monotonic()
        self._starved_since = self._starved_since or now
        if not self._paused and now - self._starved_since < STALL_SECONDS:
            with self._wake:
                if not (self._credits or self._commands or self._closing):
                    self._wake.wait(POLL_SECONDS)
            return
        if not self._paused:
            self._paused = True
            client.pause(_kafka(self._owned))
        message = client.poll(POLL_SECONDS)
        if message is None:
            return
        if (error := message.error()) is not None:
            self._error(error)
        else:
            self._held.append(message)

    def _take(self, client: Consumer) -> None:
        messages, self._held = self._held, []
        if not messages:
            first = client.poll(POLL_SECONDS)
            if first is None:
                return
            messages = [first, *client.consume(BATCH - 1, 0)]
        batch = [message for message in messages if message.error() is None]
        if len(batch) < len(messages):
            for message in messages:
                if (error := message.error()) is not None:
                    self._error(error)
        if batch:
            with self._wake:
                self._credits -= 1
            self._tell_assigned()
            # A message without an error has a topic, a partition and an offset.
            self._tell(self._listener.records, cast("list[Record]", batch))

    def _do_commands(self, client: Consumer) -> None:
        while True:
            with self._wake:
                if not self._commands:
                    return
                commit = self._commands.popleft()
            self._start_commit(client, commit)

    def _start_commit(self, client: Consumer, commit: _Commit) -> None:
        """Send a commit without waiting; only of what is owned now, because the coordinator does not check that."""
        commit.offsets = {name: offset for name, offset in commit.offsets.items() if name in self._owned}
        if not commit.offsets:
            self._answer(commit, acknowledged=False)
            return
        self._on_their_way.append(commit)
        try:
            client.commit(
                offsets=[_at(name, where) for name, where in commit.offsets.items()],
                asynchronous=True,
            )
        except KafkaException as error:
            self._on_their_way.remove(commit)
            self._refuse(commit, CommitFailed(error.args[0].str()))

    # Callbacks of librdkafka; they are made inside poll, consume and close, so in this thread.

    def _committed(self, error: KafkaError | None, partitions: list[KafkaTopicPartition]) -> None:
        # Of two with the same offsets the first is answered first.
        offsets = {TopicPartition(p.topic, p.partition): p.offset for p in partitions}
        commit = next((c for c in self._on_their_way if offsets == {n: w.offset for n, w in c.offsets.items()}), None)
        errors = [e for e in (error, *(p.error for p in partitions)) if e is not None]
        if commit is not None:
            self._on_their_way.remove(commit)
            if errors:
                refused = any(e.code() == KafkaError.OFFSET_METADATA_TOO_LARGE for e in errors)
                self._refuse(commit, CommitFailed(errors[0].str(), metadata_refused=refused))
            else:
                self._answer(commit, acknowledged=True)
        if any(e.code() in FENCED for e in errors):
            self._let_go(self._owned)

    def _assign(self, client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        """Take partitions on, each from an offset that is known and committed, so that a crash cannot move the start.

        No `list_topics` in here: it makes the next callback of the same poll abort the process, because the client
        keeps one call state a thread.
        """
        self.reached = True
        starts = {TopicPartition(p.topic, p.partition): OffsetAndMetadata(-1) for p in partitions}
        found = _committed_offsets(client, starts)
        begun = {
            name: OffsetAndMetadata(offset)
            for name in starts
            if name in found and found[name].offset < 0 and (offset := self._beginning(client, name)) >= 0
        }
        starts |= found | begun
        # An offset that is not known is left to librdkafka, which asks again.
        client.incremental_assign([_at(name, where) for name, where in starts.items()])
        self._owned.update(starts)
        self._fresh.update(starts)
        # A pause outlives a rebalance for some partitions and not for others: make it the same for all.
        if self._paused:
            client.pause(partitions)
        else:
            client.resume(partitions)
        if begun:
            self._start_commit(client, _Commit(begun))

    def _beginning(self, client: Consumer, name: TopicPartition) -> int:
        """Where a group without offsets begins in this partition; -1 when the broker does not say."""
        try:
            low, high = client.get_watermark_offsets(KafkaTopicPartition(*name), timeout=METADATA_SECONDS)
        except KafkaException:
            return -1
        return low if self._config.auto_offset_reset == "earliest" else high

    def _revoke(self, client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        """Commit what the loop says, then let go. librdkafka finishes a commit on its way before it unassigns."""
        self._tell_assigned()
        going = [name for p in partitions if (name := TopicPartition(p.topic, p.partition)) in self._owned]
        self._forget_held(going)
        if going and (offsets := self._ask_what_to_commit(going)) is not None:
            self._start_commit(client, _Commit(offsets))
        self._owned.difference_update(going)

    def _ask_what_to_commit(self, going: Sequence[TopicPartition]) -> _Wanted | None:
        """Wait for the loop to finish what is on the wire; None when it does not in time, then nothing is committed."""
        work = asyncio.run_coroutine_threadsafe(self._revoked(going), self._loop)
        deadline = time.monotonic() + self._config.request_timeout + REVOKE_SLACK_SECONDS
        while True:
            self.last_beat = time.monotonic()
            try:
                return work.result(min(1.0, max(0.0, deadline - self.last_beat)))
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
            except concurrent.futures.CancelledError:
                pass
            work.cancel()
            # Not before the loop has heard it: it may just have woken, and send once more.
            with suppress(TimeoutError, concurrent.futures.CancelledError):
                asyncio.run_coroutine_threadsafe(self._has_lost(going), self._loop).result(HEAR_SECONDS)
            return None

    async def _has_lost(self, gone: Sequence[TopicPartition]) -> None:
        self._listener.lost(gone)

    async def _revoked(self, going: Sequence[TopicPartition]) -> _Wanted:
        return dict(await self._listener.revoked(going))

    def _lost(self, _client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        self._let_go({TopicPartition(p.topic, p.partition) for p in partitions})

    def _error(self, error: KafkaError) -> None:
        trouble = sort(error)
        if trouble.kind is Kind.FATAL:
            self._tell(self._listener.failed, Fatal(trouble.event, f"{trouble.detail}: {trouble.remedy}"))
        elif trouble.event == "kafka_topic_missing":
            self._count_at = 0.0  # Which one it is, and the nearest name, is told there.
        else:
            self._tell(self._listener.trouble, trouble)

    # Helpers.

    def _tell_assigned(self) -> None:
        """Before anything else is said of them."""
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            self._tell(self._listener.assigned, fresh)

    def _let_go(self, names: set[TopicPartition]) -> None:
        self._tell_assigned()
        gone = sorted(names & self._owned)
        self._owned.difference_update(gone)
        self._forget_held(gone)
        self._tell(self._listener.lost, gone)

    def _forget_held(self, names: Sequence[TopicPartition]) -> None:
        """A record that came while paused goes with its partition."""
        self._held = [m for m in self._held if (m.topic(), m.partition()) not in names]

    def _count_partitions(self, client: Consumer) -> None:
        """Learn now and then how many partitions the topics have, which decides our share of the rate.

        It also says that a topic is missing, which the KIP-848 protocol does not.
        """
        now = time.monotonic()
        if now < self._count_at:
            return
        totals = dict(self._totals)
        for topic in self._config.topics:
            try:
                found = client.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
            except KafkaException:
                break
            self.reached = True
            if found.error is not None:
                self._tell_unseen(client, topic, found.error)
            elif found.partitions:
                self._missing.pop(topic, None)
                totals[topic] = len(found.partitions)
        known = totals.keys() >= {*self._config.topics}
        self._count_at = time.monotonic() + (COUNT_SECONDS if known else COUNT_AGAIN_SECONDS)
        if totals != self._totals:
            self._totals = totals
            self._tell(self._listener.counted, dict(totals))

    def _tell_unseen(self, client: Consumer, topic: str, error: KafkaError) -> None:
        """Tell of a topic that is not there, or may not be seen; the names of all others are asked for once."""
        trouble = self._missing.get(topic)
        if trouble is None or trouble.code != error.name():
            trouble = self._missing[topic] = of_topic(error, topic, partial(_existing, client))
        self._tell(self._listener.trouble, trouble)

    def _tell_session(self) -> None:
        """As soon as a broker answers; until then nobody can have given us a partition either."""
        if self._session_is_told or not self.reached:
            return
        self._session_is_told = True
        seconds, trouble = session(self._config)
        if trouble is not None:
            self._tell(self._listener.trouble, trouble)
        self._tell(self._listener.session, seconds)

    def _tell_ends(self, client: Consumer) -> None:
        """Say where the logs end: what the fetches brought, or while paused what the broker answers."""
        now = time.monotonic()
        if now >= self._ends_at:
            self._ends_at = now + ENDS_SECONDS
            self._ends_wanted = list(self._owned)
        ends: dict[TopicPartition, int] = {}
        while self._ends_wanted and time.monotonic() < now + ENDS_BUDGET_SECONDS:
            name = self._ends_wanted.pop()
            try:
                high = client.get_watermark_offsets(
                    KafkaTopicPartition(*name), timeout=ENDS_BUDGET_SECONDS, cached=not self._paused
                )[1]
            except KafkaException:
                self._ends_wanted = []
                break
            if high >= 0:
                ends[name] = high
        if ends:
            self._tell(self._listener.ends, ends)

    def _answer(self, commit: _Commit, *, acknowledged: bool) -> None:
        """Wake whoever waits; a deadline may have passed, then the future is cancelled and nobody does."""
        if commit.done.set_running_or_notify_cancel():
            commit.done.set_result(acknowledged)

    def _refuse(self, commit: _Commit, error: CommitFailed) -> None:
        if commit.done.set_running_or_notify_cancel():
            commit.done.set_exception(error)


def _committed_offsets(client: Consumer, names: Iterable[TopicPartition]) -> _Wanted:
    """Where the group stands; nothing where the coordinator does not say."""
    try:
        found = client.committed([KafkaTopicPartition(*name) for name in names], timeout=METADATA_SECONDS)
    except KafkaException:
        return {}
    return {
        TopicPartition(p.topic, p.partition): OffsetAndMetadata(max(-1, p.offset), p.metadata or "")
        for p in found
        if p.error is None
    }


def _existing(client: Consumer) -> Iterable[str]:
    """The names of all topics that may be seen; none where the brokers do not answer."""
    try:
        return list(client.list_topics(timeout=METADATA_SECONDS).topics)
    except KafkaException:
        return []


def _at(name: TopicPartition, where: OffsetAndMetadata) -> KafkaTopicPartition:
    if where.offset < 0:
        return KafkaTopicPartition(*name)
    return KafkaTopicPartition(*name, where.offset, where.metadata)


def _kafka(names: set[TopicPartition]) -> list[KafkaTopicPartition]:
    return [KafkaTopicPartition(*name) for name in names]
