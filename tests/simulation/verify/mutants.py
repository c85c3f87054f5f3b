"""Wrong designs of the judgement, each planted by replacing one function or constant of it."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connector.target import profile as profiles
from connector.target.profile import Profile
from connector.verify import history
from connector.verify import judge as judging
from connector.verify.history import Asked
from connector.verify.judge import Verdict
from tests.simulation.planting import Mutants, Patches
from tests.simulation.verify.runs import PROFILE

mutant = Mutants()
MUTANTS = mutant.all


def _asked(patch: Patches, change: Callable[[Asked], Asked]) -> None:
    """Judge by what was asked for as `change` makes it."""

    def judge(original: Any, name: str, asked: Asked, *others: Any) -> Any:
        return original(name, change(asked), *others)

    patch.wrap(judging, "_judge", judge)


def _taken_for(patch: Patches, right: Verdict, wrong: Verdict) -> None:
    """Give the wrong verdict where the right one is due."""

    def judge(original: Any, *arguments: Any) -> Any:
        judgement = original(*arguments)
        return judgement._replace(verdict=wrong) if judgement.verdict is right else judgement

    patch.wrap(judging, "_judge", judge)


@mutant("times ignored", "an older value that still stands is taken for someone else's", PROFILE)
def times_ignored(patch: Patches) -> None:
    """Every other value came later."""

    def changed(original: Any, asked: Asked, found: Any) -> Any:
        return original(asked, found._replace(modified_at=None))

    patch.wrap(judging, "_changed", changed)


@mutant("zone ignored", "a time with an offset is read as UTC, hours off", PROFILE)
def zone_ignored(patch: Patches) -> None:
    """The offset is dropped."""

    def read(text: object) -> float | None:
        return None if not isinstance(text, str) else datetime.fromisoformat(f"{text[:23]}+00:00").timestamp()

    patch.replace(profiles, "_time", read)


@mutant("clocks taken as equal", "a write just after the event seems to come before it", PROFILE)
def clocks_taken_as_equal(patch: Patches) -> None:
    """No margin."""
    patch.replace(judging, "CLOCK_SECONDS", 0.0)


@mutant("lost at once", "a late value is called lost or replaced", PROFILE)
def lost_at_once(patch: Patches) -> None:
    """Accepted is taken for applied."""
    patch.replace(judging, "APPLIED_SECONDS", 0.0)


@mutant("accepted when written", "the time until an event is accepted is not granted", PROFILE)
def accepted_when_written(patch: Patches) -> None:
    """A backlog would make every value lost."""
    _asked(patch, lambda asked: asked._replace(settled_at=asked.settled_at and asked.newest.at))


@mutant("open events judged", "a value that may not be sent yet has a verdict", PROFILE)
def open_events_judged(patch: Patches) -> None:
    """Beyond the committed offset."""
    _asked(patch, lambda asked: asked._replace(settled_at=asked.settled_at or asked.newest.at))


@mutant("dead letters judged", "a value that was given up is expected at Target", PROFILE)
def dead_letters_judged(patch: Patches) -> None:
    """The dead-letter topic is not read."""
    _asked(patch, lambda asked: asked._replace(is_dead_lettered=False))


@mutant("no profile is a loss", "an unknown visitor is blamed on the delivery", PROFILE)
def no_profile_is_a_loss(patch: Patches) -> None:
    """Absent attributes of an absent profile."""

    def judge(original: Any, asked: Any, profile: Profile | None, now: float) -> Any:
        return original(asked, profile or Profile({}), now)

    patch.wrap(judging, "judge", judge)


@mutant("older values of ours forgotten", "an older value that was applied late is taken for someone else's", PROFILE)
def older_values_of_ours_forgotten(patch: Patches) -> None:
    """Only the newest is known."""
    _asked(patch, lambda asked: asked._replace(others={}))


@mutant("first event counts", "a value is expected that a later event has changed", PROFILE)
def first_event_counts(patch: Patches) -> None:
    """The order of the log is turned round."""

    def asked(original: Any, self: Any, *arguments: Any) -> Any:
        for name, each in original(self, *arguments):
            first = min(each.others, key=each.others.__getitem__, default=each.newest.value)
            yield name, each._replace(newest=each.newest._replace(value=first))

    patch.wrap(history.VisitorHistory, "asked", asked)


@mutant("a cut value is someone else's", "values cut by Target are not told", PROFILE)
def a_cut_value_is_someone_elses(patch: Patches) -> None:
    """No beginning is long enough."""
    patch.replace(judging, "LEAST_CUT", math.inf)


@mutant("a cut value matches", "the beginning of a value is taken for the value", PROFILE)
def a_cut_value_matches(patch: Patches) -> None:
    """Compared only so far as there is something."""

    def is_there(original: Any, asked: Asked, found: Any) -> bool:
        return original(asked, found) or (bool(found.value) and asked.newest.value.startswith(found.value))

    patch.wrap(judging, "_is_there", is_there)


@mutant("empty is lost", "an empty value that Target ignores is called lost", PROFILE)
def empty_is_lost(patch: Patches) -> None:
    """No rule for it."""
    _taken_for(patch, Verdict.EMPTY_IGNORED, Verdict.LOST)


@mutant("never replaced", "what a session's end took is called lost by the delivery", PROFILE)
def never_replaced(patch: Patches) -> None:
    """The rest of the profile is not looked at."""
    _taken_for(patch, Verdict.REPLACED, Verdict.LOST)


@mutant("always replaced", "a loss of the delivery is explained by a visit that never was", PROFILE)
def always_replaced(patch: Patches) -> None:
    """Without a trace of it."""
    _taken_for(patch, Verdict.LOST, Verdict.REPLACED)
