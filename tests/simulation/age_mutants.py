"""Bugs planted in the rule that an event may be too old: they show which of its faults the simulation finds."""

import asyncio
from collections.abc import Mapping
from typing import Any

from connector.delivery import ages, coalescer
from connector.delivery import update as updates
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker
from connector.delivery.selection import Selection
from connector.delivery.update import Part, Update
from connector.events.change import Change
from connector.pipeline import intake
from connector.pipeline.state import ReplicaState
from tests.simulation.planting import Mutants, Patches

mutant = Mutants()
AGE_MUTANTS = mutant.all
Selected = tuple[Mapping[str, str], Done | None]


@mutant("age of the oldest record", "a new value is left out with an older record of its visitor", "ages", 3, 1)
def age_of_the_oldest_record(patch: Patches) -> None:
    """An update is as old as the first record that it waits for."""

    def older_than(original: Any, update: Update, limit: float) -> set[str]:
        old = [part for part in update.parts.values() if 0 <= part.oldest_ms < 1_000 * limit]
        return {*original(update, limit), *(name for part in old for name in part.attributes)}

    patch.wrap(Update, "older_than", older_than)


@mutant("time of the replaced value", "a new value is left out with the time of the one it replaced", "ages", 1, 2)
def time_of_the_replaced_value(patch: Patches) -> None:
    """A time is written once."""

    def write(original: Any, update: Update, part: Part, values: Mapping[str, str], times: Mapping[str, float]) -> None:
        original(update, part, values, {name: part.times.get(name, when) for name, when in times.items()})

    patch.wrap(Update, "write", write)


@mutant("one too old ends all", "a whole update is left out for one value of it that is too old", "ages", 1, 2)
def one_too_old_ends_all(patch: Patches) -> None:
    """It is asked whether any value is too old."""

    def of(original: Any, selection: Selection, update: Update, boottime: float, wall: float) -> Selected:
        selected: Selected = original(selection, update, boottime, wall)
        return selected if len(selected[0]) == len(update.attributes) else ({}, Done.EXPIRED)

    patch.wrap(Selection, "of", of)


@mutant("retries have no age", "a value that grew too old since its first attempt is sent", "ages", 3, 6)
def retries_have_no_age(patch: Patches) -> None:
    """What was sent once is sent until it is accepted."""

    def of(original: Any, selection: Selection, update: Update, boottime: float, wall: float) -> Selected:
        selected: Selected = original(selection, update, boottime, wall)
        return (dict(update.attributes), None) if update.attempts else selected

    patch.wrap(Selection, "of", of)


@mutant("age at the end alone", "a late event is merged over the newer value that waits", "ages", 5, 1)
def age_at_the_end_alone(patch: Patches) -> None:
    """The intake does not ask."""
    patch.replace(intake, "is_too_old", lambda *_: False)


@mutant("passed over and replaced", "a late event takes the newer value along that waits", "ages", 3, 5)
def passed_over_and_replaced(patch: Patches) -> None:
    """The last one in the log counts, also when it is too old itself."""
    states: list[ReplicaState] = []

    def init(original: Any, state: ReplicaState, *about: Any) -> None:
        original(state, *about)
        states.append(state)

    def is_too_old(original: Any, change: Change, *about: Any) -> bool:
        is_old: bool = original(change, *about)
        (mine,) = [it for it in states if it.now == asyncio.get_running_loop().time]
        if is_old and (update := mine.coalescer._pending.get(change.visitor)) is not None:
            update.forget(change.attributes)
        return is_old

    patch.wrap(ReplicaState, "__init__", init)
    patch.wrap(intake, "is_too_old", is_too_old)


@mutant("age at the beginning alone", "a value that grew too old while it waited is sent", "ages", 1, 2)
def age_at_the_beginning_alone(patch: Patches) -> None:
    """The selection does not ask."""
    patch.replace(Update, "older_than", lambda *_: set())


@mutant("age of the record", "an event that says how old it is goes by when it was written", "ages", 5, 1)
def age_of_the_record(patch: Patches) -> None:
    """`occurredAt` is not read."""
    for module in (ages, coalescer):
        patch.replace(module, "true_at", lambda _, record: record.timestamp()[1] / 1_000)


@mutant("no time is the oldest", "an event that has no time is left out", "ages", 1, 3)
def no_time_is_the_oldest(patch: Patches) -> None:
    """Kafka's -1 is a time like any other."""
    patch.replace(ages, "NO_TIME", None)
    patch.replace(updates, "NO_TIME", None)


@mutant("age by the monotonic clock", "a value is sent that grew too old while the machine slept", "ages", 3, 4)
def age_by_the_monotonic_clock(patch: Patches) -> None:
    """The loop's clock stands for the wall's."""

    def init(original: Any, state: ReplicaState, *about: Any) -> None:
        original(state, *about)
        state.wall = state.now

    patch.wrap(ReplicaState, "__init__", init)


@mutant("expired is handed over", "a record that was left out when it was read counts as another's", "ages", 5, 1)
def expired_is_handed_over(patch: Patches) -> None:
    """It is dropped as at a revoke."""
    patch.wrap(ReplicaState, "expire", lambda _, state, records: state.hand_over(records))


@mutant("old is done", "a commit calls newer records done with one that grew too old while it waits", "ages", 5, 2)
def old_is_done(patch: Patches) -> None:
    """Nothing waits for a partition whose oldest open record is too old."""
    states: list[ReplicaState] = []

    def init(original: Any, state: ReplicaState, *about: Any) -> None:
        original(state, *about)
        states.append(state)

    def to_commit(original: Any, tracker: OffsetTracker, *limit: Any, **how: Any) -> OffsetAndMetadata:
        for state in states:
            oldest, limit_seconds = state.coalescer.oldest_ms(tracker), state.oldest_wanted()
            if oldest is not None and limit_seconds is not None and oldest < 1_000 * limit_seconds:
                return OffsetAndMetadata(tracker.position)
        where: OffsetAndMetadata = original(tracker, *limit, **how)
        return where

    patch.wrap(ReplicaState, "__init__", init)
    patch.wrap(OffsetTracker, "to_commit", to_commit)


@mutant("expired is accepted", "a value counts as one that Target has, since its update is done", "ages", 8, 17)
def expired_is_accepted(patch: Patches) -> None:
    """What ends without a call is remembered however it ends."""

    def leave_out(original: Any, state: ReplicaState, update: Update, why: Done) -> None:
        if state.accepted is not None:
            names, now = [tracker.name for tracker in update.parts], state.boottime()
            state.accepted.accepted(update.visitor, update.attributes, names, now, now)
        original(state, update, why)

    patch.wrap(ReplicaState, "leave_out", leave_out)
