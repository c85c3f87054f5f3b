"""Bugs that we plant on purpose: a simulator is worth what it finds, and this is how we know.

Each does what a colleague, or a peer of this connector, has written in good faith. The one place where code of ours is
patched in a test: here the simulation is what is tested. A bug is planted at a public method wherever it can be.
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
from connector.delivery import offset_metadata, start_position
from connector.delivery.answer import Answer
from connector.delivery.coalescer import Coalescer
from connector.delivery.dead_letter import DeadLetter, Stage
from connector.delivery.offset_metadata import OffsetMetadata
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker
from connector.delivery.update import Update
from connector.errors import CommitFailed
from connector.kafka.assignment import Assignment
from connector.kafka.first_positions import FirstPositions
from connector.pipeline import assignment as group_assignment
from connector.pipeline.back_pressure import BackPressure
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.state import ReplicaState
from connector.target.render import Renderer
from tests.simulation.letters import Letters
from tests.simulation.planting import Mutants, Patches
from tests.simulation.source import Source

ENDLESS = 1 << 62
IGNORED = property(lambda _: False, lambda *_: None)
"""In place of a flag: it is never set."""

mutant = Mutants()
MUTANTS = mutant.all


@mutant("commit past a gap", "the highest record taken is committed, whatever is still open below it", "calm", 0, 1)
def commit_past_a_gap(patch: Patches) -> None:
    """The position is committed."""
    patch.replace(OffsetTracker, "to_commit", lambda tracker, *_, **__: OffsetAndMetadata(tracker.position))


@mutant(
    "handed over is done",
    "what is dropped at a revoke closes its receipt, and the offset of what nobody sent is committed",
    "rebalances",
    *(1, 8),
)
def handed_over_is_done(patch: Patches) -> None:
    """Nothing is open of a partition that is being taken away."""

    def to_commit(original: Any, tracker: Any, *limit: Any, **how: Any) -> OffsetAndMetadata:
        return OffsetAndMetadata(tracker.position) if tracker.revoking else original(tracker, *limit, **how)

    patch.wrap(OffsetTracker, "to_commit", to_commit)


@mutant(
    "tracker reused",
    "a partition that comes back goes on with the receipts of its earlier assignment",
    "rebalances",
    *(1, 7),
)
def tracker_reused(patch: Patches) -> None:
    """One tracker a partition and pipeline, for ever."""
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


@mutant(
    "older over newer",
    "an update that comes back for a retry writes its old values over those that came meanwhile",
    "calm",
    *(1, 2),
)
def older_over_newer(patch: Patches) -> None:
    """What comes back wins."""

    def absorb(original: Any, update: Update, newer: Update, **how: Any) -> None:
        for partition, theirs in newer.parts.items():
            if (mine := update.parts.get(partition)) is not None:
                theirs.attributes.update(mine.attributes)
        original(update, newer, **how)

    patch.wrap(Update, "absorb", absorb)


@mutant("two in flight", "a change that comes while its visitor's update is on the wire goes too", "calm", 1, 2)
def two_in_flight(patch: Patches) -> None:
    """Adding does not see what is in flight, and settling does not see what followed."""

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
        coalescer._flying.setdefault(update.visitor, update)  # The other one has left already.
        blind("_pending")(original, coalescer, update, **how)

    patch.wrap(Coalescer, "add", blind("_flying"))
    patch.wrap(Coalescer, "settle", settle)


def _not_awaited(patch: Patches, stage: Stage) -> None:
    """A dead letter of this stage counts as written when it was handed over."""
    sent: set[asyncio.Task[None]] = set()

    async def send(original: Any, letters: Letters, letter: DeadLetter) -> None:
        if letter.stage is stage:
            sent.add(asyncio.get_running_loop().create_task(original(letters, letter)))
        else:
            await original(letters, letter)

    patch.wrap(Letters, "send", send)


@mutant(
    "letter not awaited",
    "the offset of a rejected update counts as done before its dead letter is written",
    "poison",
    *(1, 5),
)
def letter_not_awaited(patch: Patches) -> None:
    """Of an update."""
    _not_awaited(patch, Stage.TARGET)


@mutant("letter of a record not awaited", "likewise a record that cannot be read", "poison", 1, 7)
def letter_of_a_record_not_awaited(patch: Patches) -> None:
    """Of a record."""
    _not_awaited(patch, Stage.DECODE)


@mutant("credit lost", "a rebalance forgets that it owes a batch, and consumption never goes on", "memory", 16, 18)
def credit_lost(patch: Patches) -> None:
    """All begins anew at an assignment."""
    known: dict[ReplicaState, BackPressure] = {}

    def init(original: Any, back_pressure: BackPressure, state: ReplicaState, more: Any) -> None:
        original(back_pressure, state, more)
        known[state] = back_pressure

    def assigned(original: Any, assignment: group_assignment.Assignment, partitions: Any) -> None:
        original(assignment, partitions)
        known[assignment._state].due = 0

    patch.wrap(BackPressure, "__init__", init)
    patch.wrap(group_assignment.Assignment, "assigned", assigned)


@mutant("until one too high", "a commit calls the record done that was not taken yet", "stuck", 0, 1)
def until_one_too_high(patch: Patches) -> None:
    """An off-by-one in what is said of a whole stretch."""
    patch.wrap(
        *(offset_metadata, "encode"),
        lambda original, offset, until, *about: original(offset, until + 1 if until > offset else until, *about),
    )


@mutant("first one too high", "a commit owes a visitor from the record after its first", "stuck", 0, 1)
def first_one_too_high(patch: Patches) -> None:
    """An off-by-one in what is said of a visitor."""

    def encode(original: Any, offset: int, until: int, waiting: Mapping[int, int], *about: Any) -> str:
        said: str = original(offset, until, {who: first + 1 for who, first in waiting.items()}, *about)
        return said

    patch.wrap(offset_metadata, "encode", encode)


@mutant("owed are forgotten", "a second restart does not know any more whom the first one owed", "stuck", 0, 2)
def owed_are_forgotten(patch: Patches) -> None:
    """Nothing is carried on."""
    patch.replace(offset_metadata, "carried", lambda *_: {})


@mutant("owed are passed over", "a restart takes all that a commit speaks of as done", "stuck", 0, 1)
def owed_are_passed_over(patch: Patches) -> None:
    """Nobody is owed."""
    patch.wrap(OffsetMetadata, "is_done", lambda original, said, *record: original(replace(said, firsts={}), *record))


@mutant("old body", "a retry sends what was rendered for the first attempt", "calm", 1, 2)
def old_body(patch: Patches) -> None:
    """An update's values are those that were looked at first."""
    kept: dict[Update, dict[str, str]] = {}
    patch.wrap(
        *(Update, "attributes"),
        lambda original, update: kept.setdefault(update, dict(original(update))),
    )


@mutant("lease not checked", "a process frozen past its session writes over its successor's values", "zombies", 1, 14)
def lease_not_checked(patch: Patches) -> None:
    """The lease's clock has not begun."""
    patch.wrap(Gate, "wait", lambda original, gate, now, _: original(gate, now, -math.inf))


def _leases(patch: Patches) -> dict[Source, tuple[MembershipLease, Callable[[], float]]]:
    """The lease of each pipeline with its clock, by its source."""
    known: dict[Source, tuple[MembershipLease, Callable[[], float]]] = {}

    def init(original: Any, pipeline: Pipeline, config: Any, ports: Any, **how: Any) -> None:
        original(pipeline, config, ports, **how)
        known[ports.source] = pipeline.state.gate.lease, how["boottime"]

    patch.wrap(Pipeline, "__init__", init)
    return known


@mutant("lease from the answer", "an answer that comes late says that the group knew us late", "zombies", 28, 41)
def lease_from_the_answer(patch: Patches) -> None:
    """It is renewed from now on."""
    known = _leases(patch)

    def renew(original: Any, lease: MembershipLease, _: float) -> None:
        original(lease, next(boottime() for other, boottime in known.values() if other is lease))

    patch.wrap(MembershipLease, "renew", renew)


@mutant(
    "lease by a failed commit",
    "a process that cannot reach the group believes that it is a member",
    "zombies",
    *(21, 57),
)
def lease_by_a_failed_commit(patch: Patches) -> None:
    """It is renewed by an answer that is none."""
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


@mutant(
    "revoke does not wait", "a request is on the wire while the next owner sends a newer value", "rolling", *(41, 45)
)
def revoke_does_not_wait(patch: Patches) -> None:
    """It does not see what is in flight."""
    patch.replace(Coalescer, "is_flying", lambda *_: False)


@mutant("revoke stops nothing", "a retry begins while its partition is being taken away", "rebalances", 116, 124)
def revoke_stops_nothing(patch: Patches) -> None:
    """No partition is ever marked."""
    patch.replace(OffsetTracker, "revoking", IGNORED)


@mutant("lost is not heard", "what another member may own is sent and committed", "zombies", 0, 1)
def lost_is_not_heard(patch: Patches) -> None:
    """The pipeline goes on as if all were its own."""
    patch.wrap(group_assignment.Assignment, "lost", lambda *_: None)


@mutant("split settled early", "an update of several requests counts as done after its first", "rebalances", 1, 3)
def split_settled_early(patch: Patches) -> None:
    """Nobody looks at the others."""

    def render(original: Any, *about: Any) -> Any:
        rendered = original(*about)
        return structs.replace(rendered, requests=rendered.requests[:1])

    patch.wrap(Renderer, "__call__", render)


@mutant("memory unbounded", "batches are taken on however much is pending", "memory", 0, 1)
def memory_unbounded(patch: Patches) -> None:
    """The bounds are out of reach."""

    def init(original: Any, state: ReplicaState, config: Any, *how: Any) -> None:
        original(state, replace(config, max_visitors=ENDLESS, max_bytes=ENDLESS), *how)

    patch.wrap(ReplicaState, "__init__", init)


@mutant("hung probe", "a probe that is swallowed hides the recovery for a whole request timeout", "outages", 4, 11)
def hung_probe(patch: Patches) -> None:
    """The next one waits for its answer."""

    def started(original: Any, circuit: CircuitBreaker, now: float) -> int:
        probe: int = original(circuit, now)
        if probe:
            circuit._probe_at = math.inf
        return probe

    patch.wrap(CircuitBreaker, "started", started)


@mutant("retry-after ignored", "a probe goes before the endpoint wants to be asked", "outages", 2, 21)
def retry_after_ignored(patch: Patches) -> None:
    """The circuit does not read it."""

    def settled(original: Any, circuit: CircuitBreaker, visitor: Any, answer: Answer, now: float, **how: Any) -> Any:
        return original(circuit, visitor, replace(answer, retry_after=None), now, **how)

    patch.wrap(CircuitBreaker, "settled", settled)


@mutant("outage blamed on updates", "an outage makes dead letters of healthy visitors", "outages", 29, 75)
def outage_blamed_on_updates(patch: Patches) -> None:
    """Each failure is the update's own."""
    patch.replace(CircuitBreaker, "blames", lambda *_: True)


@mutant("drain cuts and leaves", "what a shutdown cut may land after the next owner's newer value", "rolling", 1, 19)
def drain_cuts_and_leaves(patch: Patches) -> None:
    """It leaves the group in any case."""
    patch.wrap(Source, "close", lambda original, source, seconds, **_: original(source, seconds, leave=True))


@mutant(
    "static member does not wait",
    "it is back before the requests of its killed predecessor have landed",
    "restarts",
    *(3, 8),
)
def static_member_does_not_wait(patch: Patches) -> None:
    """No record is held."""
    patch.replace(OffsetTracker, "hold_below", property(lambda _: -1, lambda *_: None))


@mutant("another log not noticed", "a topic that was made again is read from where the old one stood", "logs", 26, 45)
def another_log_not_noticed(patch: Patches) -> None:
    """A name is a name."""
    patch.replace(start_position, "is_another", lambda *_: False)


@mutant("later epochs not looked at", "records that replaced what was cut off are taken for done", "logs", 5, 9)
def later_epochs_not_looked_at(patch: Patches) -> None:
    """An offset is an offset."""
    patch.wrap(OffsetMetadata, "is_done", lambda original, said, offset, visitor, *_: original(said, offset, visitor))


@mutant(
    "position moves in a drain",
    "the end of a log is committed although the batches before it were not taken",
    "rebalances",
    *(18, 32),
)
def position_moves_in_a_drain(patch: Patches) -> None:
    """The client's word counts although its batches do not."""

    def advanced(original: Any, assignment: group_assignment.Assignment, positions: Any) -> None:
        state = assignment._state
        draining, state.draining = state.draining, False
        original(assignment, positions)
        state.draining = draining

    patch.wrap(group_assignment.Assignment, "advanced", advanced)


@mutant("answer of before", "where to go on is decided by what the log was before it changed", "logs", 0, 1)
def answer_of_before(patch: Patches) -> None:
    """What was asked before is still used."""

    def position_is_invalid(original: Any, assignment: Assignment, *about: Any) -> None:
        look = assignment._look
        original(assignment, *about)
        assignment._look = look

    patch.wrap(Assignment, "position_is_invalid", position_is_invalid)


@mutant(
    "latest for each partition",
    "an added partition begins at its end, and what was written before is never read",
    "logs",
    *(26, 52),
)
def latest_for_each_partition(patch: Patches) -> None:
    """Whether the group knows the topic by other partitions does not count."""

    def decide(original: Any, positions: FirstPositions, name: Any, log: Any, committed: Mapping[Any, Any]) -> Any:
        return original(positions, name, log, {name: committed[name]} if name in committed else {})

    patch.wrap(FirstPositions, "decide", decide)


@mutant(
    "retired log not revoked",
    "what was read of a log that is another one now is sent after its partition was taken away",
    "logs",
    *(26, 45),
)
def retired_log_not_revoked(patch: Patches) -> None:
    """They are forgotten."""
    patch.replace(group_assignment.Assignment, "_retired_of", lambda *_: [])


@mutant(
    "cut log not checked",
    "records that replaced what was cut off below the committed offset are never read",
    "logs",
    *(123,),
)
def cut_log_not_checked(patch: Patches) -> None:
    """The client is not asked whether the log continues at the committed offset."""

    def check(_original: Any, assignment: Assignment) -> None:
        assignment._unchecked.clear()

    patch.wrap(Assignment, "_check", check)


@mutant("handed over twice", "consumed is not done and pending", "rebalances", 8, 9)
def handed_over_twice(patch: Patches) -> None:
    """The count of what was dropped is doubled."""
    patch.wrap(Coalescer, "drop_waiting", lambda original, *about: 2 * original(*about))
