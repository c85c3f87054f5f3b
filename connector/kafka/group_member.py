"""Decides what the consumer's thread does next: which batch is handed on, what is released, what is committed.

No thread and no clock is in here: the client, the inspector and the time are handed in, so that the simulation runs
this very class. `connector.kafka.consumer` is the thread around it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, cast

from confluent_kafka import KafkaError, Message
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.delivery.ports import Record
from connector.errors import Fatal
from connector.kafka.assignment import Assignment
from connector.kafka.client import GroupClient
from connector.kafka.commits import Commit, CommitQueue
from connector.kafka.errors import classify
from connector.kafka.inbox import Hold, Inbox
from connector.kafka.log_inspector import LogInspector
from connector.kafka.ports import Listener

BATCH: Final = 1_000
BATCH_BYTES: Final = 1 << 20
"""A batch ends with the record that reaches this: to read more in one go would hold the event loop for too long."""
POLL_SECONDS: Final = 0.1
STALL_SECONDS: Final = 1.0
"""Without credit the thread first only holds back this long: a pause throws the prefetched records away."""


class GroupMember:
    """One member of the group: what it hands on, lets go and commits of the partitions that it owns.

    Back-pressure: each batch uses a credit up. Without credit it holds back; after `STALL_SECONDS` it pauses all
    partitions and keeps polling, so that the group keeps the member however long that takes.
    """

    def __init__(
        self,
        client: GroupClient,
        inspector: LogInspector,
        inbox: Inbox,
        listener: Listener,
        tell: Callable[..., None],
        *,
        from_end: bool = False,
    ) -> None:
        """`tell(method, *arguments)` calls the listener on the loop.

        `from_end`: a group without offsets begins at the end of the log.
        """
        self._client = client
        self._inbox = inbox
        self._listener = listener
        self._tell = tell
        self._assignment = Assignment(client, inspector, listener, tell, from_end=from_end)
        self._commits = CommitQueue()
        self._held: list[Message] = []
        self._starved_since: float | None = None
        self._misses_a_topic = False

    @property
    def owned(self) -> list[TopicPartition]:
        """The partitions of this member."""
        return self._assignment.names

    # One turn of the thread.

    def turn(self, now: float) -> float:
        """Do what there is to do; returns seconds to wait for the inbox before the next turn."""
        # The poll comes before the commits: after a freeze it is what tells that the partitions are lost.
        idle = self._poll(now)
        self._assignment.tell_new()
        self.send_commits()
        self._place()
        self._forget_held(self._assignment.inspect(now))
        return idle

    def send_commits(self) -> None:
        """Send what the loop wants committed."""
        while (commit := self._inbox.next_commit()) is not None:
            self._send(commit)

    def close(self) -> None:
        """No answer comes any more."""
        self._inbox.end()
        self._commits.close()

    def _place(self) -> None:
        """Hold partitions or read them on, as the loop wants."""
        while (what := self._inbox.next_place()) is not None:
            self._forget_held([what.name])
            if isinstance(what, Hold):
                self._assignment.hold(what.name, what.start)
            else:
                self._assignment.read_on(what.name, what.start, what.offset, what.epoch)

    def _poll(self, now: float) -> float:
        assignment = self._assignment
        if self._inbox.credits > 0:
            self._starved_since = None
            if assignment.is_paused:
                assignment.resume()
            self._take(now)
            return 0.0
        if self._starved_since is None:
            self._starved_since = now
        if not assignment.is_paused:
            if now - self._starved_since < STALL_SECONDS:
                return POLL_SECONDS
            assignment.pause()
        message = self._client.poll(POLL_SECONDS)
        if message is not None:
            self._held.append(message)
        return 0.0

    def _take(self, now: float) -> None:
        messages, self._held = self._held, []
        # Also where messages are left: callbacks are made in here.
        first = self._client.poll(0 if messages else POLL_SECONDS)
        if messages:
            messages += [first] if first is not None else []
        elif first is not None:
            messages = [first, *self._client.consume(BATCH - 1, 0)]
        else:
            return
        if (count := _batch(messages)) < len(messages):
            messages, self._held = messages[:count], messages[count:]
        ends: dict[TopicPartition, int] = {}
        if self._assignment.is_waiting or any(message.error() is not None for message in messages):
            messages = [message for message in messages if self._is_record(message, ends, now)]
        self._assignment.tell_new()
        if messages:
            self._inbox.spend()
            # A message without an error has a topic, a partition and an offset.
            self._tell(self._listener.records, cast("list[Record]", messages))
        if ends:
            self._tell(self._listener.advanced, ends)

    def _is_record(self, message: Message, ends: dict[TopicPartition, int], now: float) -> bool:
        """Whether it is to be handed on; what else it says is heard. `ends`: where the client has read all there is."""
        error = message.error()
        name = TopicPartition(message.topic() or "", cast("int", message.partition()))
        if error is None:
            return self._assignment.is_read(name)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are spelt so
            # Behind the last record there may be transaction markers and aborted records, which no batch shows.
            if self._assignment.is_read(name):
                ends[name] = cast("int", message.offset())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._assignment.position_is_invalid(name, message.offset(), now)
        else:
            self.error(error)
        return False

    # The group.

    def assign(self, partitions: Sequence[KafkaTopicPartition], now: float) -> None:
        """These are added to what is owned."""
        self._assignment.add([TopicPartition(p.topic, p.partition) for p in partitions], now)

    def revoking(self, partitions: Sequence[KafkaTopicPartition]) -> list[TopicPartition]:
        """These are taken away in order; returns those that the listener must be asked about before."""
        self._assignment.tell_new()
        names = dict.fromkeys(TopicPartition(p.topic, p.partition) for p in partitions)
        going = [name for name in names if name in self._assignment]
        self._forget_held(going)
        self._assignment.remove([name for name in going if not self._assignment.is_listed(name)])
        return [name for name in going if name in self._assignment]

    def revoked(self, going: Collection[TopicPartition], offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> Commit:
        """The listener has let go: commit what it says. librdkafka finishes the commit before it unassigns."""
        commit = Commit(offsets)
        self._send(commit)
        self._assignment.remove([name for name in going if name in self._assignment])
        return commit

    def lost(self, names: Collection[TopicPartition]) -> None:
        """Another member may own these already: nothing of them may be committed."""
        self._assignment.tell_new()
        gone = sorted(name for name in names if name in self._assignment)
        listed = [name for name in gone if self._assignment.is_listed(name)]
        self._assignment.remove(gone)
        self._forget_held(gone)
        self._tell(self._listener.lost, listed)

    def committed(self, error: KafkaError | None, partitions: list[KafkaTopicPartition]) -> None:
        """The answer to a commit."""
        answered = self._commits.answered(error, partitions)
        if answered.commit is not None:
            self._assignment.acknowledged(answered.commit.starts, answered.commit.offsets)
        if answered.is_fenced:
            self.lost(self.owned)

    def error(self, error: KafkaError) -> None:
        """Something to tell; or the end."""
        trouble = classify(error)
        if not trouble.retriable:
            self._tell(self._listener.failed, Fatal(trouble.event, trouble.detail, trouble.hint))
        elif trouble.event == "kafka_topic_missing":
            self._misses_a_topic = True
        else:
            self._tell(self._listener.trouble, trouble)

    def misses_a_topic(self) -> bool:
        """Whether a topic was not found since the last call: which one, and the nearest name, is to be looked up."""
        misses, self._misses_a_topic = self._misses_a_topic, False
        return misses

    def _send(self, commit: Commit) -> None:
        """Only of what is owned now, because the coordinator does not check that."""
        owned = {name: where for name, where in commit.offsets.items() if name in self._assignment}
        commit.keep_owned(owned, self._assignment.starts(owned))
        self._commits.send(self._client, commit)

    def _forget_held(self, names: Collection[TopicPartition]) -> None:
        """A record that came while paused goes with its partition."""
        if self._held and names:
            self._held = [m for m in self._held if (m.topic(), m.partition()) not in names]


def _batch(messages: Sequence[Message]) -> int:
    """The number of messages that the next batch takes."""
    size = 0
    for count, message in enumerate(messages, 1):
        size += len(message)
        if size >= BATCH_BYTES:
            return count
    return len(messages)
