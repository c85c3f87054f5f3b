"""The one thread that owns the one consumer: every call to it is made here, and a poll is never cancelled."""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.errors import CommitFailed, Fatal
from connector.kafka.admin import group_session
from connector.kafka.commits import Commit, Offsets
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, consumer
from connector.kafka.config_check import explain_refusal
from connector.kafka.errors import START_AGAIN, KafkaFailure, of_topic
from connector.kafka.group_member import GroupMember
from connector.kafka.inbox import Hold, Inbox, ReadOn
from connector.kafka.log_inspector import AdminInspector
from connector.kafka.loop_bridge import LoopBridge
from connector.kafka.ports import Listener
from connector.kafka.stall_watchdog import with_watchdog
from connector.threads import in_thread

COMMIT_SECONDS: Final = 10.0
"""A commit not answered by then is unknown. Committing synchronously has no deadline and would lock the consumer."""
COUNT_SECONDS: Final = 30.0
COUNT_AGAIN_SECONDS: Final = 5.0
METADATA_SECONDS: Final = 2.0
REVOKE_SLACK_SECONDS: Final = 2.0
HEAR_SECONDS: Final = 30.0
"""A loop that does not come round within this sends nothing either."""


class ConsumerThread:
    """Runs a `GroupMember`: hands batches to the event loop while it has credit, and takes commits from it."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._inbox = Inbox()
        self._totals: dict[str, int] = {}
        self._count_at = 0.0
        self._session_is_told = False
        self._missing: dict[str, KafkaFailure] = {}
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
        self._tell = LoopBridge(listener.failed)
        self._thread.start()

    def more(self) -> None:
        """Grant a batch."""
        self._inbox.grant()

    def hold(self, name: TopicPartition, start: Start) -> None:
        """Do not read this partition for now."""
        self._inbox.place(Hold(name, start))

    def read_on(self, name: TopicPartition, start: Start, offset: int, epoch: int) -> None:
        """Read a partition that is held from this offset on; the listener's `reading_on` says when.

        `epoch` is the leader epoch of the record before, -1 where it is not known.
        """
        self._inbox.place(ReadOn(name, start, offset, epoch))

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit what is still owned of this; raises CommitFailed when refused or not answered in time.

        True when the coordinator, which knows who is a member, acknowledged it; False when nothing is owned.
        """
        commit = Commit(offsets)
        if not self._inbox.submit(commit):
            msg = "the consumer is closed"
            raise CommitFailed(msg)
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await asyncio.wrap_future(commit.done)
        except TimeoutError as error:
            msg = f"no answer from the group coordinator in {COMMIT_SECONDS:.0f} s"
            raise CommitFailed(msg) from error

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        """Leave the group, within this time: closing can hang with a broker that does not answer.

        Without `leave` the consumer is only let be, until the process ends: closing it would tell the group.
        """
        self._inbox.close(leave=leave)
        # In a thread: the loop stays free, because the last revoke asks it what to commit.
        await in_thread(partial(self._finished.wait, seconds))

    # Everything below runs in the thread.

    def _run(self) -> None:
        try:
            inspector = AdminInspector(self._config)
            client = self._make()
            member = self._member = GroupMember(
                client,
                inspector,
                self._inbox,
                self._listener,
                self._tell,
                from_end=self._config.auto_offset_reset == "latest",
            )
            client.subscribe(
                list(self._config.topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
            )
            inspector.ask_for_ids(self._config.topics)
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would leave a process that is live for ever
            is_refusal = isinstance(error, KafkaException)
            fatal = (
                explain_refusal(self._config, error.args[0]).fatal
                if is_refusal
                else Fatal("kafka_fatal", f"the consumer cannot be made: {error!r}", START_AGAIN)
            )
            self._tell(self._listener.failed, fatal)
            self._finish()
            return
        try:
            while not self._inbox.is_closing:
                self.last_beat = time.monotonic()
                idle = member.turn(self.last_beat)
                self._count_partitions(client)
                self._tell_session()
                if idle:
                    self._inbox.wait(idle)
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would leave a Ready replica that consumes nothing
            self._tell(
                self._listener.failed, Fatal("kafka_fatal", f"the consumer thread failed: {error!r}", START_AGAIN)
            )
        finally:
            member.send_commits()
            if self._inbox.leaves:
                client.close()  # Revokes what is owned, through `_revoke`, and waits for the commits on their way.
            member.close()
            self._finish()
            inspector.close()
        if not self._inbox.leaves:
            threading.Event().wait()  # Block here: garbage-collecting the client would leave the group.

    def _make(self) -> Consumer:
        made = with_watchdog(consumer(self._config), partial(self._tell, self._listener.failed))
        return Consumer({**made, "error_cb": self._error, "on_commit": self._committed}, logger=LIBRDKAFKA)

    def _finish(self) -> None:
        self._inbox.end()
        self._finished.set()

    # Callbacks of librdkafka; they are made inside poll, consume and close, so in this thread.

    def _error(self, error: KafkaError) -> None:
        self._member.error(error)

    def _committed(self, error: KafkaError | None, partitions: list[KafkaTopicPartition]) -> None:
        self._member.committed(error, partitions)

    def _assign(self, _client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        self.reached = True
        self._member.assign(partitions, time.monotonic())

    def _revoke(self, _client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        """Commit what the loop says, then let go."""
        going = self._member.revoking(partitions)
        if going:
            self._member.revoked(going, self._ask_what_to_commit(going) or {})

    def _ask_what_to_commit(self, going: Sequence[TopicPartition]) -> Offsets | None:
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

    async def _revoked(self, going: Sequence[TopicPartition]) -> Offsets:
        return dict(await self._listener.revoked(going))

    def _lost(self, _client: Consumer, partitions: list[KafkaTopicPartition]) -> None:
        self._member.lost([TopicPartition(p.topic, p.partition) for p in partitions])

    # What only the thread asks.

    def _count_partitions(self, client: Consumer) -> None:
        """Learn now and then how many partitions the topics have, which decides our share of the rate.

        It also says that a topic is missing, which the KIP-848 protocol does not.
        """
        now = time.monotonic()
        if now < self._count_at and not self._member.misses_a_topic():
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
        else:
            # Also where nothing is new: a replica without partitions learns by it that Kafka answers.
            self._tell(self._listener.counted, dict(totals))
        known = totals.keys() >= {*self._config.topics}
        self._count_at = time.monotonic() + (COUNT_SECONDS if known else COUNT_AGAIN_SECONDS)
        self._totals = totals

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
        seconds, trouble = group_session(self._config)
        if trouble is not None:
            self._tell(self._listener.trouble, trouble)
        self._tell(self._listener.session, seconds)


def _existing(client: Consumer) -> Iterable[str]:
    """The names of all topics that may be seen; none where the brokers do not answer."""
    try:
        return list(client.list_topics(timeout=METADATA_SECONDS).topics)
    except KafkaException:
        return []
