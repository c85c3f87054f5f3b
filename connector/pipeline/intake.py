"""Records in: decoded, merged into their visitors' pending updates, or refused."""

from collections.abc import Sequence

from connector.decoding import EventReader
from connector.delivery.ages import GATHER_SECONDS, is_too_old, linger_begin
from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Record
from connector.events.change import Change, Refused
from connector.pipeline.assignment import Assignment
from connector.pipeline.back_pressure import BackPressure
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.mapped_intake import MappedIntake, Taken
from connector.pipeline.state import ReplicaState


class Intake:
    """Takes batches in; each costs a credit, which the back-pressure gives back."""

    def __init__(
        self,
        state: ReplicaState,
        assignment: Assignment,
        back_pressure: BackPressure,
        dead_letters: DeadLetterWriter,
        reader: EventReader,
    ) -> None:
        self._state = state
        self._assignment = assignment
        self._back_pressure = back_pressure
        self._dead_letters = dead_letters
        self._decode = reader.decode
        self._topics = reader.topics
        for topic in reader.topics.values():
            state.counters.expect_skips(topic.name, topic.skips)
        self._add = self._add_and_tell if state.observers else state.coalescer.add
        self._mapped = MappedIntake(state, assignment, dead_letters, self._add)
        self._lingers_long = state.config.linger > GATHER_SECONDS

    def records(self, batch: Sequence[Record]) -> None:  # noqa: C901, PLR0912, PLR0915 - the hot loop, in one place
        """Take a batch in: decode, coalesce, and move each partition's position."""
        state = self._state
        if state.draining:
            return
        now = state.now()
        decode, add, by_topic = self._decode, self._add, self._assignment.by_topic
        only = next(iter(by_topic.values())) if len(by_topic) == 1 else None
        mapped = self._mapped
        read = None
        recovering = any(tracker.is_recovering for tracker in state.partitions.values())
        good = decoded = size = strange = skipped = empty = done_before = refused_before = expired = 0
        limit = state.oldest_wanted()
        lingers_long = self._lingers_long
        current = last = None
        for record in batch:
            partition = (only or by_topic.get(record.topic(), _NONE)).get(record.partition())
            if partition is None:
                strange += 1  # Taken from us while it was on its way here: its next owner reads it.
                continue
            if partition is not current:  # A batch is a few runs, each of one partition.
                _move(current, last)
                current, last = partition, None
                read = self._topics.get(record.topic())
            if read is not None:
                state.refused_limit.passed(good)
                decoded, good = decoded + good, 0
                how = mapped.take(read, record, partition, recovering=recovering)
                if how is Taken.WAITS:
                    strange += 1  # It is read again when its schema is there.
                    continue
                last = record
                if how is Taken.ENDS:
                    strange += len(batch) - batch.index(record) - 1
                    break
                continue
            last = record
            value = record.value()
            if value is None:
                skipped += 1
                continue
            try:
                change = decode(value)
            except Refused as refused:
                state.refused_limit.passed(good)
                decoded, good = decoded + good, 0
                if recovering and partition.is_done(record.offset(), None, record.leader_epoch()):
                    refused_before += 1
                elif not self._dead_letters.record(record, partition, refused):
                    strange += len(batch) - batch.index(record) - 1
                    break
                continue
            good += 1
            if not change.attributes:
                empty += 1
                continue
            if recovering and self._assignment.is_settled(partition, record, change.visitor, now):
                done_before += 1
                continue
            if limit is not None and is_too_old(change, record, limit):
                expired += 1
                continue
            length = len(value)
            size += length
            begin = linger_begin(record, state.config.linger, now, state.wall) if lingers_long else now
            add(change, partition, record, begin, length)
        _move(current, last)
        state.refused_limit.passed(good)
        state.coalescer.added(decoded + good - empty - done_before - expired, size)
        if expired:
            state.expire(expired)
        further = mapped.end_batch()
        self._taken(
            len(batch) - strange + further.events,
            skipped + empty + further.skipped,
            done_before + refused_before + further.done_before,
        )

    def _taken(self, consumed: int, skipped: int, already_done: int) -> None:
        """A batch is in: Kafka can be reached, the next may come, and updates may be due."""
        self._state.counters.taken(consumed, skipped=skipped, already_done=already_done)
        self._state.kafka_answered()
        self._back_pressure.taken()
        self._state.may_send()

    def _add_and_tell(
        self, change: Change, partition: OffsetTracker, record: Record, now: float, size: int, *, is_item: bool = False
    ) -> None:
        """Stands for the coalescer's `add` where there are observers."""
        coalescer = self._state.coalescer
        waiting = coalescer.waiting
        coalescer.add(change, partition, record, now, size, is_item=is_item)
        for observer in self._state.observers:
            observer.taken(record, change.visitor, merged=coalescer.waiting == waiting)


_NONE: dict[int, OffsetTracker] = {}


def _move(partition: OffsetTracker | None, last: Record | None) -> None:
    """All of the partition's records up to this one were taken."""
    if partition is not None and last is not None:
        partition.taken(last.offset(), last.leader_epoch())
