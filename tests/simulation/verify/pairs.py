"""Which truth each verdict stands for, and the named pairs that a profile cannot tell apart.

A pair is allowed only where the reason that its name gives is true in that world, which the world knows and the
judgement does not. docs/verify.md has the same list, held to it by a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connector.sandbox.fates import Fate
from connector.verify.judge import APPLIED_SECONDS, CLOCK_SECONDS, LEAST_CUT, Verdict
from tests.simulation.verify.world import DELAY, NOW, Event, World

EXACT: Final = {
    Fate.STANDS: Verdict.MATCH,
    Fate.CUT: Verdict.CUT,
    Fate.EMPTY: Verdict.EMPTY_IGNORED,
    Fate.WAITING: Verdict.LATE,
    Fate.LOST: Verdict.LOST,
    Fate.STALE: Verdict.LOST,
    Fate.UNKNOWN: Verdict.UNKNOWN,
    Fate.EXPIRED: Verdict.UNKNOWN,
    Fate.OVERRIDDEN: Verdict.REPLACED,
    Fate.REPLACED: Verdict.REPLACED,
    Fate.OVERWRITTEN: Verdict.OVERWRITTEN,
}
"""The verdict that is meant for each fate."""
GONE: Final = frozenset(
    {Fate.LOST, Fate.STALE, Fate.UNKNOWN, Fate.EXPIRED, Fate.OVERRIDDEN, Fate.REPLACED},
)
"""The newest value is not there, and no other system's stands instead."""
_MARGIN: Final = 2 * CLOCK_SECONDS


@dataclass(frozen=True, slots=True)
class Case:
    """One attribute of a world: its newest event, and what stands."""

    world: World
    name: str
    event: Event
    fate: Fate

    @property
    def sent(self) -> str:
        """The newest value."""
        return self.event.attributes[self.name]

    @property
    def standing(self) -> str | None:
        """The value that a fetch shows."""
        stored = self.world.stored
        return stored.attributes[self.name].value if stored is not None and self.name in stored.attributes else None

    @property
    def earlier(self) -> set[str]:
        """Our older values in the window."""
        events = (each for each in self.world.events if each.at >= self.world.window and each is not self.event)
        return {each.attributes[self.name] for each in events if self.name in each.attributes} - {self.sent}


@dataclass(frozen=True, slots=True)
class Pair:
    """A verdict that may stand for another truth, and when."""

    name: str
    verdict: Verdict
    fates: frozenset[Fate]
    holds: Callable[[Case], bool]


def _is_early(case: Case) -> bool:
    return case.event.at + DELAY + APPLIED_SECONDS > NOW


def _is_same(case: Case) -> bool:
    return case.standing == case.sent


def _is_written_later(case: Case) -> bool:
    """What stands is none of our older values of the window, and was written after the event, or nobody knows when."""
    stored = case.world.stored
    if stored is None or case.standing is None or case.standing in case.earlier:
        return False
    at = stored.attributes[case.name].modified_at / 1_000
    return not case.world.has_times or at >= case.event.at - _MARGIN


def _changed_at(case: Case) -> float:
    """When something was last written that is none of our values in the window, or the profile as a whole."""
    stored, ours, others = case.world.stored, [0.0], [0.0]
    if stored is None or not case.world.has_times:
        return 0.0
    for name, attribute in stored.attributes.items():
        values = {event.attributes.get(name) for event in case.world.events if event.at >= case.world.window}
        (ours if attribute.value in values else others).append(attribute.modified_at / 1_000)
    whole = stored.modified_at / 1_000
    return max([*others, whole]) if whole > max(ours) else max(others)


def _is_followed(case: Case) -> bool:
    """The value of a later event of ours is there, of another attribute."""
    stored = case.world.stored
    return stored is not None and any(
        name in stored.attributes and stored.attributes[name].value == value
        for event in case.world.events
        if event.at > case.event.at
        for name, value in event.attributes.items()
        if name != case.name
    )


def _is_changed_otherwise(case: Case) -> bool:
    return _is_followed(case) or _changed_at(case) >= case.event.at - _MARGIN


def _shows_nothing(case: Case) -> bool:
    return not _is_followed(case) and _changed_at(case) < case.event.at + _MARGIN


def _is_own_by_page(case: Case) -> bool:
    return case.standing in case.earlier


def _is_empty(case: Case) -> bool:
    return not case.sent


def _has_no_profile(case: Case) -> bool:
    return case.world.stored is None


def _was_cut_before(case: Case) -> bool:
    standing = case.standing or ""
    return LEAST_CUT <= len(standing) < len(case.sent) and case.sent.startswith(standing)


def is_given_up_elsewhere(case: Case) -> bool:
    """An earlier event with the same value became a dead letter after the newest one was written."""
    return any(
        event.is_dead and event.attributes.get(case.name) == case.sent and (event.accepted_at or 0.0) >= case.event.at
        for event in case.world.events
    )


PAIRS: Final = (
    Pair("before its time is over", Verdict.LATE, GONE | {Fate.OVERWRITTEN}, _is_early),
    Pair("the same value", Verdict.MATCH, frozenset(Fate) - {Fate.STANDS}, _is_same),
    Pair(
        "written by others after the event", Verdict.OVERWRITTEN, GONE | {Fate.WAITING, Fate.EMPTY}, _is_written_later
    ),
    Pair("changed by others after the event", Verdict.REPLACED, GONE, _is_changed_otherwise),
    Pair("nothing shows it", Verdict.LOST, GONE, _shows_nothing),
    Pair("an older value of ours, written by others", Verdict.LOST, frozenset({Fate.OVERWRITTEN}), _is_own_by_page),
    Pair("an older value of ours, written by others", Verdict.REPLACED, frozenset({Fate.OVERWRITTEN}), _is_own_by_page),
    Pair("an empty value", Verdict.EMPTY_IGNORED, frozenset(Fate) - {Fate.STANDS, Fate.EMPTY}, _is_empty),
    Pair("no profile", Verdict.UNKNOWN, frozenset(Fate), _has_no_profile),
    Pair("cut before", Verdict.CUT, GONE | {Fate.WAITING}, _was_cut_before),
)
"""Everything else is a wrong verdict."""


def told(case: Case, verdict: Verdict) -> str | None:
    """`exact`, or the name of the pair; None: a wrong verdict."""
    if case.world.stored is None and verdict is not Verdict.UNKNOWN:
        return None
    if EXACT[case.fate] is verdict:
        return "exact"
    found = (each for each in PAIRS if each.verdict is verdict and case.fate in each.fates and each.holds(case))
    return next((each.name for each in found), None)
