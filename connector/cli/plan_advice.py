"""What follows from a forecast, in sentences that name the setting to change."""

import math
from collections.abc import Iterable, Iterator, Sequence

from connector.cli.units import percent, span
from connector.plan import Assumptions, Cost, LingerForecast, Quota, SurveyResult

HEADROOM = 0.8
"""A linger fits with at most this share of the quota: retries, repeats and a better day need the rest."""
NOTABLE_SAVING = 0.01
"""Part of the calls that is worth a word."""
NOTABLE_WAIT = 5.0
"""Seconds of waiting for the rate that are worth a word; bursts wait a little at any rate."""
FEW_SECONDS = 600.0
"""Records of less tell nothing of a day: no linger is said to fit it."""
SHORTER = 0.95
"""Topics that hold less than this share of the time asked for are shorter than asked."""
MANY_MISSING = 0.02
MOSTLY = 0.5
DAY = 86_400.0


def advise(
    found: SurveyResult, quota: Quota, assumed: Assumptions, linger: float
) -> tuple[float | None, Sequence[str]]:
    """The linger to set, if one fits, and everything that is worth saying; `linger` is what is set now."""
    if not found.records:
        return None, [_nothing(found)]
    if found.seconds < FEW_SECONDS:
        few = f"Only {span(found.seconds)} could be read: far too little to say anything of a day, or what linger fits."
        return None, [few, *_about_bounds(found, assumed), *_about_the_records(found)]
    best = _shortest((outlook.linger, outlook) for outlook in found.outlooks)
    return best, [
        *_about_too_much(found, quota, assumed),
        *_about_the_quota(found, best, quota, linger),
        *_about_savings(found, best, quota, assumed),
        *_about_bounds(found, assumed),
        *_about_the_records(found),
    ]


def _nothing(found: SurveyResult) -> str:
    asked = span(found.until - found.asked_since)
    if found.missing:
        return f"The topics hold records, but none that can be read of the last {asked}: compacted, or aborted."
    return f"No record is of the last {asked} by its timestamp, so there is nothing to forecast; try more --hours."


def _shortest(costs: Iterable[tuple[float, LingerForecast | Cost]]) -> float | None:
    """The shortest linger that fits, of lingers and what each costs."""
    fits = [linger for linger, cost in costs if (cost.quota_share or 0.0) <= HEADROOM and not cost.paused]
    return min(fits, default=None)


def _about_too_much(found: SurveyResult, quota: Quota, assumed: Assumptions) -> Iterator[str]:
    """First of all: that no linger helps, what it would take, and what does.

    Where visitors come evenly, and W of V wait, an event meets one that waits with probability W/V: one call stands for
    1/(1 - W/V) events.
    """
    least = min((outlook.quota_share or 0.0 for outlook in found.outlooks), default=0.0)
    if not quota.updates or least <= 1 or not found.visitors:
        return
    calls = quota.updates * DAY / quota.seconds
    updates = calls / found.calls_per_update
    events = found.changes * DAY / found.seconds
    pending = math.ceil(found.visitors * max(0.0, 1 - updates / events))
    age = span(DAY * found.visitors / updates)
    yield (
        f"The quota cannot be met: {events:,.0f} events a day of {found.visitors:,} visitors, and {calls:,.0f} calls. "
        f"To fit, some {pending:,} visitors would have to be pending at once ({assumed.max_visitors:,} may be, by "
        f"COALESCE_MAX_VISITORS and --replicas), and a profile would be updated once in {age}."
    )
    yield (
        "What helps: fewer events (`when` of a mapping), COALESCE_UNCHANGED_SECONDS where values repeat; and for the "
        "rest Adobe's Bulk Profile Update API, which takes 500,000 rows a file and has limits of its own."
    )


def _about_the_quota(found: SurveyResult, best: float | None, quota: Quota, linger: float) -> Iterator[str]:
    if not quota.updates:
        yield "There is no quota, so the linger is a matter of delay and of the endpoint's load."
        return
    per = f"{quota.updates:,} updates in {span(quota.seconds)}"
    outlooks = sorted(found.outlooks, key=lambda outlook: outlook.linger)
    if best is not None:
        share = next(o.quota_share or 0.0 for o in outlooks if o.linger == best)
        keep = " (as it is)" if best == linger else ""
        yield (
            f"COALESCE_LINGER_SECONDS={best:g}{keep}: the shortest of these that fits {per} with headroom: "
            f"{percent(share)} of the quota, where {percent(HEADROOM)} is the mark."
        )
        return
    least = min(outlooks, key=lambda outlook: outlook.quota_share or 0.0)
    share = least.quota_share or 0.0
    if share <= HEADROOM:
        yield f"No linger fits both {per} and the bounds on what may be pending."
    elif share <= 1:
        yield (
            f"A linger of {span(least.linger)} fits {per}, but without headroom: {percent(share)}. Retries and a "
            "better day will wait for the quota."
        )
    else:
        yield (
            f"No linger fits {per}: even {span(least.linger)} takes {percent(share)}. The service would keep the "
            "quota, and fall behind by the rest until days are quieter: send fewer events, or only the attributes and "
            "visitors that matter, or have the account's quota raised."
        )


def _about_savings(found: SurveyResult, best: float | None, quota: Quota, assumed: Assumptions) -> Iterator[str]:
    """What each setting saves, with the linger that fits or else the one that takes the fewest calls."""
    least = min(found.outlooks, key=lambda outlook: outlook.updates_per_day)
    one = next((outlook for outlook in found.outlooks if outlook.linger == best), least)
    calls = one.updates_per_day
    if not calls:
        return
    yield from _about_unchanged(found, one, best, assumed)
    older = [
        f"{_part(number, calls)} with {age}"
        for age, number in one.updates_per_day_older_than.items()
        if age > one.linger and number >= NOTABLE_SAVING * calls
    ]
    if older:
        yield (
            f"EVENT_MAX_AGE_SECONDS saves calls whose newest change is older when its turn comes. Of {calls:,.0f} a "
            f"day with a linger of {span(one.linger)} it saves {', '.join(older)}."
        )
    low = one.updates_per_day_by_class["low"]
    if quota.updates and NOTABLE_SAVING * calls <= low < calls:
        yield (
            f"QUOTA_LOW_SHARE below 1 can hold back {_part(low, calls)} of {calls:,.0f} calls a day with a linger of "
            f"{span(one.linger)}: those of priority low. They wait and merge while the quota is short, and leave what "
            "is above the share to the others."
        )
    if (repeats := calls * (1 - 1 / found.calls_per_update)) >= NOTABLE_SAVING * calls:
        yield (
            f"TARGET_UNKNOWN_VISITOR_WAIT_SECONDS=0 saves {_part(repeats, calls)} of {calls:,.0f} calls a day with a "
            f"linger of {span(one.linger)}: the second and third ones for visitors that Target does not know "
            "(--unknown-share). But then an update that comes before its visitor's profile never reaches Target."
        )


def _about_unchanged(
    found: SurveyResult, one: LingerForecast, best: float | None, assumed: Assumptions
) -> Iterator[str]:
    sent = one.with_unchanged.updates_per_day
    saved = sent - one.without_unchanged.updates_per_day
    if saved < NOTABLE_SAVING * sent:
        return
    fits = _shortest((outlook.linger, outlook.without_unchanged) for outlook in found.outlooks)
    keep = " (as it is)" if assumed.unchanged_seconds else ""
    then = f" Then a linger of {span(fits)} fits." if fits is not None and (best is None or fits < best) else ""
    yield (
        f"COALESCE_UNCHANGED_SECONDS={found.unchanged_seconds:g}{keep} saves {_part(saved, sent)} of {sent:,.0f} calls "
        f"a day with a linger of {span(one.linger)}.{then}"
    )


def _part(number: float, of: float) -> str:
    return f"{number:,.0f} ({percent(number / of)})"


def _about_bounds(found: SurveyResult, assumed: Assumptions) -> Iterator[str]:
    full = [o for o in found.outlooks if o.paused]
    visitors = [o for o in full if o.peak_visitors >= assumed.max_visitors]
    size = [o for o in full if o.peak_bytes >= assumed.max_bytes]
    for named, name, bound in (
        (visitors, "COALESCE_MAX_VISITORS", f"{assumed.max_visitors:,}"),
        (size, "COALESCE_MAX_BYTES", f"{assumed.max_bytes:,}"),
    ):
        if named:
            yield (
                f"{name} ({bound}) is reached with a linger of {_all(named)}: consumption pauses, for "
                f"{span(max(o.paused for o in named))} in all at the worst. Raise it, add replicas (each holds its "
                "part of the visitors), or linger shorter."
            )
    waiting = [o for o in found.outlooks if o.longest_wait >= NOTABLE_WAIT]
    if waiting:
        yield (
            f"TARGET_MAX_UPDATES_PER_SECOND ({assumed.updates_per_second:g}) is reached with a linger of "
            f"{_all(waiting)}: updates wait for it, up to {span(max(o.longest_wait for o in waiting))}, and coalesce "
            "meanwhile."
        )


def _about_the_records(found: SurveyResult) -> Iterator[str]:
    asked = found.until - found.asked_since
    if FEW_SECONDS <= found.seconds < SHORTER * asked:
        yield (
            f"The topics hold only {span(found.seconds)} of the {span(asked)} asked for: a day is reckoned from those, "
            "and hours that are not among them may be busier."
        )
    long = [o for o in found.outlooks if 4 * o.linger > found.seconds]
    if long and found.seconds >= FEW_SECONDS:
        yield f"A linger of {_all(long)} is long against {span(found.seconds)} of records: there it is a rough guess."
    offsets = found.records + found.missing
    if found.missing > MANY_MISSING * offsets:
        yield (
            f"{percent(found.missing / offsets)} of the offsets hold no record any more (a compacted topic, or "
            "transactions): if events were compacted away, there were more updates than this forecast says."
        )
    if found.timeless:
        yield (
            f"{found.timeless:,} records have no timestamp that could be true (none, or in the future); each is taken "
            "as of the record before it."
        )
    if found.refused > MOSTLY * found.records:
        yield "More than half of the records are refused: are these the right topics, in the right format?"


def _all(outlooks: Sequence[LingerForecast]) -> str:
    names = [span(o.linger) for o in sorted(outlooks, key=lambda outlook: outlook.linger)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
