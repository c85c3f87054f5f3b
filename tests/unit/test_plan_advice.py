"""Operators act on the advice, so each sentence must come exactly when it is true."""

from dataclasses import replace
from typing import Any

import pytest

from connector.cli.plan_advice import advise
from connector.cli.units import percent, span
from connector.plan import Assumptions, Cost, LingerForecast, Quota, SurveyResult
from tests.support import surveys
from tests.support.surveys import DAY

QUOTA = Quota()
ASSUMED = Assumptions()
GOOD = LingerForecast(
    linger=1.0,
    updates=100,
    updates_per_day=100.0,
    quota_share=0.5,
    delay_p50=1.1,
    delay_p99=1.1,
    peak_visitors=10,
    peak_bytes=10_000,
    paused=0.0,
    longest_wait=0.0,
    with_unchanged=Cost(100.0, 0.5, 0.0),
    without_unchanged=Cost(100.0, 0.5, 0.0),
    unchanged_bytes=0,
    updates_per_day_by_class={"high": 0.0, "normal": 100.0, "low": 0.0},
    updates_per_day_older_than=dict.fromkeys((3_600, 21_600, 86_400, 604_800), 0.0),
)


def found(*outlooks: LingerForecast, **others: Any) -> SurveyResult:
    """A day's records; of a linger that fits, unless others are given."""
    return surveys.found(outlooks or [GOOD], **others)


def shares(*shares: float, **others: Any) -> list[LingerForecast]:
    """Lingers of 1, 10, 100 … seconds with these shares of the quota."""
    return [replace(GOOD, linger=10.0**number, quota_share=share, **others) for number, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("outlooks", "best", "says"),
    [
        (shares(0.8, 0.5), 1.0, "COALESCE_LINGER_SECONDS=1 (as it is): the shortest"),
        (shares(0.81, 0.5, 0.1), 10.0, "COALESCE_LINGER_SECONDS=10: the shortest"),
        (shares(1.2, 0.95), None, "A linger of 10 s fits 1,000,000 updates in 24 h, but without headroom: 95 %."),
        (shares(3.0, 1.2), None, "No linger fits 1,000,000 updates in 24 h: even 10 s takes 120 %."),
    ],
)
def test_the_linger_to_set_is_the_shortest_that_leaves_headroom(
    outlooks: list[LingerForecast], best: float | None, says: str
) -> None:
    """Longer than needed makes profiles late; without headroom the first busy day is over the quota."""
    made, advice = advise(found(*outlooks), QUOTA, ASSUMED, 1.0)
    assert made == best
    assert len(advice) == 1
    assert advice[0].startswith(says)


def test_a_linger_that_makes_consumption_pause_does_not_fit() -> None:
    """Its share is low only because the service paused."""
    first, second = shares(0.9, 0.2)
    full = replace(second, paused=60.0, peak_visitors=ASSUMED.max_visitors)
    best, advice = advise(found(first, full), QUOTA, ASSUMED, 1.0)
    assert best is None
    assert advice[0].startswith("No linger fits both 1,000,000 updates in 24 h and the bounds")
    assert (
        "COALESCE_MAX_VISITORS (200,000) is reached with a linger of 10 s: consumption pauses, for 1 min" in advice[1]
    )
    heavy = replace(second, paused=60.0, peak_bytes=ASSUMED.max_bytes)
    assert advise(found(first, heavy), QUOTA, ASSUMED, 1.0)[1][1].startswith("COALESCE_MAX_BYTES (268,435,456) is")


def test_updates_that_wait_for_the_rate_are_reported() -> None:
    """Moments are usual and not reported."""
    outlooks = shares(0.5, 0.4, 0.3)
    waiting = [replace(outlook, longest_wait=seconds) for outlook, seconds in zip(outlooks, (90, 6, 1), strict=True)]
    advice = advise(found(*waiting), QUOTA, ASSUMED, 1.0)[1]
    assert advice[1].startswith(
        "TARGET_MAX_UPDATES_PER_SECOND (200) is reached with a linger of 1 s and 10 s: updates wait for it, up to "
        "1.5 min, and coalesce"
    )


def test_without_a_quota_no_fit_is_reported() -> None:
    """The number stays; there is no share without a quota."""
    best, advice = advise(found(replace(GOOD, quota_share=None)), Quota(0), ASSUMED, 1.0)
    assert best == 1.0
    assert advice == ["There is no quota, so the linger is a matter of delay and of the endpoint's load."]


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"records": 0}, "No record is of the last 24 h by its timestamp"),
        ({"records": 0, "missing": 5}, "The topics hold records, but none that can be read of the last 24 h"),
        ({"since": DAY / 2}, "The topics hold only 12 h of the 24 h asked for"),
        ({"missing": 21}, "2.1 % of the offsets hold no record any more (a compacted topic, or transactions)"),
        ({"timeless": 3}, "3 records have no timestamp that could be true"),
        ({"refused": 501}, "More than half of the records are refused"),
    ],
)
def test_what_makes_the_forecast_doubtful_is_reported(others: dict[str, Any], says: str) -> None:
    """Each by itself, and none for a complete day's records."""
    advice = advise(found(**others), QUOTA, ASSUMED, 1.0)[1]
    assert advice[-1].startswith(says)
    assert len(advice) == (1 if "records" in others else 2)


def test_seconds_of_data_give_no_firm_advice() -> None:
    """A first try on a new topic: a linger set by it would be wrong on the first whole day."""
    full = replace(GOOD, paused=60.0, peak_visitors=ASSUMED.max_visitors)
    best, advice = advise(found(GOOD, full, since=DAY - 599, timeless=3), QUOTA, ASSUMED, 1.0)
    assert best is None
    assert advice[0] == "Only 10 min could be read: far too little to say anything of a day, or what linger fits."
    assert [sentence.partition(" ")[0] for sentence in advice[1:]] == ["COALESCE_MAX_VISITORS", "3"]
    assert advise(found(since=DAY - 600), QUOTA, ASSUMED, 1.0)[0] == 1.0


def test_a_linger_as_long_as_the_records_is_a_guess() -> None:
    """Four hours of records contain an hour's linger only a few times."""
    long = replace(GOOD, linger=3_600.0)
    advice = advise(found(GOOD, long, since=DAY - 3 * 3_600, asked_since=DAY - 3 * 3_600), QUOTA, ASSUMED, 1.0)[1]
    assert advice[-1] == "A linger of 1 h is long against 3 h of records: there it is a rough guess."


def test_times_and_shares_are_readable() -> None:
    """Three digits at most, and a unit that fits."""
    times = (0, 0.1009, 1, 59.9, 60, 90, 600, 3_600, 86_400, 172_800)
    assert [span(seconds) for seconds in times] == [
        *("0 s", "0.1 s", "1 s", "59.9 s", "1 min", "1.5 min", "10 min", "1 h", "24 h", "2 days")
    ]
    assert [percent(share) for share in (0, 0.00012, 0.034, 0.78, 12.5)] == [
        "0 %",
        "0.012 %",
        "3.4 %",
        "78 %",
        "1,250 %",
    ]


def test_that_the_quota_cannot_be_met_is_said_first_with_what_it_would_take() -> None:
    """Ten million events of three million visitors, and a million calls: nine in ten would have to wait."""
    outlooks = shares(9.0, 8.0)
    result = found(*outlooks, changes=10_000_000, visitors=3_000_000)
    _, sentences = advise(result, QUOTA, replace(ASSUMED, max_visitors=400_000), 1.0)
    first, second, *_ = sentences
    assert first.startswith(
        "The quota cannot be met: 10,000,000 events a day of 3,000,000 visitors, and 1,000,000 calls."
    )
    assert "some 2,700,000 visitors would have to be pending at once (400,000 may be" in first
    assert first.endswith("a profile would be updated once in 3 days.")
    assert "Bulk" in second
    unknown = replace(result, calls_per_update=2.0)
    first = advise(unknown, QUOTA, replace(ASSUMED, max_visitors=400_000), 1.0)[1][0]
    assert "and 1,000,000 calls. To fit, some 2,850,000 visitors" in first
    assert first.endswith("a profile would be updated once in 6 days.")
    _, fits = advise(found(*shares(1.2, 0.9), changes=10, visitors=5), QUOTA, ASSUMED, 1.0)
    assert not any("cannot be met" in sentence for sentence in fits)


BUSY = replace(
    GOOD,
    updates_per_day=20_000.0,
    with_unchanged=Cost(20_000.0, 0.5, 0.0),
    without_unchanged=Cost(20_000.0, 0.5, 0.0),
)


def savings(
    *outlooks: LingerForecast, quota: Quota = QUOTA, assumed: Assumptions = ASSUMED, **others: Any
) -> list[str]:
    """What is said after the linger."""
    return list(advise(found(*outlooks, **others), quota, assumed, 1.0)[1][1:])


def test_nothing_is_said_of_a_setting_that_saves_little() -> None:
    """Wrong design: five sentences of which none matters, so nobody reads the one that does."""
    little = replace(
        BUSY,
        without_unchanged=Cost(19_801.0, 0.5, 0.0),
        updates_per_day_by_class={"high": 0.0, "normal": 19_801.0, "low": 199.0},
        updates_per_day_older_than={3_600: 199.0, 21_600: 0.0, 86_400: 0.0, 604_800: 0.0},
    )
    assert savings(little, calls_per_update=1.009) == []
    assert savings(replace(little, updates_per_day=0.0, with_unchanged=Cost(0.0, 0.0, 0.0))) == []


def test_unchanged_values_are_told_with_the_linger_that_would_fit_then() -> None:
    """Wrong design: the saving of another linger than the one that is advised, or a shorter one that pauses."""
    first, second, third, fourth = (replace(BUSY, linger=10.0**n, quota_share=0.9) for n in range(4))
    paused = replace(first, without_unchanged=Cost(100.0, 0.1, 60.0))
    too_many = replace(second, without_unchanged=Cost(17_000.0, 0.81, 0.0))
    would_fit = replace(third, without_unchanged=Cost(16_000.0, 0.8, 0.0))
    says = "COALESCE_UNCHANGED_SECONDS=86400 saves 5,000 (25 %) of 20,000 calls a day with a linger of 16.7 min."
    fits = replace(fourth, quota_share=0.7, without_unchanged=Cost(15_000.0, 0.6, 0.0))
    assert savings(paused, too_many, would_fit, fits) == [f"{says} Then a linger of 1.7 min fits."]
    assert savings(fits) == [says]
    is_set = replace(ASSUMED, unchanged_seconds=600.0)
    assert savings(fits, assumed=is_set, unchanged_seconds=600.0) == [
        "COALESCE_UNCHANGED_SECONDS=600 (as it is) saves 5,000 (25 %) of 20,000 calls a day with a linger of 16.7 min."
    ]


def test_ages_are_told_that_the_linger_allows() -> None:
    """Wrong design: EVENT_MAX_AGE_SECONDS=3600 beside a linger of an hour, which the service refuses."""
    older = {3_600: 6_000.0, 21_600: 5_000.0, 86_400: 200.0, 604_800: 100.0}
    aged = replace(BUSY, updates_per_day_older_than=older)
    begin = (
        "EVENT_MAX_AGE_SECONDS saves calls whose newest change is older when its turn comes. Of 20,000 a day with a "
    )
    assert savings(aged) == [
        f"{begin}linger of 1 s it saves 6,000 (30 %) with 3600, 5,000 (25 %) with 21600, 200 (1 %) with 86400."
    ]
    assert savings(replace(aged, linger=3_600.0)) == [
        f"{begin}linger of 1 h it saves 5,000 (25 %) with 21600, 200 (1 %) with 86400."
    ]


def test_low_calls_are_told_where_others_could_go_first() -> None:
    """Wrong design: to hold back low without a quota, or where all is low and nobody gains by it."""
    some = replace(BUSY, updates_per_day_by_class={"high": 0.0, "normal": 15_000.0, "low": 5_000.0})
    (said,) = savings(some)
    assert said.startswith(
        "QUOTA_LOW_SHARE below 1 can hold back 5,000 (25 %) of 20,000 calls a day with a linger of 1 s:"
    )
    assert savings(some, quota=Quota(0)) == []
    assert savings(replace(BUSY, updates_per_day_by_class={"high": 0.0, "normal": 0.0, "low": 20_000.0})) == []


def test_the_repeats_for_unknown_visitors_are_told() -> None:
    """Two of three calls of each; wrong design: a third of them, or the first one too."""
    (said,) = savings(BUSY, calls_per_update=1.2)
    assert said.startswith(
        "TARGET_UNKNOWN_VISITOR_WAIT_SECONDS=0 saves 3,333 (17 %) of 20,000 calls a day with a linger of 1 s: the"
    )
