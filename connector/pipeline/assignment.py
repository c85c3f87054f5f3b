"""What the group does to this replica: partitions given, taken in order, lost, or with another log than before."""

import math
from collections.abc import Iterable, Mapping, Sequence

import structlog

from connector.admission.membership_lease import longest_request
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.start_position import Beginning
from connector.events.change import Visitor
from connector.pipeline import log_changes
from connector.pipeline.committer import Committer
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.ports import Schemas, Sender, Source
from connector.pipeline.schema_holds import SchemaHolds
from connector.pipeline.state import ReplicaState

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Assignment:
    """Keeps a tracker for each assigned partition, and ends it with the assignment."""

    def __init__(
        self,
        state: ReplicaState,
        committer: Committer,
        sender: Sender,
        dead_letters: DeadLetterWriter,
        source: Source,
        schemas: Schemas | None = None,
    ) -> None:
        self._state = state
        self._committer = committer
        self._sender = sender
        self._dead_letters = dead_letters
        self.by_topic: dict[str, dict[int, OffsetTracker]] = {}
        """The state's partitions that are not held, as the intake looks them up."""
        self.holds = SchemaHolds(state, self.by_topic, source, schemas)
        self.hold_ends = -math.inf
        """Until then requests of an earlier process of this name may still land."""
        self._retired: list[OffsetTracker] = []
        """Trackers of logs that are others now, while updates of theirs may still wait."""

    def begin(self) -> None:
        """The process starts."""
        if self._state.config.static_member:
            # The process that had this name before may have been killed a moment ago.
            self.hold_ends = self._state.now() + self._state.request_timeout

    def assigned(self, partitions: Mapping[TopicPartition, Start]) -> None:
        """Start fresh trackers, and ask the group at once whether it knows us: there may be no lease to send by yet."""
        state = self._state
        self.holds.forget(partitions)
        for name, start in partitions.items():
            if (before := state.partitions.get(name)) is not None:
                # Its log is another one. What was read of the old one is still sent: it cannot be read again.
                self._retired = [*(tracker for tracker in self._retired if tracker.is_open), before]
            tracker = state.partitions[name] = OffsetTracker(name, start, state.config.rules)
            self.by_topic.setdefault(name.topic, {})[name.partition] = tracker
            if state.now() < self.hold_ends and not (start.is_first or start.mark.is_clean):
                tracker.hold(start.log.high)
            if start.mark.is_clean:
                # Before anything is on the wire, the group must no longer hold that nothing is.
                state.gate.lease.expire(state.boottime())
            if (earlier := tracker.recovering) is not None:
                log.info(
                    "recovery_started",
                    topic=name.topic,
                    partition=name.partition,
                    offset=earlier.offset,
                    until=earlier.until,
                    owed=len(earlier.firsts),
                )
        state.ownership_changed()
        state.want_commit()
        log.info("partitions_assigned", partitions=_names(partitions), owned=len(state.partitions))

    def session(self, seconds: float) -> None:
        """Bound the lease on the partitions, and each request, by how long the group waits for a silent member."""
        longest, timeout = longest_request(seconds), self._state.request_timeout
        if longest < timeout:
            remedy = "make the group's session at least 1.7 times TARGET_TIMEOUT_SECONDS, or lower that"
            log.warning("request_timeout_reduced", seconds=longest, remedy=remedy)
            self._sender.bound(longest)
        self._state.bound_session(seconds, min(longest, timeout))

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Finish what is on the wire, hand over the rest, and say what to commit."""
        state = self._state
        current = [state.partitions[name] for name in partitions if name in state.partitions]
        going = [*current, *self._retired_of(partitions)]
        for tracker in going:
            tracker.revoke()
        state.hand_over(state.coalescer.drop_waiting(going))
        state.may_send()  # What waits between two requests of one update need not wait for its turn.
        deadline = state.now() + state.request_timeout
        while (left := deadline - state.now()) > 0 and not self._tasks_are_over():
            if not state.coalescer.is_flying(going) and not any(tracker.letters for tracker in going):
                break
            await state.ending.wait(left)
        standing = {tracker.name: self._committer.place(tracker) for tracker in current if tracker.watermark >= 0}
        self._detach(going)
        log.info("partitions_revoked", partitions=_names(partitions), owned=len(state.partitions))
        return standing

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Another member may own these already: let go at once, settle nothing."""
        state = self._state
        gone = [state.partitions[name] for name in partitions if name in state.partitions]
        gone += self._retired_of(partitions)
        if not gone:
            return
        state.hand_over(state.coalescer.drop_waiting(gone))
        self._detach(gone)
        log.warning("partitions_lost", partitions=_names(partitions), owned=len(state.partitions))

    def log_changed(self, name: TopicPartition, beginning: Beginning) -> None:
        """Tell what is gone from the log, and count it."""
        log_changes.tell(name, beginning, self._state.counters)

    def advanced(self, positions: Mapping[TopicPartition, int]) -> None:
        """The client has read on over what no batch shows."""
        if self._state.draining:
            return  # The batches before it were not taken.
        for name, position in positions.items():
            tracker = self._state.partitions.get(name)
            if tracker is not None and name not in self.holds.held:  # Of one that is held, not all was taken.
                tracker.advanced(position)

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Remember how long the logs are, for the lag."""
        state = self._state
        state.log_ends.update({name: end for name, end in ends.items() if name in state.partitions})

    def is_settled(self, partition: OffsetTracker, record: Record, visitor: Visitor, now: float) -> bool:
        """Whether an earlier owner settled this; a visitor that it may have on the wire is held for a while."""
        if partition.is_done(record.offset(), visitor, record.leader_epoch()):
            return True
        if now < self.hold_ends and record.offset() < partition.hold_below:
            self._state.coalescer.hold(visitor, self.hold_ends)
        return False

    def _detach(self, trackers: Sequence[OffsetTracker]) -> None:
        """The assignment is over: what still refers to it settles nothing."""
        state = self._state
        state.hand_over(state.coalescer.drop_flying(trackers))
        for tracker in trackers:
            if tracker.detached:
                continue  # Lost while its revoke was waiting.
            state.detach(tracker)
            if tracker in self._retired:
                self._retired.remove(tracker)
                continue
            del state.partitions[tracker.name]
            self.by_topic[tracker.name.topic].pop(tracker.name.partition, None)
            self.holds.forget([tracker.name])
            state.log_ends.pop(tracker.name, None)
        state.gave_up([tracker.name for tracker in trackers])
        state.settled()

    def _retired_of(self, partitions: Sequence[TopicPartition]) -> list[OffsetTracker]:
        return [tracker for tracker in self._retired if tracker.name in partitions]

    def _tasks_are_over(self) -> bool:
        state = self._state
        return state.draining and state.gate.in_flight == 0 and not self._dead_letters.tasks


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{topic}/{partition}" for topic, partition in partitions]
