"""Bugs planted on purpose: they show which faults the simulation finds.

Each is a plausible mistake, or one that a peer of this connector has made. Only here do tests patch code of ours,
since the simulation itself is under test. A bug is planted at a public method wherever it can be.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from connector.admission.circuit_breaker import CircuitBreaker
from connector.admission.gate import Gate
from connector.admission.membership_lease import MembershipLease
from connector.delivery import accepted_values, offset_metadata, start_position
from connector.delivery.accepted_values import AcceptedValues
from connector.delivery.answer import Answer
from connector.delivery.coalescer import Coalescer
from connector.delivery.dead_letter import DeadLetter, Stage
from connector.delivery.offset_metadata import OffsetMetadata
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker
from connector.delivery.selection import Selection
from connector.delivery.update import Update
from connector.errors import CommitFailed
from connector.kafka.assignment import Assignment
from connector.kafka.first_positions import FirstPositions
from connector.pipeline import assignment as group_assignment
from connector.pipeline import outcomes
from connector.pipeline.back_pressure import BackPressure
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.schema_holds import SchemaHolds
from connector.pipeline.state import ReplicaState
from connector.target.render import Renderer
from tests.simulation.letters import Letters
from tests.simulation.planting import Mutants, Patches
from tests.simulation.source import Source

ENDLESS = 1 << 62
IGNORED = property(lambda _: False, lambda *_: None)
"""Replaces a flag: it is never set."""

mutant = Mutants()
MUTANTS = mutant.all


@mutant("commit past a gap", "the highest consumed offset is committed, although lower ones are open", "calm", 2, 3)
def commit_past_a_gap(patch: Patches) -> None:
    """The position is committed."""
    patch.replace(OffsetTracker, "to_commit", lambda tracker, *_, **__: OffsetAndMetadata(tracker.position))


@mutant(
    "handed over is done",
    "updates dropped at a revoke count as settled, and the offset of unsent records is committed",
    "rebalances",
    2,
    4,
)
def handed_over_is_done(patch: Patches) -> None:
    """A partition that is being revoked has no open record."""

    def to_commit(original: Any, tracker: Any, *limit: Any, **how: Any) -> OffsetAndMetadata:
        return OffsetAndMetadata(tracker.position) if tracker.revoking else original(tracker, *limit, **how)

    patch.wrap(OffsetTracker, "to_commit", to_commit)


@mutant(
    "tracker reused",
    "a partition that is assigned again keeps the tracker of its earlier assignment",
    "rebalances",
    13,
    9,
)
def tracker_reused(patch: Patches) -> None:
    """One tracker per partition and pipeline, for ever."""
    kept: dict[group_assignment.Assignment, dict[Any, OffsetTracker]] = {}
    current: dict[Any, OffsetTracker] = {}

    def assigned(original: Any, assignment: group_assignment.Assignment, partitions: Any) -> None:
        nonlocal current
        current = kept.setdefault(assignment, {})
        original(assignment, partitions)

    def tracker(name: Any, start: Any, *_: str) -> OffsetTracker:
        again = current.setdefault(name, OffsetTracker(name, start))
        again.detached = again.revoking = False
        return again

    patch.wrap(group_assignment.Assignment, "assigned", assigned)
    patch.replace(group_assignment, "OffsetTracker", tracker)


@mutant("older over newer", "an update that is retried writes its old values over newer pending ones", "calm", 3, 2)
def older_over_newer(patch: Patches) -> None:
    """The retried values win."""

    def absorb(original: Any, update: Update, newer: Update, **how: Any) -> None:
        for partition, theirs in newer.parts.items():
            if (mine := update.parts.get(partition)) is not None:
                theirs.attributes.update(mine.attributes)
        original(update, newer, **how)

    patch.wrap(Update, "absorb", absorb)


@mutant("two in flight", "a change is sent while its visitor's update is in flight", "calm", 2, 3)
def two_in_flight(patch: Patches) -> None:
    """Adding ignores the update in flight, and settling ignores the pending one."""

    def blind(hidden: str) -> Callable[..., None]:
        def call(original: Any, coalescer: Coalescer, *about: Any, **how: Any) -> None:
            seen = getattr(coalescer, hidden)
            setattr(coalescer, hidden, {})
            try:
                original(coalescer, *about, **how)
            finally:
                setattr(coalescer, hidden, seen)

        return call

    def settle(original: Any, coalescer: Coalescer, update: Update, **how: Any) -> None:
        coalescer._flying.setdefault(update.visitor, update)  # The other one is settled already.
        blind("_pending")(original, coalescer, update, **how)

    patch.wrap(Coalescer, "add", blind("_flying"))
    patch.wrap(Coalescer, "settle", settle)


def _not_awaited(patch: Patches, stage: Stage) -> None:
    """A dead letter of this stage counts as written when it is queued."""
    sent: set[asyncio.Task[None]] = set()

    async def send(original: Any, letters: Letters, letter: DeadLetter) -> None:
        if letter.stage is stage:
            sent.add(asyncio.get_running_loop().create_task(original(letters, letter)))
        else:
            await original(letters, letter)

    patch.wrap(Letters, "send", send)


@mutant("letter not awaited", "a rejected update counts as done before its dead letter is written", "poison", 1)
def letter_not_awaited(patch: Patches) -> None:
    """For an update."""
    _not_awaited(patch, Stage.TARGET)


@mutant("letter of a record not awaited", "likewise for a malformed record", "poison", 9, 12)
def letter_of_a_record_not_awaited(patch: Patches) -> None:
    """For a record."""
    _not_awaited(patch, Stage.DECODE)


@mutant("credit lost", "a rebalance drops the credit of a batch, and consumption never resumes", "memory", 22, 23)
def credit_lost(patch: Patches) -> None:
    """An assignment resets the credit."""
    known: dict[ReplicaState, BackPressure] = {}

    def init(original: Any, back_pressure: BackPressure, state: ReplicaState, more: Any) -> None:
        original(back_pressure, state, more)
        known[state] = back_pressure

    def assigned(original: Any, assignment: group_assignment.Assignment, partitions: Any) -> None:
        original(assignment, partitions)
        known[assignment._state].due = 0

    patch.wrap(BackPressure, "__init__", init)
    patch.wrap(group_assignment.Assignment, "assigned", assigned)


@mutant("until one too high", "a commit's metadata calls a record done that was not consumed yet", "stuck", 1, 3)
def until_one_too_high(patch: Patches) -> None:
    """An off-by-one in the covered range."""
    patch.wrap(
        *(offset_metadata, "encode"),
        lambda original, offset, until, *about: original(offset, until + 1 if until > offset else until, *about),
    )


@mutant("first one too high", "a commit's metadata owes a visitor from the record after its first", "stuck", 1, 5)
def first_one_too_high(patch: Patches) -> None:
    """An off-by-one in a visitor's first offset."""

    def encode(original: Any, offset: int, until: int, waiting: Mapping[int, int], *about: Any) -> str:
        said: str = original(offset, until, {who: first + 1 for who, first in waiting.items()}, *about)
        return said

    patch.wrap(offset_metadata, "encode", encode)


@mutant("owed are forgotten", "after a second restart the visitors that the first one owed are lost", "stuck", 5, 1)
def owed_are_forgotten(patch: Patches) -> None:
    """No owed visitor is carried over."""
    patch.replace(offset_metadata, "carried", lambda *_: {})


@mutant("owed are skipped", "a restart skips all records that a commit's metadata covers", "stuck", 5, 0)
def owed_are_skipped(patch: Patches) -> None:
    """No visitor is owed."""
    patch.wrap(OffsetMetadata, "is_done", lambda original, said, *record: original(replace(said, firsts={}), *record))


@mutant("old body", "a retry sends the values of the first attempt", "calm", 2, 3)
def old_body(patch: Patches) -> None:
    """An update's values are those of the first look."""
    kept: dict[Update, dict[str, str]] = {}
    patch.wrap(
        *(Update, "attributes"),
        lambda original, update: kept.setdefault(update, dict(original(update))),
    )


@mutant("lease not checked", "a process frozen past its session writes over its successor's values", "zombies", 1, 6)
def lease_not_checked(patch: Patches) -> None:
    """The lease never expires."""
    patch.wrap(Gate, "wait", lambda original, gate, now, _: original(gate, now, -math.inf))


def _leases(patch: Patches) -> dict[Source, tuple[MembershipLease, Callable[[], float]]]:
    """The lease of each pipeline with its clock, by its source."""
    known: dict[Source, tuple[MembershipLease, Callable[[], float]]] = {}

    def init(original: Any, pipeline: Pipeline, config: Any, ports: Any, **how: Any) -> None:
        original(pipeline, config, ports, **how)
        known[ports.source] = pipeline.state.gate.lease, how["clocks"].boottime

    patch.wrap(Pipeline, "__init__", init)
    return known


@mutant("lease from the answer", "a late answer renews the lease from its arrival, not from the request", "zombies", 41)
def lease_from_the_answer(patch: Patches) -> None:
    """It is renewed from now."""
    known = _leases(patch)

    def renew(original: Any, lease: MembershipLease, _: float) -> None:
        original(lease, next(boottime() for other, boottime in known.values() if other is lease))

    patch.wrap(MembershipLease, "renew", renew)


@mutant(
    "lease by a failed commit",
    "a failed commit renews the lease of a process that cannot reach the group",
    "zombies",
    24,
    12,
)
def lease_by_a_failed_commit(patch: Patches) -> None:
    """An error renews it."""
    known = _leases(patch)

    async def commit(original: Any, source: Source, offsets: Any) -> bool:
        lease, boottime = known[source]
        asked = boottime()
        try:
            answered: bool = await original(source, offsets)
        except CommitFailed:
            lease.renew(asked)
            raise
        return answered

    patch.wrap(Source, "commit", commit)


@mutant("revoke does not wait", "a request is in flight while the next owner sends a newer value", "rolling", 11, 44)
def revoke_does_not_wait(patch: Patches) -> None:
    """It ignores requests in flight."""
    patch.replace(Coalescer, "is_flying", lambda *_: False)


@mutant("revoke stops nothing", "a retry begins while its partition is being revoked", "rebalances", 116, 6)
def revoke_stops_nothing(patch: Patches) -> None:
    """No partition is ever marked as revoking."""
    patch.replace(OffsetTracker, "revoking", IGNORED)


@mutant("loss is ignored", "updates of partitions that another member may own are sent and committed", "zombies", 3, 0)
def loss_is_ignored(patch: Patches) -> None:
    """The pipeline ignores the loss."""
    patch.wrap(group_assignment.Assignment, "lost", lambda *_: None)


@mutant("split settled early", "an update of several requests counts as done after its first", "rebalances", 3, 4)
def split_settled_early(patch: Patches) -> None:
    """The other requests are dropped."""

    def render(original: Any, *about: Any) -> Any:
        rendered = original(*about)
        return structs.replace(rendered, requests=rendered.requests[:1])

    patch.wrap(Renderer, "__call__", render)


@mutant("memory unbounded", "batches are consumed however many updates are pending", "memory", 2, 3)
def memory_unbounded(patch: Patches) -> None:
    """The bounds are unreachable."""

    def init(original: Any, state: ReplicaState, config: Any, *how: Any) -> None:
        original(state, replace(config, max_visitors=ENDLESS, max_bytes=ENDLESS), *how)

    patch.wrap(ReplicaState, "__init__", init)


@mutant("hung probe", "a hanging probe hides the recovery for a whole request timeout", "outages", 34, 36)
def hung_probe(patch: Patches) -> None:
    """The next one waits for its answer."""

    def started(original: Any, circuit: CircuitBreaker, now: float) -> int:
        probe: int = original(circuit, now)
        if probe:
            circuit._probe_at = math.inf
        return probe

    patch.wrap(CircuitBreaker, "started", started)


@mutant("retry-after ignored", "a probe is sent before Retry-After is over", "outages", 21, 2)
def retry_after_ignored(patch: Patches) -> None:
    """The circuit ignores it."""

    def settled(original: Any, circuit: CircuitBreaker, visitor: Any, answer: Answer, now: float, **how: Any) -> Any:
        return original(circuit, visitor, replace(answer, retry_after=None), now, **how)

    patch.wrap(CircuitBreaker, "settled", settled)


@mutant("outage blamed on updates", "an outage makes dead letters of healthy visitors", "outages", 29)
def outage_blamed_on_updates(patch: Patches) -> None:
    """Each failure is charged to the update."""
    patch.replace(CircuitBreaker, "blames", lambda *_: True)


@mutant(
    "drain cuts and leaves", "a request cancelled at shutdown may land after the next owner's newer value", "rolling", 4
)
def drain_cuts_and_leaves(patch: Patches) -> None:
    """It leaves the group in any case."""
    patch.wrap(Source, "close", lambda original, source, seconds, **_: original(source, seconds, leave=True))


@mutant(
    "static member does not wait", "it sends before the requests of its killed predecessor have landed", "restarts", 8
)
def static_member_does_not_wait(patch: Patches) -> None:
    """No record is held."""
    patch.replace(OffsetTracker, "hold_below", property(lambda _: -1, lambda *_: None))


@mutant("another log not noticed", "a recreated topic is read from the old one's offset", "logs", 26)
def another_log_not_noticed(patch: Patches) -> None:
    """Only the name is compared."""
    patch.replace(start_position, "is_another", lambda *_: False)


@mutant("later epochs ignored", "records that replaced truncated ones count as done", "logs", 5)
def later_epochs_ignored(patch: Patches) -> None:
    """Only the offset is compared."""
    patch.wrap(OffsetMetadata, "is_done", lambda original, said, offset, visitor, *_: original(said, offset, visitor))


@mutant(
    "position moves in a drain",
    "the end of a log is committed although batches before it were not consumed",
    "rebalances",
    4,
    6,
)
def position_moves_in_a_drain(patch: Patches) -> None:
    """The client's position counts although its batches do not."""

    def advanced(original: Any, assignment: group_assignment.Assignment, positions: Any) -> None:
        state = assignment._state
        draining, state.draining = state.draining, False
        original(assignment, positions)
        state.draining = draining

    patch.wrap(group_assignment.Assignment, "advanced", advanced)


@mutant("stale query used", "the position after a change of the log is decided by a query from before it", "logs", 2, 1)
def stale_query_used(patch: Patches) -> None:
    """The earlier query is still used."""

    def position_is_invalid(original: Any, assignment: Assignment, *about: Any) -> None:
        look = assignment._look
        original(assignment, *about)
        assignment._look = look

    patch.wrap(Assignment, "position_is_invalid", position_is_invalid)


@mutant(
    "latest for each partition", "an added partition begins at its end, and earlier records are never read", "logs", 26
)
def latest_for_each_partition(patch: Patches) -> None:
    """The topic's other partitions are ignored."""

    def decide(original: Any, positions: FirstPositions, name: Any, log: Any, committed: Mapping[Any, Any]) -> Any:
        return original(positions, name, log, {name: committed[name]} if name in committed else {})

    patch.wrap(FirstPositions, "decide", decide)


@mutant(
    "retired log not revoked", "updates of a replaced log are sent after their partition was revoked", "logs", 45, 26
)
def retired_log_not_revoked(patch: Patches) -> None:
    """Retired logs are forgotten."""
    patch.replace(group_assignment.Assignment, "_retired_of", lambda *_: [])


@mutant(
    "cut log not checked",
    "records that replaced truncated ones below the committed offset are never read",
    "logs",
    2,
    5,
)
def cut_log_not_checked(patch: Patches) -> None:
    """The client is not asked whether the log continues at the committed offset."""

    def check(_original: Any, assignment: Assignment) -> None:
        assignment._unchecked.clear()

    patch.wrap(Assignment, "_check", check)


@mutant("unknown visitor not waited for", "a visitor that Target knows an hour later is a dead letter", "unknown", 2, 3)
def unknown_visitor_not_waited_for(patch: Patches) -> None:
    """The first answer is the last."""
    patch.replace(outcomes, "next_attempt", lambda *_: None)


@mutant("unknown visitor waits for ever", "an update whose visitor Target never knows has no end", "unknown", 0, 2)
def unknown_visitor_waits_for_ever(patch: Patches) -> None:
    """Each answer begins the wait anew."""
    patch.wrap(outcomes, "next_attempt", lambda original, _since, now, wait: original(None, now, wait))


@mutant("held partition is taken", "records behind one that waits for its schema are taken before it", "schemas", 2, 3)
def held_partition_is_taken(patch: Patches) -> None:
    """The intake still finds the partition, and passes over the record that waits."""

    def hold(original: Any, holds: SchemaHolds, tracker: OffsetTracker, *about: Any) -> None:
        original(holds, tracker, *about)
        holds._by_topic[tracker.name.topic][tracker.name.partition] = tracker

    patch.wrap(SchemaHolds, "hold", hold)


@mutant(
    "position moves while held",
    "the end of a log is committed although records of a held partition were not taken",
    "schemas",
    5,
    2,
)
def position_moves_while_held(patch: Patches) -> None:
    """What the client has read counts as taken."""

    def advanced(original: Any, assignment: group_assignment.Assignment, positions: Any) -> None:
        held, assignment.holds.held = assignment.holds.held, {}
        original(assignment, positions)
        assignment.holds.held = held

    patch.wrap(group_assignment.Assignment, "advanced", advanced)


@mutant("read on before it is said", "what was dropped of a held partition is never read again", "schemas", 0, 2)
def read_on_before_it_is_said(patch: Patches) -> None:
    """The intake takes the partition again as soon as the schema is there, and the source is only resumed."""

    def read_on(_original: Any, assignment: Assignment, name: Any, start: Any, *_: Any) -> None:
        owned = assignment._owned.get(name)
        if owned is not None and owned.told is start:
            owned.is_held = False
            assignment.resume()
            assignment._tell(assignment._listener.reading_on, name, start)

    patch.wrap(Assignment, "read_on", read_on)


@mutant("one change closes the record", "the others that a record carries count as done with it", "schemas", 0, 3)
def one_change_closes_the_record(patch: Patches) -> None:
    """What is open is known by its offset alone."""

    def close(_original: Any, tracker: OffsetTracker, offset: int, *_: Any) -> None:
        tracker._open.pop(offset, None)

    patch.wrap(OffsetTracker, "close", close)


@mutant(
    "settled change sent again", "a change that was accepted is sent again with the rest of its record", "schemas", 6
)
def settled_change_sent_again(patch: Patches) -> None:
    """A record that is open counts as open in all that it carries."""
    patch.replace(OffsetTracker, "carries_several", lambda _: None)


@mutant("handed over twice", "consumed is not done and pending", "rebalances", 2, 9)
def handed_over_twice(patch: Patches) -> None:
    """The count of dropped records is doubled."""
    patch.wrap(Coalescer, "drop_waiting", lambda original, *about: 2 * original(*about))


@mutant("sent is accepted", "a value counts as accepted when it is sent", "repeats", 6, 3)
def sent_is_accepted(patch: Patches) -> None:
    """What is sent is remembered, whatever comes of it."""

    def of(original: Any, selection: Selection, update: Update, boottime: float, wall: float) -> Any:
        values, ended = original(selection, update, boottime, wall)
        names = [tracker.name for tracker in update.parts]
        if values and selection._accepted is not None:
            selection._accepted.accepted(update.visitor, values, names, boottime, boottime)
        return values, ended

    patch.wrap(Selection, "of", of)
    patch.replace(AcceptedValues, "sent", lambda *_: None)


@mutant(
    "remembered through a timeout",
    "a value that may have been applied does not end the one before it",
    "repeats",
    40,
    36,
)
def remembered_through_a_timeout(patch: Patches) -> None:
    """Only what is accepted changes the memory."""
    patch.replace(AcceptedValues, "sent", lambda *_: None)


@mutant("remembered through a revoke", "values of a partition that another replica had count as known", "repeats", 12)
def remembered_through_a_revoke(patch: Patches) -> None:
    """Nothing is released."""
    patch.replace(AcceptedValues, "release", lambda *_: None)


@mutant("digest without the name", "a value of another attribute counts as this one's", "repeats", 6, 1)
def digest_without_the_name(patch: Patches) -> None:
    """Of the value alone."""
    patch.replace(accepted_values, "digest", lambda _, value: hash(value))


@mutant(
    "topics taken for one",
    "a value counts as known that the owner of another topic's partition replaced",
    "topics",
    1,
    4,
)
def topics_taken_for_one(patch: Patches) -> None:
    """A partition alone is enough."""

    def init(original: Any, state: ReplicaState, config: Any, *how: Any) -> None:
        original(state, replace(config, topics=1), *how)

    patch.wrap(ReplicaState, "__init__", init)
