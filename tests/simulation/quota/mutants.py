"""Bugs planted in the quota's protocol: each violates one sentence of the argument for it.

No seeds: each bug shows in a good part of the worlds of its profile, so that no other draws make one stale.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec import structs

from connector.admission.gate import Gate, Permit
from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.admission.quota_shares import QuotaShares
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.quota.lease_manager import Demand, LeaseManager
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve, Return, Spend
from tests.simulation.planting import Mutants, Patches
from tests.simulation.quota.classes import ClassReplica
from tests.simulation.quota.replica import Replica

DONE = (Verdict.ACCEPTED, Verdict.REJECTED)

mutant = Mutants()
MUTANTS = mutant.all


@mutant(
    "spent past the end",
    "a process frozen past a lease's end spends it, although others hold it since",
    "freezes",
    5,
    3,
)
def spent_past_the_end(patch: Patches) -> None:
    """The clock is ignored."""
    patch.wrap(QuotaBudget, "current", lambda original, allowance, _: original(allowance, -math.inf))


@mutant("end by the wall clock", "a clock that is set back prolongs a lease", "set back", 2, 4)
def end_by_the_wall_clock(patch: Patches) -> None:
    """It can be set."""
    patch.replace(Replica, "boottime", lambda replica: replica.wall())


@mutant("end by the monotonic clock", "the time that a machine slept is not taken off its lease", "freezes", 5, 2)
def end_by_the_monotonic_clock(patch: Patches) -> None:
    """It stops while the machine sleeps."""
    patch.replace(Replica, "boottime", lambda replica: replica.monotonic())


def _after_read(patch: Patches, what: Callable[[LeaseManager, list[QuotaGrant], float], None]) -> None:
    """Call `what(holder, new, boottime)` with the grants of each record read."""

    def read(original: Any, holder: LeaseManager, record: Record | None, appended: float, boottime: float) -> None:
        had = len(holder.allowance.grants)
        original(holder, record, appended, boottime)
        what(holder, list(holder.allowance.grants)[had:], boottime)

    patch.wrap(LeaseManager, "read", read)


@mutant(
    "asked at reading",
    "a lease lasts from when its record was read, and counts from when it was written",
    "late reads",
    1,
    4,
)
def asked_at_reading(patch: Patches) -> None:
    """Its end counts from now."""

    def lengthen(holder: LeaseManager, new: list[QuotaGrant], boottime: float) -> None:
        for grant in new:
            grant.ends = boottime + holder.terms.lease

    _after_read(patch, lengthen)


@mutant("granted before it is read", "a requested lease is spent, whatever the fold grants", "calm", 2, 3)
def granted_before_it_is_read(patch: Patches) -> None:
    """A request is a grant."""

    def decide(original: Any, holder: LeaseManager, boottime: float, need: Demand) -> list[Record]:
        records: list[Record] = original(holder, boottime, need)
        for record in records:
            if isinstance(record, Reserve):
                grant = QuotaGrant(record.lease, record.updates, boottime + holder.terms.lease)
                holder.allowance.grants.append(grant)
        return records

    def forget(holder: LeaseManager, new: list[QuotaGrant], _: float) -> None:
        for _grant in new:
            holder.allowance.grants.pop()

    patch.wrap(LeaseManager, "decide", decide)
    _after_read(patch, forget)


@mutant("late grants kept", "a late grant is spent as if it were granted when it is read", "appends", 5, 1)
def late_grants_kept(patch: Patches) -> None:
    """It is not returned."""

    def keep(holder: LeaseManager, _: list[QuotaGrant], boottime: float) -> None:
        while holder._late:
            holder.allowance.grants.append(QuotaGrant(*holder._late.pop(), boottime + holder.terms.lease))

    _after_read(patch, keep)


@mutant("granted twice", "a reserve that is written twice gives its holder two leases", "appends", 5, 2)
def granted_twice(patch: Patches) -> None:
    """Neither the ledger nor the holder knows that it was granted before."""

    def apply(original: Any, ledger: Ledger, record: Record, appended: float) -> int:
        key = (record.holder, record.lease) if isinstance(record, Reserve) else ("", 0)
        earlier = ledger.leases.pop(key, None) if isinstance(record, Reserve) else None
        granted: int = original(ledger, record, appended)
        if earlier is not None:
            ledger.leases.setdefault(key, earlier)
        return granted

    def read(original: Any, holder: LeaseManager, *about: Any) -> None:
        asked = holder._asked
        original(holder, *about)
        holder._asked = asked

    patch.wrap(Ledger, "apply", apply)
    patch.wrap(LeaseManager, "read", read)


def _before_return(patch: Patches, what: Callable[[Ledger, Return, float], None]) -> None:
    """Change the ledger before it folds a return."""

    def apply(original: Any, ledger: Ledger, record: Record, appended: float) -> int:
        if isinstance(record, Return):
            what(ledger, record, appended)
        granted: int = original(ledger, record, appended)
        return granted

    patch.wrap(Ledger, "apply", apply)


@mutant("returned twice", "a return that is written twice takes off twice", "doubled", 3, 2)
def returned_twice(patch: Patches) -> None:
    """It is taken off the rest, not off the grant."""

    def shrink(ledger: Ledger, record: Return, _: float) -> None:
        if (lease := ledger.leases.get((record.holder, record.lease))) is not None:
            lease.granted = lease.updates

    _before_return(patch, shrink)


@mutant("returned after it ceased to count", "a return of an expired lease is taken off the sum", "freezes", 5, 2)
def returned_after_it_ceased_to_count(patch: Patches) -> None:
    """It is always taken off."""

    def take_off(ledger: Ledger, record: Return, appended: float) -> None:
        lease = ledger.leases.get((record.holder, record.lease))
        if lease is None or lease.expires <= appended:
            ledger.used = max(0, ledger.used - record.unused)

    _before_return(patch, take_off)


@mutant("returned and spent", "an idle replica returns its lease, and spends it when an update comes", "drips", 1, 5)
def returned_and_spent(patch: Patches) -> None:
    """A returned lease stays in hand."""

    def decide(original: Any, holder: LeaseManager, boottime: float, need: Demand) -> list[Record]:
        records: list[Record] = original(holder, boottime, need)
        if not need.waiting and not need.in_flight:
            for grant in holder.allowance.grants:
                if grant.left and boottime < grant.ends:
                    settled = None if grant.flying or grant.lost else holder.terms.settled
                    records.append(Return(holder.who, grant.number, grant.left, settled))
        return records

    patch.wrap(LeaseManager, "decide", decide)


@mutant("settled with a call in flight", "a lease is settled while a request of it has not arrived", "long way", 2, 5)
def settled_with_a_call_in_flight(patch: Patches) -> None:
    """A return ignores calls in flight."""

    def blind(original: Any, holder: LeaseManager, *about: Any) -> Any:
        flying = [(grant, grant.flying) for grant in holder.allowance.grants]
        for grant, _ in flying:
            grant.flying = 0
        try:
            return original(holder, *about)
        finally:
            for grant, count in flying:
                grant.flying = count

    patch.wrap(LeaseManager, "decide", blind)
    patch.wrap(LeaseManager, "close", blind)


@mutant(
    "settled without an answer",
    "a lease is settled although a request that timed out may still arrive",
    "long way",
    1,
    6,
)
def settled_without_an_answer(patch: Patches) -> None:
    """No call is ever marked as unanswered."""
    patch.replace(QuotaGrant, "lost", property(lambda _: False, lambda *_: None))


@mutant("failed calls are free", "a request that failed is not counted, and the endpoint counts it", "answers", 2, 3)
def failed_calls_are_free(patch: Patches) -> None:
    """Its call can be spent again."""

    def leave(
        original: Any, gate: Gate, update: Update, answer: Answer, began: float, now: float, passed: Permit
    ) -> Any:
        shift = original(gate, update, answer, began, now, passed)
        passed[1].left += answer.verdict not in DONE
        return shift

    patch.wrap(Gate, "leave", leave)


def _counted(patch: Patches, seconds: Callable[[QuotaPolicy], float]) -> None:
    """Replace the time that a lease counts."""
    patch.replace(QuotaPolicy, "counted", property(seconds))


@mutant("counted for the window only", "a lease ceases to count a window after it was asked for", "answers", 5, 2)
def counted_for_the_window_only(patch: Patches) -> None:
    """Nothing is added."""
    _counted(patch, lambda terms: terms.window)


@mutant("the lease's time left out", "a call at a lease's end is counted too short", "edges", 3, 2)
def the_leases_time_left_out(patch: Patches) -> None:
    """Assumes that all calls are sent at once."""
    _counted(patch, lambda terms: terms.request_timeout + terms.settled)


@mutant("the timeout left out", "a call that arrives at its timeout is counted too short", "answers", 5, 2)
def the_timeout_left_out(patch: Patches) -> None:
    """Assumes that all calls arrive at once."""
    _counted(patch, lambda terms: terms.lease + terms.settled)


@mutant("the margin left out", "a broker whose clock is ahead expires a lease too early", "edges", 3, 2)
def the_margin_left_out(patch: Patches) -> None:
    """Assumes one clock."""
    patch.replace(QuotaPolicy, "settled", property(lambda terms: terms.window))


@mutant("the margin left out of a lease", "likewise for a lease with unanswered calls", "edges", 3, 6)
def the_margin_left_out_of_a_lease(patch: Patches) -> None:
    """Assumes one clock."""
    _counted(patch, lambda terms: terms.lease + terms.request_timeout + terms.window)


@mutant("folded by one's own clock", "replicas see different states at the same record", "calm", 3, 1)
def folded_by_ones_own_clock(patch: Patches) -> None:
    """Each replica folds by its own clock."""
    clocks: dict[Ledger, float] = {}

    def read(original: Any, holder: LeaseManager, record: Record | None, appended: float, boottime: float) -> None:
        clocks[holder.ledger] = boottime
        original(holder, record, appended, boottime)

    def apply(original: Any, ledger: Ledger, record: Record, appended: float) -> int:
        granted: int = original(ledger, record, clocks.get(ledger, appended))  # The oracle's ledger has no replica.
        return granted

    patch.wrap(LeaseManager, "read", read)
    patch.wrap(Ledger, "apply", apply)


@mutant(
    "settings instead of the record",
    "in a rolling upgrade replicas fold the same record by other limits and windows",
    "upgrade",
    1,
    2,
)
def settings_instead_of_the_record(patch: Patches) -> None:
    """Each replica folds by its own settings."""

    def read(original: Any, holder: LeaseManager, record: Record | None, *about: float) -> None:
        if isinstance(record, Reserve):
            terms = holder.terms
            record = Reserve(record.holder, record.lease, record.updates, terms.limit, terms.counted, 1.0)
        original(holder, record, *about)

    patch.wrap(LeaseManager, "read", read)


@mutant("spent elsewhere is not counted", "booked calls count too short", "by hand", 2, 3)
def spent_elsewhere_is_not_counted(patch: Patches) -> None:
    """They count for half the time."""

    def apply(original: Any, ledger: Ledger, record: Record, appended: float) -> int:
        if isinstance(record, Spend):
            record = structs.replace(record, counted=record.counted / 2)
        granted: int = original(ledger, record, appended)
        return granted

    patch.wrap(Ledger, "apply", apply)


@mutant("asks for nothing", "a replica with nothing to send holds leases", "calm", 4, 0)
def asks_for_nothing(patch: Patches) -> None:
    """It always reports demand."""

    def decide(original: Any, holder: LeaseManager, boottime: float, need: Demand) -> Any:
        return original(holder, boottime, replace(need, waiting=max(1, need.waiting)))

    patch.wrap(LeaseManager, "decide", decide)


@mutant("unused is not returned", "unspent calls count as spent, and the quota is not used", "calm", 3, 1)
def unused_is_not_returned(patch: Patches) -> None:
    """Each return reports nothing unused."""

    def decide(original: Any, *about: Any) -> list[Record]:
        return [
            structs.replace(record, unused=0) if isinstance(record, Return) else record for record in original(*about)
        ]

    patch.wrap(LeaseManager, "decide", decide)


@mutant("waits for what was lost", "a replica whose record was lost never asks again", "lost", 4, 1)
def waits_for_what_was_lost(patch: Patches) -> None:
    """It asks again only when its last request was read."""

    def decide(original: Any, holder: LeaseManager, *about: Any) -> list[Record]:
        waits = holder.asking
        return [record for record in original(holder, *about) if not (waits and isinstance(record, Reserve))]

    patch.wrap(LeaseManager, "decide", decide)
    patch.replace(LeaseManager, "failed", lambda *_: None)


@mutant("share not counted down", "low goes past its share until the ledger is looked at again", "shares", 2, 1)
def share_not_counted_down(patch: Patches) -> None:
    """Only a look at the ledger changes what may go."""
    patch.replace(QuotaShares, "spend", lambda shares: shares._lowest)


@mutant("share of one's own requests", "low goes past its share, since others have leased the rest", "shares", 1, 6)
def share_of_ones_own_requests(patch: Patches) -> None:
    """The window is what this replica has leased, and not what others have."""

    def filled(original: Any, replica: ClassReplica) -> int:
        ledger, who = replica.holder.ledger, replica.holder.who
        theirs = sum(lease.updates for (holder, _), lease in ledger.leases.items() if holder != who)
        spent: int = original(replica) - theirs
        return spent

    patch.wrap(ClassReplica, "filled", filled)


@mutant("leased is not used", "low goes past its share, since others may still send what they hold", "shares", 1, 6)
def leased_is_not_used(patch: Patches) -> None:
    """A lease of another counts when a part of it was given back."""

    def filled(original: Any, replica: ClassReplica) -> int:
        ledger, who = replica.holder.ledger, replica.holder.who
        held = [it for (holder, _), it in ledger.leases.items() if holder != who and it.updates == it.granted]
        spent: int = original(replica) - sum(lease.updates for lease in held)
        return spent

    patch.wrap(ClassReplica, "filled", filled)


@mutant("high waits for the pace", "a request of high waits as long as the others", "shares", 0)
def high_waits_for_the_pace(patch: Patches) -> None:
    """There is one rate."""
    patch.replace(Gate, "wait_ahead", Gate.wait)


@mutant("low keeps from itself", "what waits for its share holds leases", "shares", 2, 1)
def low_keeps_from_itself(patch: Patches) -> None:
    """All that waits is asked for."""

    def decide(original: Any, holder: LeaseManager, boottime: float, need: Demand) -> Any:
        return original(holder, boottime, replace(need, waiting=max(50, need.waiting)))

    patch.wrap(LeaseManager, "decide", decide)


@mutant("given back is used", "low stops before its share, since what was leased and not sent counts", "shares", 2, 5)
def given_back_is_used(patch: Patches) -> None:
    """The window is what was granted in it."""

    def filled(original: Any, replica: ClassReplica) -> int:
        leases = replica.holder.ledger.leases.values()
        spent: int = original(replica) + sum(lease.granted - lease.updates for lease in leases)
        return spent

    patch.wrap(ClassReplica, "filled", filled)
