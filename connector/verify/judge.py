"""What a fetched profile says of each value that was accepted: pure, by (history, profile, now).

A profile shows a value and when it was last written. A value that was written before the event is older than it.
One that was written later, and is none of ours, has another writer. Cases that look the same are named in
docs/verify.md; tests/simulation/verify holds the verdicts to the sandbox's truth.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from connector.target.profile import Profile, ProfileAttribute
from connector.verify.history import Asked

APPLIED_SECONDS: Final = 86_400.0
"""Documented: usually under an hour, at most 24 hours from an accepted update until it is applied."""
CLOCK_SECONDS: Final = 300.0
"""By so much may the clocks of the brokers and of Target differ."""
LEAST_CUT: Final = 128
"""Characters: the shortest limit of a text that is documented anywhere in Target. A shorter beginning is no cut."""


class Verdict(enum.StrEnum):
    """What became of the newest value of an attribute, as far as a profile shows."""

    MATCH = "match"
    LATE = "late"
    """Not there, and within the time that Target takes at most."""
    LOST = "lost"
    """Not there after that time, and nothing shows why: an older value stands, or none."""
    REPLACED = "replaced"
    """Not there after that time, and something else changed the profile since."""
    OVERWRITTEN = "overwritten"
    """Someone else wrote the attribute since."""
    CUT = "cut"
    """Its beginning is there."""
    EMPTY_IGNORED = "empty_ignored"
    """An empty value, and the profile has none or another."""
    UNKNOWN = "unknown"
    """Target has no profile of the visitor: never made, or expired."""
    EXPIRED = "expired"
    """Not there, and it may have been too old when its turn came (`EVENT_MAX_AGE_SECONDS`). Not judged."""
    PENDING = "pending"
    """Its update may not have been accepted yet, by the committed offsets. Not judged."""
    DEAD_LETTERED = "dead_lettered"
    """It was given up, and is in the dead-letter topic. Not judged."""


HARM: Final = frozenset({Verdict.LOST, Verdict.REPLACED, Verdict.CUT})
"""An accepted value is not there as it was accepted."""
JUDGED: Final = HARM | {Verdict.MATCH}
"""These say something about harm; by the others nothing is known yet, or can be known."""


class Judgement(NamedTuple):
    """One attribute's verdict."""

    verdict: Verdict
    applied_after: float | None = None
    """Of a match: seconds from the event to when Target wrote it, where the profile shows that."""
    is_followed: bool = False
    """A later event of the visitor, without this attribute, was applied."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the whole profile shows beside the attribute that is judged."""

    changed_at: float
    """When something that is not ours was last written, or the profile as a whole; minus infinity: not shown."""
    applied: Mapping[str, float]
    """By attribute the time of the event whose value is there."""


def judge(
    asked: Mapping[str, Asked], profile: Profile | None, now: float, max_age: float = math.inf
) -> dict[str, Judgement]:
    """Judge each attribute of a visitor. `profile` is what was fetched at `now`; None: there is none.

    `max_age`: seconds after which the connector does not send a change any more.
    """
    seen = _seen(asked, profile)
    return {name: _judge(name, each, profile, seen, now, max_age) for name, each in asked.items()}


def _judge(name: str, asked: Asked, profile: Profile | None, seen: _Seen, now: float, max_age: float) -> Judgement:
    if asked.settled_at is None:
        return Judgement(Verdict.PENDING)
    if asked.is_dead_lettered:
        return Judgement(Verdict.DEAD_LETTERED)
    if profile is None:
        return Judgement(Verdict.UNKNOWN)
    newest, found = asked.newest, profile.attributes.get(name)
    is_followed = any(at > newest.at for other, at in seen.applied.items() if other != name)
    if found is not None and _is_there(asked, found):
        return Judgement(Verdict.MATCH, _delay(newest.at, found.modified_at), is_followed)
    verdict = None if found is None else _changed(asked, found)
    return Judgement(verdict or _missing(asked, seen, now, max_age, is_followed=is_followed), is_followed=is_followed)


def _missing(asked: Asked, seen: _Seen, now: float, max_age: float, *, is_followed: bool) -> Verdict:
    """Why an older value stands, or none."""
    if not asked.newest.value:
        return Verdict.EMPTY_IGNORED
    if asked.settled_at is not None and asked.newest.occurred + max_age < asked.settled_at:
        return Verdict.EXPIRED
    if asked.settled_at is not None and now < asked.settled_at + APPLIED_SECONDS:
        return Verdict.LATE
    is_replaced = is_followed or seen.changed_at >= asked.newest.at - CLOCK_SECONDS
    return Verdict.REPLACED if is_replaced else Verdict.LOST


def _is_there(asked: Asked, found: ProfileAttribute) -> bool:
    return found.value == asked.newest.value or found.value in asked.rivals


def _changed(asked: Asked, found: ProfileAttribute) -> Verdict | None:
    """Whether the value that is there came after ours, or from it; None: it is older, or an older one of ours."""
    sent, is_ours = asked.newest.value, found.value in asked.others
    is_later = found.modified_at is None or found.modified_at >= asked.newest.at - CLOCK_SECONDS
    is_beginning = LEAST_CUT <= len(found.value) < len(sent) and sent.startswith(found.value)
    if is_beginning and (is_later or not is_ours):
        return Verdict.CUT
    # An older value of ours that was applied later is no foreign one: it was late itself.
    return Verdict.OVERWRITTEN if is_later and not is_ours else None


def _delay(event_at: float, modified_at: float | None) -> float | None:
    """From the event to its application; None where the value was there before, or no time is shown."""
    if modified_at is None or modified_at < event_at - CLOCK_SECONDS:
        return None
    return max(0.0, modified_at - event_at)


def _seen(asked: Mapping[str, Asked], profile: Profile | None) -> _Seen:
    if profile is None:
        return _Seen(float("-inf"), {})
    applied: dict[str, float] = {}
    changed_at = ours_at = float("-inf")
    for name, found in profile.attributes.items():
        known = asked.get(name)
        ours = None if known is None else known.event_of(found.value)
        if ours is not None:
            applied[name] = ours
        if found.modified_at is None:
            continue
        if ours is not None:
            ours_at = max(ours_at, found.modified_at)
        else:
            changed_at = max(changed_at, found.modified_at)
    if profile.modified_at is not None and profile.modified_at > ours_at:
        changed_at = max(changed_at, profile.modified_at)
    return _Seen(changed_at, applied)
