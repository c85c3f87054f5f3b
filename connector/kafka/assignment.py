"""Which partitions this member owns, and where each begins: by what the group committed and by the log that is there.

Nothing but this decides where reading begins: the client is told an offset for each partition, and where it finds that
the log does not continue at one (`auto.offset.reset=error`), it says so and stops there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.delivery.start_position import Beginning, LogState, Start, decide_again, is_another
from connector.kafka.client import AssignmentClient, as_partitions
from connector.kafka.errors import KafkaFailure
from connector.kafka.first_positions import FirstPositions
from connector.kafka.log_inspector import Found, LogInspector, Look
from connector.kafka.owned_partition import OwnedPartition
from connector.kafka.ports import Listener

ASSIGN_SECONDS: Final = 1.0
"""An assignment waits at most this long for where it begins; what is not known then is paused and asked for again."""
INSPECT_SECONDS: Final = 5.0
"""How often the ends of the logs and the topics' ids are asked for."""
LOST_SECONDS: Final = 15.0
"""A question that is not answered by then is asked again; its answers are due long before."""
START_AGAIN_SECONDS: Final = 1.0
DELAYED_SECONDS: Final = 10.0
"""After this it is told that a partition has not begun."""


class Assignment:
    """The partitions of one member."""

    def __init__(
        self,
        client: AssignmentClient,
        inspector: LogInspector,
        listener: Listener,
        tell: Callable[..., None],
        *,
        from_end: bool,
    ) -> None:
        """`tell(method, *arguments)` calls the listener on the loop.

        `from_end`: a group without offsets begins at the end of the log.
        """
        self._client = client
        self._first = FirstPositions(client, from_end=from_end)
        self._inspector = inspector
        self._listener = listener
        self._tell = tell
        self._owned: dict[TopicPartition, OwnedPartition] = {}
        self._fresh: dict[TopicPartition, Start] = {}
        self._look: Look | None = None
        self._look_at = 0.0
        self._look_ends = 0.0
        self.is_paused = False
        """No partition is read."""
        self._unknown: set[TopicPartition] = set()
        """It is not known where to read these."""
        self._unchecked: dict[TopicPartition, tuple[int, int]] = {}
        """Whether the log of these continues at an offset and epoch is still to be asked of the client."""

    def __contains__(self, name: object) -> bool:
        return name in self._owned

    @property
    def names(self) -> list[TopicPartition]:
        """All that is owned."""
        return list(self._owned)

    @property
    def is_waiting(self) -> bool:
        """Whether no record of some partition may be handed on yet."""
        return bool(self._unknown or self._unchecked)

    def is_read(self, name: TopicPartition) -> bool:
        """Whether records of it are handed on."""
        return self._has_begun(name) and name not in self._unchecked

    def _has_begun(self, name: TopicPartition) -> bool:
        owned = self._owned.get(name)
        return owned is not None and owned.start is not None

    def is_listed(self, name: TopicPartition) -> bool:
        """Whether the listener knows of it."""
        owned = self._owned.get(name)
        return owned is not None and owned.began is not None

    def starts(self, names: Collection[TopicPartition]) -> dict[TopicPartition, Start | None]:
        """Where these began, for a commit to know later whether it is about the same log."""
        return {name: self._owned[name].start for name in names}

    def add(self, names: Sequence[TopicPartition], now: float) -> None:
        """Take partitions on, each from an offset that is known. Called inside a callback of the client.

        No call to the client but to assign and pause in here: `list_topics`, for one, makes the next callback of the
        same poll abort the process, because the client keeps one call state a thread.
        """
        for name in names:
            self._owned[name] = OwnedPartition(now)
            self._unknown.add(name)
        found: Mapping[TopicPartition, Found] = {}
        if names:
            look = self._inspector.look(names)
            found = look.found() if look.wait(ASSIGN_SECONDS) else {}
        self._begin_all(names, found)
        self._client.incremental_assign([self._place(name) for name in names])
        # A pause outlives a rebalance for some partitions and not for others: make it the same for all.
        begun = [name for name in names if self._has_begun(name)]
        unknown = [name for name in names if not self._has_begun(name)]
        if self.is_paused:
            self._client.pause(as_partitions(names))
        else:
            self._client.resume(as_partitions(begun))
            self._client.pause(as_partitions(unknown))
        if unknown or self._look is not None:
            self._look, self._look_at = None, now  # One look at a time: that of all partitions is made again.

    def remove(self, names: Collection[TopicPartition]) -> None:
        """These are not owned any more."""
        for name in names:
            del self._owned[name]
            self._unknown.discard(name)
            self._unchecked.pop(name, None)

    def pause(self) -> None:
        """Read nothing."""
        self.is_paused = True
        self._client.pause(as_partitions(self._owned))

    def resume(self) -> None:
        """Read again what can be read."""
        self.is_paused = False
        self._client.resume(
            as_partitions([name for name in self._owned if self._has_begun(name) and not self._owned[name].is_held])
        )

    def hold(self, name: TopicPartition, start: Start) -> None:
        """Do not read it, in this assignment."""
        owned = self._owned.get(name)
        if owned is not None and owned.told is start:
            owned.is_held = True
            self._client.pause(as_partitions([name]))

    def read_on(self, name: TopicPartition, start: Start, offset: int, epoch: int) -> None:
        """Read it from there on, in this assignment; whatever the client has fetched of it is void."""
        owned = self._owned.get(name)
        if owned is None or owned.told is not start:
            return
        owned.is_held = False
        owned.read_on_at = offset, epoch
        if owned.start is not None:
            self._read_on(name, owned)

    def _read_on(self, name: TopicPartition, owned: OwnedPartition) -> None:
        self._read_anew(name)
        at = owned.read_on_at
        if at is not None and at[1] >= 0 and owned.position() == at[0]:
            self._unchecked[name] = at
        owned.read_on_at = None
        self.tell_new()
        self._tell(self._listener.reading_on, name, owned.told)

    def acknowledged(
        self, starts: Mapping[TopicPartition, Start | None], offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        """The group holds these now; `starts`: where the partitions had begun when the commit was sent."""
        for name, where in offsets.items():
            owned = self._owned.get(name)
            if owned is not None and owned.start is not None and owned.start is starts.get(name):
                owned.acknowledged = where
                self._first.acknowledged(name)

    def position_is_invalid(self, name: TopicPartition, at: int | None, now: float) -> None:
        """The log does not continue where it is read: find out why, and begin anew. `at`: None where not known."""
        owned = self._owned.get(name)
        if owned is not None and owned.start is not None:
            self.tell_new()
            owned.at, owned.start, owned.since = at, None, now
            self._unknown.add(name)
            self._unchecked.pop(name, None)
            # What was asked before the log changed says nothing of what it is now.
            self._look, self._look_at = None, now

    def inspect(self, now: float) -> list[TopicPartition]:
        """Ask for ends and ids now and then, and at once where it is not known where to read.

        Returns the partitions that are read anew from another place: what was fetched of them before is void.
        """
        if self._unchecked:
            self._check()
        anew: list[TopicPartition] = []
        if self._look is not None and self._look.wait(0):
            look, self._look = self._look, None
            anew = self._use(look, now)
        elif self._look is not None and now >= self._look_ends:
            self._look = None
        if self._look is None and now >= self._look_at and self._owned:
            self._look = self._inspector.look(list(self._owned))
            self._look_at, self._look_ends = now + INSPECT_SECONDS, now + LOST_SECONDS
        return anew

    def tell_new(self) -> None:
        """Tell the listener what began, before anything else is told of it."""
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            self._tell(self._listener.assigned, fresh)

    def _use(self, look: Look, now: float) -> list[TopicPartition]:
        found = look.found()
        for name, owned in self._owned.items():
            if (it := found.get(name)) is None:
                continue
            if owned.start is not None and is_another(owned.start.log, it.log):
                # The client reads on in the middle of the new log; only its id tells.
                self.position_is_invalid(name, None, now)
        anew = self._begin_all([name for name, owned in self._owned.items() if owned.start is None], found)
        for name in anew:
            if self._owned[name].read_on_at is None:
                self._read_anew(name)
            else:
                self._read_on(name, self._owned[name])
        self.tell_new()
        if ends := {name: it.log.high for name, it in found.items() if self.is_read(name)}:
            self._tell(self._listener.ends, ends)
        if self._unknown:
            self._look_at = min(self._look_at, now + START_AGAIN_SECONDS)
            if any(owned.start is None and now - owned.since > DELAYED_SECONDS for owned in self._owned.values()):
                self._tell(self._listener.trouble, look.trouble or _DELAYED)
        return anew

    def _begin_all(
        self, names: Sequence[TopicPartition], found: Mapping[TopicPartition, Found]
    ) -> list[TopicPartition]:
        """Begin where it can be decided where; returns those."""
        can_begin = [name for name in names if name in found]
        fresh = [name for name in can_begin if self._owned[name].began is None]
        committed = self._first.committed(fresh, found) if fresh else {}
        return [name for name in can_begin if self._begin(name, found[name].log, committed)]

    def _begin(
        self, name: TopicPartition, log: LogState, committed: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> bool:
        """Decide where to read; False while that cannot be decided."""
        owned = self._owned[name]
        if owned.began is not None:
            what: Beginning | None = decide_again(owned.at, owned.began, owned.acknowledged, log)
        else:
            what = self._first.decide(name, log, committed)
        if what is None:
            return False
        if what.missed is not None or what.is_another_log:
            self._tell(self._listener.log_changed, name, what)
        owned.acknowledged = what.start.committed
        owned.start = owned.began = what.start
        self._unknown.discard(name)
        if what.start.epoch >= 0:
            self._unchecked[name] = what.start.offset, what.start.epoch
        if not what.goes_on:
            self._fresh[name] = owned.told = what.start
            owned.is_held, owned.read_on_at = False, None
        return True

    def _check(self) -> None:
        """Have the client ask by the epoch whether the log continues where it is to be read.

        The tail may have been cut below it and written again while nobody read. librdkafka asks at a seek; at an
        assignment only where it did not know the leader's epoch before. What it fetched before the seek is dropped.
        """
        for name in sorted(self._unchecked):
            offset, epoch = self._unchecked[name]
            try:
                self._client.seek(KafkaTopicPartition(*name, offset, "", epoch))
            except KafkaException:
                continue  # It is not being fetched yet: at the next turn.
            del self._unchecked[name]

    def _read_anew(self, name: TopicPartition) -> None:
        """Move the client. A seek is refused after the client found a position invalid; an assignment is not."""
        self._client.incremental_unassign(as_partitions([name]))
        self._client.incremental_assign([self._place(name)])
        if self.is_paused or self._owned[name].is_held:
            self._client.pause(as_partitions([name]))
        else:
            self._client.resume(as_partitions([name]))

    def _place(self, name: TopicPartition) -> KafkaTopicPartition:
        return KafkaTopicPartition(*name, self._owned[name].position())


_DELAYED = KafkaFailure(
    "UNKNOWN_TOPIC_ID",
    "partition_start_delayed",
    "the brokers do not say whether a topic is the one that the group's offset is of",
    "check that the brokers answer, and that the connector's user may DESCRIBE the topic",
    meanwhile="the partition waits",
)
