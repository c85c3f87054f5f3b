"""The group's side: records in, offsets out, and the life of the process between its first and its last commit."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import structlog

from connector.bell import Bell
from connector.delivery.allowance import Allowance
from connector.delivery.circuit import Circuit
from connector.delivery.coalescer import GATHER_SECONDS, Coalescer, linger_left
from connector.delivery.gate import Gate
from connector.delivery.lease import lease_seconds, longest_request
from connector.delivery.offsets import OffsetAndMetadata, PartitionOffsets, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.start_position import Beginning
from connector.delivery.tally import Done, Tally
from connector.events.change import Change, Refused, Visitor
from connector.kafka.causes import CONNECTION, Causes
from connector.kafka.errors import Trouble
from connector.pipeline import log_changes
from connector.pipeline.burial import Burial
from connector.pipeline.committer import COMMIT_AGAIN_SECONDS, Committer
from connector.pipeline.config import PipelineConfig
from connector.pipeline.credit import Credit
from connector.pipeline.dispatch import Dispatch
from connector.pipeline.edges import DeadLetters, Observer, Sender, Source
from connector.pipeline.quota import QuotaKeeper
from connector.pipeline.say import Say
from connector.quota.holder import Holder, Need
from connector.quota.ports import LedgerLog
from connector.target.render import Rendered

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CLOSING_SHARE = 0.2
"""Of the grace time, what is kept for the last commit and for leaving the group, held to 1-5 s."""
LEAST_CLOSING_SECONDS, MOST_CLOSING_SECONDS = 1.0, 5.0


class Pipeline:
    """Joins the rooms; owns every decision's state and nothing of the outside."""

    def __init__(  # noqa: PLR0913 - every edge, and the two clocks
        self,
        config: PipelineConfig,
        *,
        decode: Callable[[bytes], Change],
        render: Callable[[Visitor, Mapping[str, str]], Rendered],
        source: Source,
        sender: Sender,
        dead_letters: DeadLetters,
        rng: random.Random,
        awake: Callable[[], float],
        ledger: LedgerLog | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Make it on the loop that runs it. `awake` is the lease's clock: it runs on while the machine sleeps.

        The `ledger` is there when the configuration has a quota. Without `observers` nothing asks for any.
        """
        self._config = config
        self._decode = decode
        self._source = source
        self._sender = sender
        self._request_timeout = config.request_timeout
        self._awake = awake
        # One clock for timers and decisions, so that a test's virtual one drives both.
        self._now = asyncio.get_running_loop().time
        self._bell = Bell()
        say = self._say = Say(self._now)
        self._causes = Causes()
        self.tally = Tally()
        self.coalescer = Coalescer(config.linger, config.order, config.max_in_flight)
        self.gate = Gate(config.max_in_flight, Allowance(unlimited=config.quota is None))
        self.burial = Burial(config, dead_letters, self.tally, say, moved=self._moved, fail=self._fail)
        self._credit = Credit(config, self.coalescer, self.burial, self.gate.circuit, now=self._now, more=source.more)
        self._dispatch = Dispatch(
            config,
            self.coalescer,
            self.gate,
            self.burial,
            self.tally,
            say,
            render=render,
            sender=sender,
            rng=rng,
            now=self._now,
            awake=awake,
            moved=self._moved,
            observers=observers,
        )
        self._observers = observers
        self._add = self._add_and_tell if observers else self.coalescer.add
        self.quota: QuotaKeeper | None = None
        if config.quota is not None and ledger is not None:
            holder = Holder(
                config.quota,
                self.gate.allowance,
                rng,
                who=f"{rng.getrandbits(64):016x}",
                name=config.name,
                offset=time.time() - awake(),
            )
            self.quota = QuotaKeeper(
                holder, ledger, say, need=self._need, awake=awake, changed=self._share_rate, fail=self._fail
            )
        self.assigned_partitions: dict[TopicPartition, PartitionOffsets] = {}
        self.log_ends: dict[TopicPartition, int] = {}
        self.draining = False
        self._by_topic: dict[str, dict[int, PartitionOffsets]] = {}
        self._retired: list[PartitionOffsets] = []
        """Trackers of logs that are others now, while updates of theirs may still wait."""
        self._hold_ends = -math.inf
        self._totals: Mapping[str, int] = {}
        self._failure: BaseException | None = None
        self._committer = Committer(
            config,
            source,
            self.assigned_partitions,
            self.gate,
            self.tally,
            say,
            now=self._now,
            awake=awake,
            look=self._credit.look,
            renewed=self._renewed,
        )

    @property
    def circuit(self) -> Circuit:
        """Whether the endpoint is held to be down."""
        return self.gate.circuit

    @property
    def starved(self) -> bool:
        """Whether no batch is let in because too much is pending."""
        return self._credit.starved

    @property
    def events_pending(self) -> int:
        """Records taken and not done."""
        return self.coalescer.records + self.burial.letters

    # The life of the process.

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain; raises Fatal when going on would lose something."""
        loop = asyncio.get_running_loop()
        stopped = loop.create_task(self._ring_when(stop))
        workers = [loop.create_task(self._dispatch.work()) for _ in range(self._config.max_in_flight)]
        keepers = [loop.create_task(keeper.keep()) for keeper in (self._committer, self.quota) if keeper is not None]
        for task in (*workers, *keepers):
            task.add_done_callback(self._crashed)
        closing = min(MOST_CLOSING_SECONDS, max(CLOSING_SHARE * self._config.shutdown_grace, LEAST_CLOSING_SECONDS))
        deadline = loop.time() + self._config.shutdown_grace
        if self._config.static_member:
            # The process that had this name before may have been killed a moment ago, with requests that still land.
            self._hold_ends = loop.time() + self._request_timeout
        self._source.start(self)
        try:
            while not stop.is_set() and self._failure is None:
                await self._bell.wait()
            self.draining = True
            deadline = loop.time() + max(self._config.shutdown_grace, closing)
            if self._failure is None:
                await self._drain(deadline - closing)
                await self._commit_at_last(deadline - closing)
        finally:
            self.draining = True
            deadline = min(deadline, loop.time() + closing)
            # What is cut may still land at the endpoint: then the session's end must keep a successor waiting.
            landed = self.gate.in_flight == 0
            ending = (stopped, *keepers, *workers, *self.burial.tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            if self._config.static_member and landed and loop.time() >= self._hold_ends:
                self._committer.end_cleanly()
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline - closing / 2):
                        await self._committer.commit()
                        if self.quota is not None:
                            await self.quota.close(deadline - closing / 2 - loop.time())
            finally:
                await self._source.close(max(0.0, deadline - loop.time()), leave=landed)
        if self._failure is not None:
            raise self._failure

    async def _drain(self, deadline: float) -> None:
        """Send what can be answered before the deadline; the rest is handed over, which costs no call."""
        began = self._now()
        last = self.gate.closes_at = max(began, deadline - self._request_timeout)
        log.info("drain_started", updates_pending=len(self.coalescer), seconds=round(deadline - began, 1))
        while (now := self._now()) < deadline and self._failure is None:
            to_send = self.coalescer.due_in(last) <= 0 and self._can_send(last - now)
            if not (to_send or self.coalescer.in_flight or self.burial.letters):
                break
            await self._bell.wait((last if to_send else deadline) - now)
        log.info("drain_finished", updates_left=len(self.coalescer), seconds=round(self._now() - began, 1))

    async def _commit_at_last(self, deadline: float) -> None:
        """Commit until it is acknowledged: in a rebalance that takes until all members have heard of it.

        Else the next owner would send again what was just sent. What fails is said by each try.
        """
        self.gate.closes_at = self._now()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._failure is None and self._committer.behind:
                    if not await self._committer.commit():
                        await asyncio.sleep(COMMIT_AGAIN_SECONDS)

    def _can_send(self, seconds: float) -> bool:
        """Whether it is worth waiting so long for what is due."""
        hope = self.quota is None or self.quota.holder.has_hope(self._awake(), seconds)
        return seconds > 0 and hope and not self.circuit.is_open

    async def _ring_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._bell.ring()

    def _crashed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.draining = True
        self._bell.ring()

    # What the group does: the Listener of the source.

    def assigned(self, partitions: Mapping[TopicPartition, Start]) -> None:
        """Start fresh trackers, and ask the group at once whether it knows us: there may be no lease to send by yet."""
        now = self._now()
        for name, start in partitions.items():
            if (before := self.assigned_partitions.get(name)) is not None:
                # Its log is another one. What was read of the old one is still sent: it cannot be read again.
                self._retired = [*(tracker for tracker in self._retired if tracker.is_open), before]
            tracker = self.assigned_partitions[name] = PartitionOffsets(name, start, self._config.rules)
            self._by_topic.setdefault(name.topic, {})[name.partition] = tracker
            if now < self._hold_ends and not (start.is_first or start.mark.is_clean):
                tracker.hold_below = start.log.high
            if start.mark.is_clean:
                # Before anything is on the wire, the group must no longer hold that nothing is.
                self.gate.lease.expire(self._awake())
            if (earlier := tracker.recovering) is not None:
                log.info(
                    "recovery_started",
                    topic=name.topic,
                    partition=name.partition,
                    offset=earlier.offset,
                    until=earlier.until,
                    owed=len(earlier.firsts),
                )
        self._share_rate()
        if self.quota is not None:
            self.quota.wake()
        self._committer.wake()
        log.info("partitions_assigned", partitions=_names(partitions), owned=len(self.assigned_partitions))

    def session(self, seconds: float) -> None:
        """Bound the lease on the partitions, and each request, by how long the group waits for a silent member."""
        longest = longest_request(seconds)
        if longest < self._request_timeout:
            remedy = "make the group's session at least 1.7 times TARGET_TIMEOUT_SECONDS, or lower that"
            log.warning("request_timeout_reduced", seconds=longest, remedy=remedy)
            self._request_timeout = longest
            self._sender.bound(longest)
        self.gate.lease.seconds = lease_seconds(seconds, self._request_timeout)
        self._dispatch.wake()
        self._committer.wake()

    def counted(self, totals: Mapping[str, int]) -> None:
        """Take the share of the rate that follows from the number of partitions."""
        self._totals = totals
        self._share_rate()
        if self.quota is not None:
            self.quota.wake()

    def records(self, batch: Sequence[Record]) -> None:  # noqa: C901 - the hot loop, in one place
        """Take a batch in: decode, coalesce, and move each partition's position."""
        if self.draining:
            return
        now = self._now()
        decode, add, by_topic = self._decode, self._add, self._by_topic
        only = next(iter(by_topic.values())) if len(by_topic) == 1 else None
        recovering = any(tracker.is_recovering for tracker in self.assigned_partitions.values())
        good = decoded = size = strange = skipped = empty = done_before = refused_before = 0
        # The log's clock is the wall's, the loop's is not.
        age_of = time.time() if self._config.linger > GATHER_SECONDS else None
        current = last = None
        for record in batch:
            partition = (only or by_topic.get(record.topic(), _NONE)).get(record.partition())
            if partition is None:
                strange += 1  # Taken from us while it was on its way here: its next owner reads it.
                continue
            if partition is not current:  # A batch is a few runs, each of one partition.
                _move(current, last)
                current = partition
            last = record
            value = record.value()
            if value is None:
                skipped += 1
                continue
            try:
                change = decode(value)
            except Refused as refused:
                self.burial.decoded(good)
                decoded, good = decoded + good, 0
                if recovering and _is_done(partition, record, None):
                    refused_before += 1
                elif not self.burial.refuse(record, partition, refused):
                    strange += len(batch) - batch.index(record) - 1
                    break
                continue
            good += 1
            if not change.attributes:
                empty += 1
                continue
            if recovering and self._is_settled(partition, record, change.visitor, now):
                done_before += 1
                continue
            length = len(value)
            size += length
            add(change, partition, record, now if age_of is None else self._since(record, now, age_of), length)
        _move(current, last)
        self.burial.decoded(good)
        self.coalescer.added(decoded + good - empty - done_before, size)
        self.tally.events_consumed += len(batch) - strange
        self.tally.events_done[Done.SKIPPED] += skipped + empty
        self.tally.events_done[Done.ALREADY_DONE] += done_before + refused_before
        self._taken()

    def _taken(self) -> None:
        """A batch is in: the next may come, updates may be due, and Kafka can be reached."""
        self._answered()
        self._credit.taken()
        self._dispatch.wake()

    def _is_settled(self, partition: PartitionOffsets, record: Record, visitor: Visitor, now: float) -> bool:
        """Whether an earlier owner settled this record; one that it may have had on the wire is held for a while."""
        if _is_done(partition, record, visitor):
            return True
        if now < self._hold_ends and record.offset() < partition.hold_below:
            self.coalescer.hold(visitor, self._hold_ends)
        return False

    def _since(self, record: Record, now: float, wall: float) -> float:
        """From when a record's linger counts."""
        linger = self._config.linger
        written = record.timestamp()[1]
        return now if written < 0 else now + linger_left(linger, wall - written / 1_000) - linger

    def _add_and_tell(self, change: Change, partition: PartitionOffsets, record: Record, now: float, size: int) -> None:
        """Stands for the coalescer's `add` where someone observes."""
        waiting = self.coalescer.waiting
        self.coalescer.add(change, partition, record, now, size)
        for observer in self._observers:
            observer.taken(record, change.visitor, merged=self.coalescer.waiting == waiting)

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """Finish what is on the wire, hand over the rest, and say what to commit."""
        current = [self.assigned_partitions[name] for name in partitions if name in self.assigned_partitions]
        going = [*current, *self._retired_of(partitions)]
        for tracker in going:
            tracker.revoking = True
        self._hand_over(self.coalescer.drop_waiting(going))
        self._dispatch.wake()  # What waits between two requests of one update need not wait for its turn.
        deadline = self._now() + self._request_timeout
        while (left := deadline - self._now()) > 0 and not self._tasks_are_over():
            if not self.coalescer.is_flying(going) and not any(tracker.letters for tracker in going):
                break
            await self._bell.wait(left)
        standing = {tracker.name: self._committer.place(tracker) for tracker in current if tracker.committable >= 0}
        self._detach(going)
        log.info("partitions_revoked", partitions=_names(partitions), owned=len(self.assigned_partitions))
        return standing

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Someone else may own these already: let go at once, settle nothing."""
        gone = [self.assigned_partitions[name] for name in partitions if name in self.assigned_partitions]
        gone += self._retired_of(partitions)
        if not gone:
            return
        self._hand_over(self.coalescer.drop_waiting(gone))
        self._detach(gone)
        log.warning("partitions_lost", partitions=_names(partitions), owned=len(self.assigned_partitions))

    def log_changed(self, name: TopicPartition, beginning: Beginning) -> None:
        """Tell what is gone from the log, and count it."""
        log_changes.tell(name, beginning, self.tally)

    def advanced(self, positions: Mapping[TopicPartition, int]) -> None:
        """The client has read on over what no batch shows."""
        if self.draining:
            return  # The batches before it were not taken.
        for name, position in positions.items():
            if (tracker := self.assigned_partitions.get(name)) is not None:
                tracker.advanced(position)

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Remember how long the logs are, for the lag."""
        self.log_ends.update({name: end for name, end in ends.items() if name in self.assigned_partitions})

    def trouble(self, trouble: Trouble) -> None:
        """Say what Kafka says, one line a cause, once and then with backoff."""
        if self._causes.admit(trouble, self._now()):
            about = "" if trouble.event in CONNECTION else trouble.code + trouble.detail
            self._say(trouble.event, about=about, code=trouble.code, detail=trouble.detail, remedy=trouble.remedy)

    def _answered(self) -> None:
        """A broker answered: say it, if it was said that none does."""
        if (seconds := self._causes.answered(self._now())) is not None:
            log.info("kafka_reached", seconds=round(seconds, 1))

    def _renewed(self) -> None:
        """The group answered a commit, and knows us as a member."""
        self._answered()
        self._dispatch.wake()

    def failed(self, error: Exception) -> None:
        """The consumer cannot go on, so neither can we."""
        self._fail(error)

    def _detach(self, trackers: Sequence[PartitionOffsets]) -> None:
        """The assignment is over: whatever still refers to it settles nothing."""
        self._hand_over(self.coalescer.drop_flying(trackers))
        for tracker in trackers:
            if tracker.detached:
                continue  # Lost while its revoke was waiting.
            self._hand_over(self.burial.give_up(tracker))
            tracker.detached = True
            if tracker in self._retired:
                self._retired.remove(tracker)
                continue
            del self.assigned_partitions[tracker.name]
            del self._by_topic[tracker.name.topic][tracker.name.partition]
            self.log_ends.pop(tracker.name, None)
        self._share_rate()
        self._moved()

    def _retired_of(self, partitions: Sequence[TopicPartition]) -> list[PartitionOffsets]:
        return [tracker for tracker in self._retired if tracker.name in partitions]

    def _hand_over(self, records: int) -> None:
        self.tally.events_done[Done.HANDED_OVER] += records

    def _tasks_are_over(self) -> bool:
        return self.draining and self.gate.in_flight == 0 and not self.burial.tasks

    # Shares and bounds.

    def _moved(self) -> None:
        """Something was settled: there may be room for more records, a commit may be due, and someone may wait."""
        self._credit.look()
        self._committer.moved()
        self._bell.ring()

    @property
    def _rate(self) -> float:
        """Updates a second: the part of the group's rate that is the part of the partitions."""
        total = sum(self._totals.values())
        share = min(1.0, len(self.assigned_partitions) / total) if total else 0.0
        return share * (self._config.updates_per_second or math.inf) if share else 0.0

    def _share_rate(self) -> None:
        """Go as fast as the rate, and the pace of the quota, let this replica."""
        self.gate.rate.limit(self._rate if self.quota is None else min(self._rate, self.quota.holder.per_second))
        self._dispatch.wake()

    def _need(self) -> Need:
        """What the quota is asked for."""
        return Need(
            waiting=self.coalescer.waiting,
            in_flight=self.gate.in_flight,
            partitions=len(self.assigned_partitions),
            per_second=self._rate,
            circuit_open=self.circuit.is_open,
        )


_NONE: dict[int, PartitionOffsets] = {}


def _move(partition: PartitionOffsets | None, last: Record | None) -> None:
    """All of the partition's records up to this one were taken."""
    if partition is not None and last is not None:
        partition.taken(last.offset(), last.leader_epoch())


def _is_done(partition: PartitionOffsets, record: Record, visitor: Visitor | None) -> bool:
    """Whether an earlier owner settled this record, by what the group's commit says."""
    earlier = partition.recovering
    return earlier is not None and earlier.is_done(record.offset(), visitor, record.leader_epoch())


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{topic}/{partition}" for topic, partition in partitions]
