"""The main path: a batch of records in, one update a visitor out, and the offset committed when all behind it is done.

    records ─▶ decode ─▶ coalesce ─▶ turn (due, circuit, rate) ─▶ render ─▶ send ─▶ settle ─▶ commit
                  └────────────────── dead letter ◀────────────────────────┘

Everything here runs on one event loop, so a method without an `await` in it is atomic.
"""

import asyncio
import math
import random
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from connector.bell import Bell
from connector.delivery.answer import Answer, Verdict
from connector.delivery.circuit import Circuit, Shift
from connector.delivery.coalescer import Coalescer, Order
from connector.delivery.guard import DeadLetterGuard
from connector.delivery.letter import DeadLetter, Stage
from connector.delivery.offsets import PartitionOffsets, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.rate import Rate
from connector.delivery.retry import RetryPolicy
from connector.delivery.tally import Done, Tally
from connector.delivery.update import Update
from connector.errors import CommitFailed, Fatal
from connector.events import encode_event
from connector.events.change import Change, Refused, Visitor
from connector.kafka.errors import Kind, Trouble
from connector.kafka.ports import Listener
from connector.ops.repeats import Repeats
from connector.target.render import Rendered, Request

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_LETTERS = 1_000
"""Dead letters that may wait for their acknowledgement; past it, consumption pauses."""
LOW_WATER = 0.9
"""Consumption goes on when this share of the bound is pending: hysteresis, so that it does not flutter."""
CLOSING_SECONDS = 5.0
"""Of the grace time, what is kept for the last commit and for leaving the group."""
LEAST_CLOSING_SECONDS = 1.0


class Source(Protocol):
    """Where records come from: the consumer thread, or a fake of it."""

    def start(self, listener: Listener) -> None:
        """Begin; from now on the listener is called on this event loop."""
        ...

    def more(self) -> None:
        """Grant one more batch. Without credit nothing is handed on, and soon consumption is paused."""
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit; raises CommitFailed when it is not known to have taken effect."""
        ...

    async def close(self, seconds: float) -> None:
        """Leave the group, within so many seconds; what is still owned is revoked and committed first."""
        ...


class Sender(Protocol):
    """The endpoint: one request, one answer, never an exception."""

    async def send(self, request: Request) -> Answer:
        """Send once."""
        ...


class DeadLetters(Protocol):
    """Where dead letters go."""

    async def send(self, letter: DeadLetter) -> None:
        """Return when all in-sync replicas have it; raises Fatal when it can never be written."""
        ...


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """What the pipeline has to know of the settings; times in seconds."""

    retry: RetryPolicy
    linger: float = 1.0
    order: Order = Order.OFFSET
    max_visitors: int = 200_000
    max_in_flight: int = 64
    updates_per_second: float = 200.0
    """For the whole group; 0: no limit."""
    accept_unconfirmed: bool = True
    commit_interval: float = 5.0
    shutdown_grace: float = 25.0
    request_timeout: float = 10.0
    max_dead_letters_in_a_row: int = 1_000
    max_dead_letter_ratio: float = 0.5


class Pipeline:
    """Joins the rooms; owns every decision's state and nothing of the outside."""

    def __init__(
        self,
        config: PipelineConfig,
        *,
        decode: Callable[[bytes], Change],
        render: Callable[[Visitor, Mapping[str, str]], Rendered],
        source: Source,
        sender: Sender,
        dead_letters: DeadLetters,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._decode = decode
        self._render = render
        self._source = source
        self._sender = sender
        self._dead_letters = dead_letters
        self._rng = rng
        self.tally = Tally()
        self.circuit = Circuit()
        self.coalescer = Coalescer(config.linger, config.order, config.max_in_flight)
        self.assigned_partitions: dict[TopicPartition, PartitionOffsets] = {}
        self.log_ends: dict[TopicPartition, int] = {}
        self.requests_in_flight = 0
        self.letters_pending = 0
        self.starved = False
        """True while no credit is granted because too much is pending."""
        self.draining = False
        self._by_topic: dict[str, dict[int, PartitionOffsets]] = {}
        self._totals: Mapping[str, int] = {}
        self._rate = Rate(0.0)
        self._decode_guard = DeadLetterGuard(config.max_dead_letters_in_a_row, config.max_dead_letter_ratio)
        self._target_guard = DeadLetterGuard(config.max_dead_letters_in_a_row, config.max_dead_letter_ratio)
        self._repeats = Repeats()
        self._bell = Bell()
        self._gate = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._now: Callable[[], float] = time.monotonic
        self._credits_due = 0

    # The life of the process.

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain; raises Fatal when going on would lose something."""
        loop = asyncio.get_running_loop()
        self._now = loop.time  # One clock for timers and decisions, so that a test's virtual one drives both.
        stopped = loop.create_task(self._ring_when(stop))
        workers = [loop.create_task(self._work()) for _ in range(self._config.max_in_flight)]
        committer = loop.create_task(self._commit_regularly())
        for task in (*workers, committer):
            task.add_done_callback(self._crashed)
        closing = min(CLOSING_SECONDS, max(self._config.shutdown_grace, LEAST_CLOSING_SECONDS))
        deadline = loop.time() + self._config.shutdown_grace
        self._source.start(self)
        try:
            while not stop.is_set() and self._failure is None:
                await self._bell.wait()
            self.draining = True
            deadline = loop.time() + max(self._config.shutdown_grace, closing)
            if self._failure is None:
                await self._drain(deadline - closing)
        finally:
            self.draining = True
            deadline = min(deadline, loop.time() + closing)
            for task in (stopped, committer, *workers, *self._tasks):
                task.cancel()
            await asyncio.gather(stopped, committer, *workers, *self._tasks, return_exceptions=True)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline - closing / 2):
                        await self._commit()
            finally:
                await self._source.close(max(0.0, deadline - loop.time()))
        if self._failure is not None:
            raise self._failure

    async def _drain(self, deadline: float) -> None:
        """Send what comes due before the deadline; the rest is handed over, which costs no call."""
        began = self._now()
        log.info("drain_started", updates_pending=len(self.coalescer), seconds=round(deadline - began, 1))
        while (now := self._now()) < deadline and self._failure is None:
            to_send = self.coalescer.due_in(deadline) <= 0 and not self.circuit.is_open
            if not (to_send or self.coalescer.in_flight or self.letters_pending):
                break
            await self._bell.wait(deadline - now)
        log.info("drain_finished", updates_left=len(self.coalescer), seconds=round(self._now() - began, 1))

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

    def assigned(self, partitions: Mapping[TopicPartition, int]) -> None:
        """Start fresh trackers where the partitions start."""
        for name, start in partitions.items():
            tracker = self.assigned_partitions[name] = PartitionOffsets(name, start)
            self._by_topic.setdefault(name.topic, {})[name.partition] = tracker
        self._share_rate()
        self._bell.ring()
        log.info("partitions_assigned", partitions=_names(partitions), owned=len(self.assigned_partitions))

    def counted(self, totals: Mapping[str, int]) -> None:
        """Take the share of the rate that follows from the number of partitions."""
        self._totals = totals
        self._share_rate()
        self._bell.ring()

    def records(self, batch: Sequence[Record]) -> None:
        """Take a batch in: decode, coalesce, and move each partition's position."""
        if self.draining:
            return
        now = self._now()
        decode, add, by_topic = self._decode, self.coalescer.add, self._by_topic
        taken = skipped = good = 0
        for record in batch:
            partition = by_topic.get(record.topic(), _NONE).get(record.partition())
            if partition is None:
                continue  # Taken from us while it was on its way here: its next owner reads it.
            taken += 1
            value = record.value()
            if value is None:
                skipped += 1
            else:
                try:
                    change = decode(value)
                except Refused as refused:
                    self._decode_guard.passed(good)
                    good = 0
                    if not self._refuse(record, partition, refused):
                        break
                else:
                    good += 1
                    if change.attributes:
                        add(change, partition, record, now)
                    else:
                        skipped += 1
            partition.position = record.offset() + 1
        self._decode_guard.passed(good)
        self.tally.events_consumed += taken
        self.tally.events_done[Done.SKIPPED] += skipped
        self._credits_due += 1
        self._grant()
        self._bell.ring()

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Finish what is on the wire, hand over the rest, and say what to commit."""
        going = [self.assigned_partitions[name] for name in partitions if name in self.assigned_partitions]
        for tracker in going:
            tracker.revoking = True
        self._hand_over(self.coalescer.drop_waiting(going))
        self._bell.ring()  # What waits between two requests of one update need not wait for its turn.
        deadline = self._now() + self._config.request_timeout
        while (left := deadline - self._now()) > 0 and not self._tasks_are_over():
            if not self.coalescer.is_flying(going) and not any(tracker.letters for tracker in going):
                break
            await self._bell.wait(left)
        self._detach(going)
        log.info("partitions_revoked", partitions=_names(partitions), owned=len(self.assigned_partitions))
        return {tracker.name: tracker.committable for tracker in going if tracker.committable >= 0}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Someone else may own these already: let go at once, settle nothing."""
        gone = [self.assigned_partitions[name] for name in partitions if name in self.assigned_partitions]
        if not gone:
            return
        self._hand_over(self.coalescer.drop_waiting(gone))
        self._detach(gone)
        log.warning("partitions_lost", partitions=_names(partitions), owned=len(self.assigned_partitions))

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """Remember how long the logs are, for the lag."""
        self.log_ends.update({name: end for name, end in ends.items() if name in self.assigned_partitions})

    def trouble(self, trouble: Trouble) -> None:
        """Say what Kafka says, once and then with backoff."""
        if trouble.kind is not Kind.IGNORABLE:
            about = trouble.code + _DIGITS.sub("", trouble.detail)
            self._say(trouble.event, about=about, code=trouble.code, detail=trouble.detail, remedy=trouble.remedy)

    def failed(self, error: Exception) -> None:
        """The consumer cannot go on, so neither can we."""
        self._fail(error)

    # The wire: one update at a time a worker, one request at a time a visitor.

    async def _work(self) -> None:
        while True:
            now = self._now()
            if self.coalescer.due_in(now) <= 0 and self._holdback(now) <= 0:
                update, probe = self.coalescer.take(now), self._spend(now)
            else:
                update, probe = await self._next()
            await self._deliver(update, probe=probe)

    async def _next(self) -> tuple[Update, int]:
        """Wait for an update that is due and may go, and take it; until then it is open for newer values.

        One worker waits at the gate, the others queue behind it: no thundering herd at each ring.
        """
        async with self._gate:
            while (wait := max(self.coalescer.due_in(now := self._now()), self._holdback(now))) > 0:
                await self._bell.wait(wait)
            return self.coalescer.take(now), self._spend(now)

    def _holdback(self, now: float) -> float:
        """Seconds for which no request at all may go: the circuit and the group's rate; every attempt passes here."""
        return max(self.circuit.wait(now), self._rate.wait(now))

    def _spend(self, now: float) -> int:
        self._rate.spend(now)
        return self.circuit.started()

    async def _deliver(self, update: Update, *, probe: int) -> None:
        """One update's time in flight: its requests, mostly one, and then its end."""
        rendered = self._render(update.visitor, update.attributes)
        rejected = dict.fromkeys(rendered.unfit, "fits in no request, even alone")
        for index, request in enumerate(rendered.requests):
            if index:
                while (wait := self._holdback(now := self._now())) > 0 and self._may_go_on(update, request):
                    await self._bell.wait(wait)
                if not self._may_go_on(update, request):
                    self._give_back(update, now)
                    return
                probe = self._spend(now)
            answer = await self._attempt(update, request, probe=probe)
            if answer.verdict is Verdict.ACCEPTED:
                if len(rendered.requests) > 1 or rejected:
                    update.forget(request.names)
            elif answer.verdict is Verdict.REJECTED:
                rejected.update(dict.fromkeys(request.names, answer.reason))
            else:
                self._retry(update, answer)
                return
        if not rendered.requests:
            self.circuit.abandoned(probe=probe)
        if rejected:
            self._bury(update, "Rejected", "; ".join(sorted(set(rejected.values()))))
        else:
            self._accepted(update)

    def _may_go_on(self, update: Update, request: Request) -> bool:
        """Between two requests of one update: not while the circuit is open, and not with what was taken from us."""
        ours = not any(partition.revoking for partition in update.parts)
        closed = self.circuit.wait(self._now()) <= 0
        return closed and ours and update.attributes.keys() >= {*request.names}

    async def _attempt(self, update: Update, request: Request, *, probe: int) -> Answer:
        """One request: counted, timed, and told to the circuit."""
        began = self._now()
        self.requests_in_flight += 1
        try:
            answer = await self._sender.send(request)
        except asyncio.CancelledError:
            self.tally.requests[Verdict.TIMEOUT] += 1  # It left the process and may have been applied.
            self.circuit.abandoned(probe=probe)
            raise
        finally:
            self.requests_in_flight -= 1
        now = self._now()
        self.tally.requests[answer.verdict] += 1
        self.tally.request_seconds.observe(now - began)
        if answer.verdict is not Verdict.ACCEPTED:
            answer = self._read(answer)
        shift = self.circuit.settled(update.visitor, answer, now, first=update.attempts == 0, probe=probe)
        if shift is not None:
            self._say_shift(shift, answer)
            self._bell.ring()
        return answer

    def _read(self, answer: Answer) -> Answer:
        """Read an answer as the settings want it read."""
        if answer.verdict is Verdict.UNCONFIRMED:
            self._say("target_unconfirmed", reason=answer.reason, accepted=self._config.accept_unconfirmed)
            if self._config.accept_unconfirmed:
                return Answer(Verdict.ACCEPTED, answer.reason)
        longest = self._config.retry.maximum
        if answer.retry_after is not None and answer.retry_after > longest:
            return replace(answer, retry_after=longest)
        return answer

    def _accepted(self, update: Update) -> None:
        tally = self.tally
        records, oldest_ms = 0, math.inf
        for part in update.parts.values():
            records += part.records
            oldest_ms = min(oldest_ms, part.oldest_ms)
        if records:
            tally.events_done[Done.ACCEPTED] += records
            tally.updates_accepted += 1
            if oldest_ms >= 0:  # A topic of the oldest message format has no timestamps.
                tally.event_age_seconds.observe(max(0.0, time.time() - oldest_ms / 1000))
            self._target_guard.passed(1)
        self._settle(update)

    def _retry(self, update: Update, answer: Answer) -> None:
        """It goes again with the newest values, or is a dead letter when it failed too often by its own fault."""
        now = self._now()
        policy = self._config.retry
        attempts = update.attempts + self.circuit.blames_update(answer)
        if attempts >= policy.max_attempts:
            self._bury(update, "RetriesExhausted", f"failed {attempts} times, at last: {answer.reason}")
            return
        asked = answer.retry_after or 0.0
        delay = asked if self.circuit.is_open else policy.delay(attempts, answer.retry_after, self._rng)
        log.debug("update_retried", visitor=update.visitor, attempts=attempts, seconds=delay, reason=answer.reason)
        self._give_back(update, now + delay, attempts)

    def _give_back(self, update: Update, due: float, attempts: int | None = None) -> None:
        dropped = self.coalescer.give_back(update, due, update.attempts if attempts is None else attempts)
        self._hand_over(dropped)
        self._bell.ring()

    def _settle(self, update: Update) -> None:
        self.coalescer.settle(update)
        if self.starved:
            self._grant()
        self._bell.ring()

    # Dead letters.

    def _refuse(self, record: Record, partition: PartitionOffsets, refused: Refused) -> bool:
        """Hold the record's offset until its dead letter is acknowledged; False when the guard stops us instead."""
        offset = record.offset()
        partition.open(offset)
        partition.letters += 1
        self.letters_pending += 1
        tripped = self._decode_guard.failed()
        if tripped:
            self._trip(tripped, refused.reason)
            return False
        self._say(
            "event_refused",
            about=refused.reason,
            topic=partition.name.topic,
            partition=partition.name.partition,
            offset=offset,
            field=refused.field,
            reason=refused.reason,
        )
        letter = DeadLetter(partition.name, offset, Stage.DECODE, "Refused", str(refused), record.key(), record.value())
        self._spawn(self._bury_record(letter, partition))
        return True

    async def _bury_record(self, letter: DeadLetter, partition: PartitionOffsets) -> None:
        await self._dead_letters.send(letter)
        if not partition.detached:
            partition.close(letter.offset)
            partition.letters -= 1
            self.letters_pending -= 1
            self.tally.events_done[Done.DEAD_LETTERED] += 1
        if self.starved:
            self._grant()
        self._bell.ring()

    def _bury(self, update: Update, error: str, reason: str) -> None:
        """What is left of the update becomes a dead letter; until that is acknowledged it stays in flight."""
        if not update.attributes:
            self._accepted(update)
            return
        tripped = self._target_guard.failed()
        if tripped:
            self._trip(tripped, reason)
            return
        partition, part = next(iter(update.parts.items()))
        self._say(
            "update_rejected",
            about=reason,
            topic=partition.name.topic,
            partition=partition.name.partition,
            offset=part.first,
            visitor=update.visitor,
            reason=reason,
        )
        value = encode_event(update.visitor, update.attributes)
        key = update.visitor.id.encode()
        letter = DeadLetter(partition.name, part.first, Stage.TARGET, error, reason, key, value)
        self._spawn(self._bury_update(letter, update))

    async def _bury_update(self, letter: DeadLetter, update: Update) -> None:
        await self._dead_letters.send(letter)
        records = update.records
        self.tally.events_done[Done.DEAD_LETTERED] += records
        self.tally.updates_dead_lettered += bool(records)
        self._settle(update)

    def _trip(self, tripped: str, reason: str) -> None:
        remedy = f"{tripped}; the last one: {reason}. Mend the cause, or raise the limit (0 turns it off)"
        self._fail(Fatal("dead_letter_guard_tripped", remedy))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._crashed)

    # Offsets.

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._config.commit_interval)
            await self._commit()

    async def _commit(self) -> None:
        """Commit what moved. A failed commit is unknown, not undone: the next one says again what is true then."""
        moved = {
            name: (tracker, tracker.committable)
            for name, tracker in self.assigned_partitions.items()
            if tracker.committable not in (-1, tracker.committed)
        }
        if not moved:
            return
        try:
            await self._source.commit({name: offset for name, (_, offset) in moved.items()})
        except CommitFailed as failed:
            self._say("commit_failed", reason=str(failed))
            return
        for tracker, offset in moved.values():
            tracker.committed = offset

    def _detach(self, trackers: Sequence[PartitionOffsets]) -> None:
        """The assignment is over: whatever still refers to it settles nothing."""
        self._hand_over(self.coalescer.drop_flying(trackers))
        for tracker in trackers:
            if tracker.detached:
                continue  # Lost while its revoke was waiting.
            self._hand_over(tracker.letters)
            self.letters_pending -= tracker.letters
            tracker.detached = True
            del self.assigned_partitions[tracker.name]
            del self._by_topic[tracker.name.topic][tracker.name.partition]
            self.log_ends.pop(tracker.name, None)
        self._share_rate()
        if self.starved:
            self._grant()
        self._bell.ring()

    def _hand_over(self, records: int) -> None:
        self.tally.events_done[Done.HANDED_OVER] += records

    # Shares and bounds.

    def _share_rate(self) -> None:
        """Take the part of the group's rate that is the part of the partitions."""
        total = sum(self._totals.values())
        share = len(self.assigned_partitions) / total if total else 0.0
        whole = self._config.updates_per_second or float("inf")
        self._rate.limit(min(share, 1.0) * whole if share else 0.0)

    def _grant(self) -> None:
        """Let the next batch come, unless too much is pending."""
        bound = self._config.max_visitors * (LOW_WATER if self.starved else 1.0)
        full = len(self.coalescer) >= bound or self.letters_pending >= MAX_LETTERS
        if full and not self.starved:
            log.info("consumption_paused", updates_pending=len(self.coalescer), letters_pending=self.letters_pending)
        elif self.starved and not full:
            log.info("consumption_resumed", updates_pending=len(self.coalescer))
        self.starved = full
        while self._credits_due and not full:
            self._credits_due -= 1
            self._source.more()

    def _tasks_are_over(self) -> bool:
        return self.draining and self.requests_in_flight == 0 and not self._tasks

    def _say_shift(self, shift: Shift, answer: Answer) -> None:
        if shift is Shift.CLOSED:
            self._say("circuit_closed", level="info")
        elif answer.verdict is Verdict.UNAUTHORIZED:
            remedy = "renew TARGET_AUTH_TOKEN or its file; nothing is lost meanwhile"
            self._say("target_unauthorized", level="error", reason=answer.reason, remedy=remedy)
        else:
            self._say("circuit_opened", reason=answer.reason, verdict=answer.verdict.value)

    def _say(self, event: str, *, level: str = "warning", about: str = "", **fields: object) -> None:
        """Log once, then with backoff and a count of what was left unsaid."""
        swallowed = self._repeats.admit((event, about), self._now())
        if swallowed is not None:
            getattr(log, level)(event, **fields, **({"repeated": swallowed} if swallowed else {}))


_NONE: dict[int, PartitionOffsets] = {}
_DIGITS = re.compile(r"\d+")


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{topic}/{partition}" for topic, partition in partitions]
