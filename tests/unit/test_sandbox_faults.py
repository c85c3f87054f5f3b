"""A chaos test proves nothing if its fault plan was parsed or drawn wrongly."""

import math
import random

import pytest

from connector.sandbox.fates import PROMPT, Processing
from connector.sandbox.fault_text import Fault, FaultTextError, Kind, parse_fault
from connector.sandbox.faults import FaultPlan


def plan(*texts: str, seed: int = 1, now: float = 0.0) -> FaultPlan:
    """A plan from its text form."""
    return FaultPlan([parse_fault(text) for text in texts], random.Random(seed), now)


def kind_at(faults: FaultPlan, now: float, visitor: str | None = "v") -> Kind | None:
    """The fault that decides a request at a time."""
    fault = faults.draw(visitor, now).fault
    return None if fault is None else fault.kind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("status=503", Fault("", Kind.STATUS, status=503)),
        ("status=503,p=0.1,retry_after=1", Fault("", Kind.STATUS, status=503, probability=0.1, retry_after=1)),
        ("delay=0.2", Fault("", Kind.DELAY, seconds=0.2)),
        ("drop", Fault("", Kind.DROP)),
        ("lost_answer,p=0.05", Fault("", Kind.LOST_ANSWER, probability=0.05)),
        ("hang", Fault("", Kind.HANG, seconds=60.0)),
        ("hang=5,limit=3", Fault("", Kind.HANG, seconds=5.0, limit=3)),
        ("false", Fault("", Kind.FALSE)),
        ("xml", Fault("", Kind.XML, status=500)),
        ("json=400", Fault("", Kind.JSON, status=400)),
        ("html", Fault("", Kind.HTML, status=502)),
        ("empty", Fault("", Kind.EMPTY)),
        ("redirect", Fault("", Kind.REDIRECT, status=302, location="/elsewhere")),
        ("redirect=/a,status=307", Fault("", Kind.REDIRECT, status=307, location="/a")),
        ("unauthorized_after=30", Fault("", Kind.UNAUTHORIZED_AFTER, status=401, seconds=30.0)),
        ("quota=1000/60", Fault("", Kind.QUOTA, status=429, requests=1_000, seconds=60.0)),
        ("quota=5/1,status=503", Fault("", Kind.QUOTA, status=503, requests=5, seconds=1.0)),
        ("lag=60", Fault("", Kind.LAG, seconds=60.0, most_seconds=60.0)),
        ("lag=60-3600,p=0.1", Fault("", Kind.LAG, seconds=60.0, most_seconds=3_600.0, probability=0.1)),
        ("lost,p=0.001", Fault("", Kind.LOST, probability=0.001)),
        ("reordered", Fault("", Kind.REORDERED)),
        ("overwritten", Fault("", Kind.OVERWRITTEN, seconds=1.0)),
        ("fetch=429,retry_after=5", Fault("", Kind.FETCH, status=429, retry_after=5)),
        ("status=500,visitors=1%", Fault("", Kind.STATUS, status=500, visitor_share=0.01)),
        (
            "drop, visitors=poison, start=1, end=2.5",
            Fault("", Kind.DROP, visitor_contains="poison", start=1.0, end=2.5),
        ),
    ],
)
def test_each_kind_is_read(text: str, fault: Fault) -> None:
    """Every kind and option of the text form means what the documentation says."""
    read = parse_fault(text)
    assert read.text == text
    for name in Fault.__slots__:
        if name != "text":
            assert getattr(read, name) == getattr(fault, name), name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no kind of fault; known are status, delay"),
        ("statu=503", "'statu' is no kind"),
        ("status", "a value is missing, as in status=503"),
        ("status=abc", "'abc' is no number"),
        ("status=199", "a status is 200 to 599"),
        ("status=600", "a status is 200 to 599"),
        ("drop=1", "drop takes no value"),
        ("delay=0", "must be above 0"),
        ("delay=nan", "must be above 0"),
        ("delay=inf", "must be above 0"),
        ("quota=10", "write quota=1000/60"),
        ("quota=0/1", "must be above 0"),
        ("lag=0", "must be above 0, as in lag=60 or lag=60-3600"),
        ("lag=9-8", "the second number is the larger one"),
        ("lost=1", "lost takes no value"),
        ("fetch=99", "a status is 200 to 599"),
        ("redirect=", "as in redirect"),
        ("drop,p=1.5", "p is a number, 0 to 1, not '1.5'"),
        ("drop,p=nan", "p is a number"),
        ("drop,p=x", "p is a number"),
        ("drop,limit=1.5", "limit is a whole number"),
        ("drop,limit=inf", "limit is a number, 0 or more"),
        ("drop,visitors=101%", "visitors is a number, 0 to 100"),
        ("drop,start=2,end=1", "end must be later than start"),
        ("drop,when=now", "'when=now' is no option"),
        ("drop,p", "'p' is no option"),
        ("drop,p=1,p=1", "given twice"),
        ("drop,status=500", "an option of quota and redirect only"),
    ],
)
def test_a_wrong_fault_says_what_is_wrong(text: str, words: str) -> None:
    """The message quotes the text and names the part, for a person at a command line."""
    with pytest.raises(FaultTextError) as caught:
        parse_fault(text)
    assert words in str(caught.value)
    assert repr(text) in str(caught.value)


def test_a_probability_holds_over_many_draws() -> None:
    """A tenth is about a tenth, and the same seed draws the same."""
    first, again = plan("status=503,p=0.1", seed=7), plan("status=503,p=0.1", seed=7)
    hits = [kind_at(first, 0.0) for _ in range(10_000)]
    assert hits == [kind_at(again, 0.0) for _ in range(10_000)]
    assert 900 < hits.count(Kind.STATUS) < 1_100
    assert first.drawn == {"status=503,p=0.1": hits.count(Kind.STATUS)}
    assert kind_at(plan("drop,p=0"), 0.0) is None


def test_a_limit_ends_a_fault() -> None:
    """A limit of three applies three times."""
    faults = plan("drop,limit=3")
    assert [kind_at(faults, 0.0) for _ in range(5)] == [Kind.DROP] * 3 + [None] * 2


def test_a_fault_is_limited_to_its_time() -> None:
    """Start and end count from the moment the plan was set; the end is not inside."""
    faults = plan("drop,start=5,end=10", now=100.0)
    assert [kind_at(faults, now) for now in (104.9, 105.0, 109.9, 110.0)] == [None, Kind.DROP, Kind.DROP, None]


def test_a_fault_applies_to_its_visitors_alone() -> None:
    """By part of the id, or a share that is the same visitors each time; never a request without a readable visitor."""
    by_part = plan("drop,visitors=poison")
    assert kind_at(by_part, 0.0, "the-poison-one") is Kind.DROP
    assert kind_at(by_part, 0.0, "another") is None
    assert kind_at(by_part, 0.0, None) is None
    by_share = plan("status=500,visitors=1%")
    ids = [f"visitor-{n}" for n in range(20_000)]
    hit = [visitor for visitor in ids if kind_at(by_share, 0.0, visitor)]
    assert 150 < len(hit) < 250
    assert all(kind_at(by_share, 0.0, visitor) for visitor in hit)


def test_delays_add_up_and_the_first_other_fault_decides() -> None:
    """Faults combine in their order; a skipped one is not used up."""
    faults = plan("delay=0.2", "drop,limit=1", "status=500,limit=1", "delay=0.3")
    first, second, third = (faults.draw("v", 0.0) for _ in range(3))
    assert [draw.fault.kind if draw.fault else None for draw in (first, second, third)] == [
        Kind.DROP,
        Kind.STATUS,
        None,
    ]
    assert all(math.isclose(draw.delay, 0.5) for draw in (first, second, third))


def test_an_expired_token_is_refused_until_it_is_renewed() -> None:
    """401 begins at its time and stays, until a new token is set."""
    faults = plan("unauthorized_after=30", now=10.0)
    assert [kind_at(faults, now) for now in (39.9, 40.0, 1_000.0)] == [
        None,
        Kind.UNAUTHORIZED_AFTER,
        Kind.UNAUTHORIZED_AFTER,
    ]
    faults.token_renewed()
    assert kind_at(faults, 1_001.0) is None


def test_a_quota_is_a_rolling_window_over_all_requests() -> None:
    """The window moves with each request, and refused requests count: a fixed window would allow twice as many."""
    faults = plan("quota=2/10")
    assert [kind_at(faults, now) for now in (0.0, 9.0, 9.5, 10.0, 18.9, 19.5)] == [
        None,
        None,
        Kind.QUOTA,
        Kind.QUOTA,
        Kind.QUOTA,
        Kind.QUOTA,
    ]
    assert kind_at(faults, 40.0) is None
    assert faults.drawn == {"quota=2/10": 4}


def test_a_quota_counts_what_other_faults_answer() -> None:
    """A failed request counts as well."""
    faults = plan("status=500,limit=2", "quota=2/10")
    assert [kind_at(faults, 0.0) for _ in range(3)] == [Kind.STATUS, Kind.STATUS, Kind.QUOTA]


def test_what_happens_after_the_answer_takes_no_answers_place() -> None:
    """The client sees the same success: a lag that hid a failing answer would test nothing."""
    faults = plan("lag=10-20", "lost,limit=1", "reordered", "overwritten=5", "status=500,limit=1")
    first, second = faults.draw("v", 0.0), faults.draw("v", 0.0)
    assert [draw.fault.kind if draw.fault else None for draw in (first, second)] == [Kind.STATUS, None]
    assert 10 <= first.processing.lag <= 20
    assert first.processing != second.processing
    assert second.processing == Processing(second.processing.lag, is_reordered=True, overwritten_after=5.0)
    assert plan("drop").draw("v", 0.0).processing is PROMPT


def test_a_fault_of_fetches_leaves_updates_alone() -> None:
    """And a fault of updates leaves the fetches alone."""
    faults = plan("fetch=503,limit=1", "status=500")
    assert kind_at(faults, 0.0) is Kind.STATUS
    hit = faults.draw_fetch("v", 0.0)
    assert hit is not None
    assert (hit.kind, hit.status) == (Kind.FETCH, 503)
    assert faults.draw_fetch("v", 0.0) is None
