"""All that one replica knows and decides by. Each part of the pipeline is handed this, and its own edge.

A part changes the state by a verb, and the verb wakes the tasks that wait for that change. All of it runs on one event
loop, so a verb is atomic.
"""

import asyncio
import math
import random
from collections.abc import Collection, Mapping, Sequence

import structlog

from connector.admission.gate import Gate
from connector.admission.membership_lease import lease_seconds
from connector.admission.quota_budget import QuotaBudget
from connector.delivery.accepted_values import AcceptedValues
from connector.delivery.coalescer import Coalescer
from connector.delivery.counters import Counters, Done
from connector.delivery.dead_letter_limit import DeadLetterLimit
from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.delivery.update import Update
from connector.kafka.causes import Causes
from connector.ops.throttled_log import ThrottledLogger
from connector.pipeline.config import PipelineConfig
from connector.pipeline.pacing import Pacing
from connector.pipeline.ports import Clocks, Observer
from connector.pipeline.wakeup import WakeUp

log: structlog.stdlib.BoundLogger = structlog.get_logger()

COMMIT_UPDATES = 1_000
"""After this number of settled updates a commit is due, so that a crash at full speed repeats no whole interval."""


_HELD = frozenset({Done.ACCEPTED, Done.UNCHANGED, Done.EXPIRED})
"""Ends of an update after which nothing older is to be sent: Target has its values, or they were too old for it."""


class ReplicaState:
    """What is owned, pending, counted and allowed now."""

    def __init__(
        self,
        config: PipelineConfig,
        rng: random.Random,
        clocks: Clocks,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Make it on the loop that runs it."""
        self.config = config
        self.rng = rng
        self.boottime, self.wall = clocks
        # One clock for timers and decisions, so that a test's virtual one drives both.
        self.now = asyncio.get_running_loop().time
        self.observers = observers
        self.say = ThrottledLogger(self.now)
        self.causes = Causes()
        self.counters = Counters()
        aging, keeps_times = config.priority_aging, config.max_event_age > 0
        self.coalescer = Coalescer(
            config.linger, config.order, config.max_in_flight, aging=aging, keeps_times=keeps_times
        )
        self.accepted: AcceptedValues | None = None
        """What Target has; None: values that it has are sent again."""
        if config.unchanged_seconds:
            self.accepted = AcceptedValues(config.unchanged_seconds, config.unchanged_max_visitors)
            if not config.has_many_writers:
                # All events of a visitor come over one partition, so its owner is the only one that writes them.
                self.accepted.open(-math.inf)
        self.gate = Gate(config.max_in_flight, QuotaBudget(unlimited=config.quota is None), config.quota_shares)
        self.partitions: dict[TopicPartition, OffsetTracker] = {}
        """What is assigned."""
        self.log_ends: dict[TopicPartition, int] = {}
        self.letters = 0
        """Records that wait for the acknowledgement of their own dead letter."""
        self.letter_bytes = 0
        self.refused_limit = DeadLetterLimit(*config.dead_letter_limits)
        """Of records that cannot be decoded."""
        self.rejected_limit = DeadLetterLimit(*config.dead_letter_limits)
        """Of updates that Target never takes."""
        self.request_timeout = config.request_timeout
        self.is_starved = False
        """No batch is let in because too much is pending."""
        self.draining = False
        """Nothing new is taken."""
        self.failure: BaseException | None = None
        """What ends the process."""
        self.pacing = Pacing(self.gate.rate, config.updates_per_second)
        self._uncommitted = 0
        self.wants_commit = False
        """A commit is due now, also if one is on its way."""
        self.sending = WakeUp()
        """Waited for by the worker whose turn it is."""
        self.committing = WakeUp()
        self.leasing = WakeUp()
        """Waited for by the manager of the quota."""
        self.reading = WakeUp()
        """Waited for by the back-pressure."""
        self.ending = WakeUp()
        """Waited for by what ends a drain, a revoke or the process."""

    @property
    def events_pending(self) -> int:
        """Records taken and not done."""
        return self.coalescer.records + self.letters

    @property
    def overdue(self) -> float:
        """Seconds for which the update that is due longest waits, of those that the quota's shares let go."""
        return max(0.0, -self.coalescer.due_in(self.now(), self.gate.lowest))

    def oldest_wanted(self) -> float | None:
        """What was true before is too old to be sent, in seconds since the epoch; None: nothing is."""
        return self.wall() - self.config.max_event_age if self.config.max_event_age else None

    # What happened.

    def fail(self, error: BaseException) -> None:
        """The process must end; the first reason counts."""
        self.failure = self.failure or error
        self.draining = True
        self.ending.wake()

    def drain(self) -> None:
        """Take nothing new."""
        self.draining = True

    def may_send(self) -> None:
        """Something changed that decides whether an update may go."""
        self.sending.wake()

    def counted(self, totals: Mapping[str, int]) -> None:
        """The subscribed topics have these numbers of partitions."""
        self.kafka_answered()
        if self.pacing.counted(totals):
            self.ownership_changed()

    def paced(self, per_second: float) -> None:
        """The quota allows this replica another pace."""
        self.pacing.paced(per_second)
        self.may_send()
        self.quota_changed()

    def window_filled(self, spent: int) -> None:
        """The quota's window holds `spent` requests, without those that this replica may still send."""
        before = self.gate.lowest
        self.gate.window_filled(spent)
        if self.gate.lowest > before:
            self.may_send()

    def ownership_changed(self) -> None:
        """Another part of the partitions is ours, or there are more of them."""
        self.pacing.owns(len(self.partitions))
        if self.accepted is not None and self.config.has_many_writers:
            if len(self.pacing.totals) == self.config.topics and self.pacing.owns_all:
                self.accepted.open(self.boottime())
            else:
                self.accepted.close()
        self.may_send()
        self.quota_changed()

    def gave_up(self, partitions: Collection[TopicPartition]) -> None:
        """These are not ours any more."""
        if self.accepted is not None:
            self.accepted.release(partitions)
        self.ownership_changed()

    def quota_changed(self) -> None:
        """What is needed of the quota, or what is free of it, is another now."""
        self.leasing.wake()

    def bound_session(self, session: float, request_timeout: float) -> None:
        """The group keeps a silent member for `session` seconds; a request lasts at most `request_timeout`."""
        self.request_timeout = request_timeout
        self.gate.lease.bound(lease_seconds(session, request_timeout))
        self.may_send()
        self.want_commit()

    def committed(self, asked: float) -> None:
        """The group acknowledged a commit that was asked for at this moment, by `boottime`."""
        self.gate.lease.renew(asked)
        self.kafka_answered()
        self.may_send()

    def want_commit(self) -> None:
        """A commit is due: of what was settled, or to learn whether the group knows this replica."""
        self.wants_commit = True
        self.committing.wake()

    def commit_begins(self) -> None:
        """What was settled up to now is in the commit."""
        self.wants_commit = False
        self._uncommitted = self.counters.updates_settled

    def kafka_answered(self) -> None:
        """A broker answered; tell it once when none did before."""
        seconds = self.causes.answered(self.now())
        if seconds is not None:
            log.info("kafka_reached", seconds=round(seconds, 1))

    def starve(self, *, is_starved: bool) -> None:
        """No batch may be let in, or one may again."""
        self.is_starved = is_starved

    # The ends of records and updates.

    def hand_over(self, records: int) -> None:
        """These records are given up: the next owner of their partitions reads them again."""
        self.counters.events_done[Done.HANDED_OVER] += records

    def accept(self, update: Update) -> None:
        """Target has the update."""
        counters = self.counters
        records, oldest_ms = 0, math.inf
        for part in update.parts.values():
            records += part.records
            oldest_ms = min(oldest_ms, part.oldest_ms)
        if records:
            counters.events_done[Done.ACCEPTED] += records
            counters.updates_accepted += 1
            if oldest_ms >= 0:  # A topic of the oldest message format has no timestamps.
                counters.event_age_seconds.observe(max(0.0, self.wall() - oldest_ms / 1000))
            self.rejected_limit.passed(1)
        self._settle(update, Done.ACCEPTED)

    def leave_out(self, update: Update, why: Done) -> None:
        """The update takes no call: Target has all of it already, or what it lacks is too old."""
        self.counters.events_done[why] += update.records
        if why is Done.UNCHANGED:
            self.counters.updates_unchanged += 1
        else:
            self._tell_expired()
        self._settle(update, why)

    def expire(self, records: int) -> None:
        """These records were too old when they were read."""
        self.counters.events_done[Done.EXPIRED] += records
        self._tell_expired()

    def _tell_expired(self) -> None:
        self.say("events_expired", max_age_seconds=self.config.max_event_age)

    def dead_letter(self, update: Update) -> None:
        """The dead letter of the update is acknowledged."""
        records = update.records
        self.counters.events_done[Done.DEAD_LETTERED] += records
        self.counters.updates_dead_lettered += bool(records)
        self._settle(update, Done.DEAD_LETTERED)
        self.may_send()  # No worker ends with this, and what gathered behind it may be due.

    def skip(self, update: Update) -> None:
        """The update is not sent, by a rule."""
        self.counters.events_done[Done.SKIPPED] += update.records
        self._settle(update, Done.SKIPPED)
        self.may_send()

    def refuse(self, tracker: OffsetTracker, offset: int, size: int) -> None:
        """A record waits for its own dead letter."""
        tracker.open_letter(offset)
        self.letters += 1
        self.letter_bytes += size

    def letter_ended(self, size: int) -> None:
        """The dead letter of a record is not on its way any more."""
        self.letter_bytes -= size

    def dead_letter_record(self, tracker: OffsetTracker, offset: int) -> None:
        """The dead letter of one record is acknowledged; of an assignment that is over it settles nothing."""
        if not tracker.detached:
            tracker.close_letter(offset)
            self.letters -= 1
            self.counters.events_done[Done.DEAD_LETTERED] += 1
        self.settled()

    def detach(self, tracker: OffsetTracker) -> None:
        """The assignment is over: what still refers to it settles nothing."""
        self.letters -= tracker.letters
        self.hand_over(tracker.letters)
        tracker.detach()

    def settled(self) -> None:
        """There may be room for more records, a commit may be due, and a drain or a revoke may be over."""
        if self.is_starved:
            self.reading.wake()
        if self.counters.updates_settled - self._uncommitted >= COMMIT_UPDATES:
            self.want_commit()
        self.ending.wake()

    def _settle(self, update: Update, how: Done) -> None:
        for observer in self.observers:
            observer.settled(update, how)
        self.coalescer.settle(update, is_accepted=how in _HELD)
        self.settled()
