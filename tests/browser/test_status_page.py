"""The status page as a person sees it, in a real browser that complains about every script or style it refuses."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.browser import UNKNOWN, Browser
from tests.support.process import request
from tests.support.status import NOON, PROBLEM, Served, quota, status

PARTS = [
    {"topic": "profile-changes", "partition": number, "position": 1_000 + number, "committable": 900,
     "committed": 800 + number, "lag": 10 * number}
    for number in range(12)
]  # fmt: skip

WAIT = {
    "topic": "crm", "partition": 0, "offset": 48_112, "schema": "7", "seconds": 754.0,
    "reason": "registry:8081 answers 503",
}  # fmt: skip


@pytest.fixture
def served() -> Iterator[Served]:
    """A server whose answer each test sets."""
    with Served(status) as server:
        yield server


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """The browser; at the end the page has not broken its own policy, nor thrown an error."""
    yield chromium
    assert [line for line in chromium.complaints() if "Content Security Policy" in line or "Uncaught" in line] == []
    chromium.driver.get("about:blank")


def show(page: Browser, served: Served, *statuses: dict[str, Any], **window: Any) -> None:
    """Open the page on the first status and let it fetch each of the others."""
    served.answer = lambda: statuses[0]
    page.open(served.url, **window)
    for each in statuses:
        answer = each
        served.answer = lambda answer=answer: answer  # type: ignore[misc]
        page.ask_again()


HELD_BACK = {"visitors": 8, "overdue_seconds": 900.0, "held_back": True}
CLASSES: dict[str, Any] = {
    name: {"visitors": 0, "overdue_seconds": 0.0, "held_back": False} for name in ("high", "normal", "low")
}


def minutes_of(**growth: float) -> list[dict[str, Any]]:
    """A minute of statuses, two seconds apart; each named count grows by this much a second."""
    return [
        status(
            time=NOON + second,
            uptime_seconds=7_200 + second,
            events={
                "consumed": 1_000_000 + round(growth.get("consumed", 0) * second),
                "accepted": 999_000 + round(growth.get("accepted", 0) * second),
                "pending": round(growth.get("pending", 0)),
            },
            updates={
                "accepted": 333_000 + round(growth.get("updates", 0) * second),
                "pending": round(growth.get("pending", 0)),
                "in_flight": round(growth.get("in_flight", 0)),
            },
            calls_saved={"merging": 666_000 + round((growth.get("accepted", 0) - growth.get("updates", 0)) * second)},
            requests={
                "accepted": 333_000 + round(growth.get("updates", 0) * second),
                "throttled": 12 + round(growth.get("throttled", 0) * second),
            },
            lag=round(growth.get("lag", 0) + growth.get("lag_growth", 0) * second),
        )
        for second in range(0, 62, 2)
    ]


def test_classes_and_calls_saved_are_shown_where_there_are_some(page: Browser, served: Served) -> None:
    """Which updates wait on purpose, and which setting saved the calls; a user without classes sees none of it."""
    show(page, served, status())
    assert page.text("waiting-classes") == ""
    assert page.text("saved-unchanged-part") == ""
    waiting = {**CLASSES, "high": {**CLASSES["high"], "visitors": 2}, "low": HELD_BACK}
    show(page, served, status(waiting=waiting, calls_saved={"unchanged": 1_200}, events={"unchanged": 1_200}))
    assert page.text("waiting-classes") == "high 2, normal 0, low 8 (the quota is kept for higher ones)"
    assert page.text("saved-unchanged-part") == ", 1,200 by unchanged values"


VERIFIED: dict[str, Any] = {
    "seconds_ago": 7_500, "conclusion": "good", "drawn": 300, "judged": 280, "harmed": 0, "low": 0.0, "high": 0.0107,
    "confidence": 0.95, "verdicts": {"match": 812},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "2 h 5 min ago: none of 280 visitors with a lost, replaced or cut value, below 1.1 % of all at 95 %"),
        ({"conclusion": "harmed", "harmed": 3, "low": 0.002, "high": 0.031},
         "2 h 5 min ago: 3 of 280 visitors with a lost, replaced or cut value, 0.2 % to 3.1 % of all at 95 %"),
        ({"conclusion": "too_few", "judged": 12}, "2 h 5 min ago: of 300 visitors only 12 could be judged"),
    ],
)  # fmt: skip
def test_what_verify_found_is_shown(page: Browser, served: Served, changes: dict[str, Any], words: str) -> None:
    """An accepted update is a promise: how much of it is kept stands beside the answers of the endpoint."""
    show(page, served, status(verified=None))
    assert page.text("verified-words") == ""
    show(page, served, status(verified={**VERIFIED, **changes}))
    assert page.text("verified-words") == words


def test_every_number_is_that_of_the_status(page: Browser, served: Served) -> None:
    """A page that shows another count than /status misleads during an incident."""
    show(page, served, status(lag=1_234, updates={"pending": 56, "in_flight": 7}))
    texts = {
        "replica": "connector-0", "version": "0.1.0", "uptime": "2 h", "in-total": "1,000,000", "out-total": "333,000",
        "saved-total": "666,000", "saved-share": "67 %", "lag": "1,234", "circuit": "closed",
        "slots": "7 in flight (limit now 16, max 64)", "rate-limit": "200/s", "updates-pending": "56",
        "updates-in-flight": "7",
        "paused": "consuming", "age": "50 % within 1 s, 95 % within 2.5 s, 99 % within 5 s", "records-sum": "1,000,000",
        "records-even": "Counts match.", "quota-none": "No quota is kept.", "problems-none": "None since the start.",
        "partitions-note": "This replica owns 2 partitions.",
    }  # fmt: skip
    assert {name: page.text(name) for name in texts} == texts
    assert page.rows("records") == [
        ["accepted", "999,000"], ["dead letters", "900"], ["skipped", "100"], ["unchanged", "0"],
        ["expired", "0"], ["already done", "0"], ["handed over", "0"], ["pending", "0"],
    ]  # fmt: skip
    assert page.text("records-missed") == "", "it is hidden as long as nothing was missed"
    assert [row[:2] for row in page.rows("requests")] == [
        ["accepted", "333,000"], ["rejected", "7"], ["unauthorized", "0"], ["throttled", "12"], ["unavailable", "3"],
        ["timeout", "1"], ["unconfirmed", "0"],
    ]  # fmt: skip
    assert page.rows("partitions") == [
        ["profile-changes/0", "500,000", "500,000", "0"], ["profile-changes/1", "500,000", "500,000", "0"]
    ]  # fmt: skip
    assert page.complaints() == []


def test_counts_that_do_not_reconcile_are_shown(page: Browser, served: Served) -> None:
    """Consumed = done + pending is the promise; a page that hides a mismatch hides a loss."""
    show(page, served, status(events={"consumed": 1_000_001}))
    assert page.text("records-even") == "Counts do not match: the lines make 1,000,000."


def test_records_lost_from_the_log_are_shown(page: Browser, served: Served) -> None:
    """They cannot be read again: the page must show this after an outage, without a search in the log."""
    show(page, served, status(records_missed={"retention": 1_500, "truncation": 1}))
    assert page.text("records-missed") == (
        "1,500 records were deleted from Kafka before they could be read. 1 record was cut off from the end of the log."
    )


@pytest.mark.parametrize(
    ("left", "words", "style"),
    [
        (None, "", ""),
        (7_200_000, "ends in 83 d 8 h", ""),
        (7_200, "ends in 2 h", "alarming"),
        (-5, "has ended", "alarming"),
    ],
)
def test_the_end_of_the_token_is_shown_where_it_is_known(
    page: Browser, served: Served, left: int | None, words: str, style: str
) -> None:
    """It is the one thing of the endpoint that a person can put right before it fails."""
    show(page, served, status(token_expires_seconds=left))
    assert page.text("token-ends") == words
    assert page.driver.find_element("id", "token-ends").get_attribute("class") == style or not words


@pytest.mark.parametrize(
    ("pending", "shown", "headline"),
    [(0, "", "Caught up"), (3, "3", "Caught up, but for unknown visitors"), (90, "3", "Not moving")],
)
def test_unknown_visitors_are_counted_and_are_no_standstill(
    page: Browser, served: Served, pending: int, shown: str, headline: str
) -> None:
    """They wait for Target on purpose, for up to 90 minutes; others that wait as long are still told."""
    unknown = min(3, pending)
    waits = {"updates": {"pending": pending, "unknown_visitor": unknown}, "events": {"pending": pending}}
    show(page, served, *(status(**waits, lag=pending, time=NOON + second) for second in range(0, 92, 2)))
    assert page.text("unknown-visitors") == shown
    assert page.text("verdict-headline") == headline


def test_every_outcome_of_the_counters_has_a_line(page: Browser, served: Served) -> None:
    """One that the page does not know would make its sum wrong, and claim a loss."""
    show(page, served, status(events={"consumed": 1_000_007, "unchanged": 5, "another_one": 2}))
    rows = page.rows("records")
    assert ["unchanged", "5"] in rows
    assert ["another one", "2"] in rows
    assert page.text("records-even") == "Counts match."


def test_what_was_settled_before_a_restart_adds_up_too(page: Browser, served: Served) -> None:
    """A restart that reads again what was settled is no loss, and no skip by rule."""
    show(page, served, status(events={"consumed": 1_000_250, "already_done": 250}))
    assert ["already done", "250"] in page.rows("records")
    assert page.text("records-even") == "Counts match."


def test_what_a_mapping_skips_is_shown_by_its_condition(page: Browser, served: Served) -> None:
    """A condition that holds for nothing skips a whole topic: the page must say which one."""
    skips = [
        {"source": "crm", "condition": "op in c, u, r", "events": 40},
        {"source": "crm and 1 more", "condition": "<b>type</b> equals track", "events": 1_250},
    ]
    show(page, served, status(events_skipped=skips))
    assert page.rows("skips") == [
        ["crm and 1 more", "<b>type</b> equals track", "1,250"], ["crm", "op in c, u, r", "40"],
    ]  # fmt: skip
    show(page, served, status())
    assert page.run("return document.getElementById('skips-table').hidden")


def test_partitions_that_wait_for_a_schema_are_named_with_the_reason(page: Browser, served: Served) -> None:
    """Its lag grows while all others go on; the person on call needs place, schema and reason, longest wait first."""
    waits = [{**WAIT, "partition": number, "seconds": 10.0 + number} for number in range(12)]
    show(page, served, status(schema_waits=waits, partitions_assigned=20))
    assert page.rows("waits")[0] == ["crm/11@48112", "7", "21 s", "registry:8081 answers 503"]
    assert len(page.rows("waits")) == 8
    page.run("document.getElementById('waits-all').click()")
    assert len(page.rows("waits")) == 12
    show(page, served, status())
    assert page.run("return document.getElementById('waits-table').hidden")


def test_rates_come_from_successive_answers(page: Browser, served: Served) -> None:
    """By the connector's clock: a slow answer or a sleeping laptop must not show as a burst."""
    show(page, served, *minutes_of(consumed=500, accepted=450, updates=150, pending=90, lag=100, lag_growth=2))
    assert (page.text("in-rate"), page.text("out-rate")) == ("500", "150")
    assert page.text("lag-trend") == "grows by 2/s"
    assert page.rows("requests")[0][3] == "150/s"
    labels = [page.run(f"return document.getElementById('{name}-chart').getAttribute('aria-label')") for name in
              ("in", "saved", "out", "lag")]  # fmt: skip
    assert labels == [
        "Events in, a second, over the last 5 minutes: at most 500, now 500",
        "Events that needed no call of their own, a second, over the last 5 minutes: at most 300, now 300",
        "Updates out, a second, over the last 5 minutes: at most 150, now 150",
        "Lag in records over the last 5 minutes: at most 220, now 220",
    ]
    assert page.run("return document.querySelectorAll('#in-chart .line').length") == 1
    assert page.complaints() == []


def test_a_gap_between_answers_is_a_gap_in_the_chart(page: Browser, served: Served) -> None:
    """A line drawn across a lost connection would claim to know what nobody saw."""
    show(page, served, *(status(time=NOON + second) for second in (0, 2, 4, 60, 62, 64)))
    assert page.run("return document.querySelectorAll('#in-chart .line').length") == 2


@pytest.mark.parametrize(
    ("changes", "state", "headline", "detail"),
    [
        ({}, "OK", "Caught up", "Every record is settled, nothing waits."),
        ({"draining": True, "updates": {"pending": 3, "in_flight": 1}}, "WAITING", "Draining, it ends soon",
         "3 updates wait, 1 request is on the wire."),
        ({"health": {"livez": ["the consumer thread gave no sign of life for 99 s (limit 60 s)"], "readyz": []}},
         "FAILING", "Stuck", "the consumer thread gave no sign of life"),
        ({"circuit": {"open": True, "reason": "unavailable", "open_seconds": 754.0}, "updates": {"pending": 1_200}},
         "FAILING", "Endpoint failing since 11:47",
         ("For 12 min now it answers with errors or cannot be reached. "
          "Only probes are sent; 1,200 updates wait, nothing is lost.")),
        ({"circuit": {"open": True, "reason": "unauthorized", "open_seconds": 90_000.0}, "updates": {"pending": 1}},
         "FAILING", "Target refuses the token since 2026-11-27 11:00",
         "Renew TARGET_AUTH_TOKEN or its file. 1 update waits, nothing is lost."),
        ({"partitions_assigned": 0, "partitions": [], "lag": None}, "IDLE", "No partitions", "other replicas own them"),
        ({"partitions_assigned": 0, "health": {"livez": [], "readyz": ["no Kafka broker has answered yet"]}},
         "WARNING", "Not ready", "no Kafka broker has answered yet."),
        ({"lease_seconds": -3.0, "updates": {"pending": 4}}, "WAITING", "Waiting for Kafka", "4 updates wait."),
        ({"lease_seconds": None}, "WAITING", "Waiting for Kafka", "nothing is sent"),
        ({"quota": quota(0, read=False), "updates": {"pending": 8}, "lag": 9}, "WAITING",
         "Waiting for the quota's ledger",
         "Until it has been read once, it is not known what may be sent. 8 updates wait."),
        ({"quota": quota(1_000_000, in_hand=0, used_up_seconds=0.0), "updates": {"pending": 8}, "lag": 9}, "WAITING",
         "Waiting for quota",
         ("All 1,000,000 of the last 24 h are used. The next 1,200 updates come free in 12 min. "
          "8 updates wait.")),
        ({"quota": quota(1_000_000, in_hand=5, used_up_seconds=0.0), "updates": {"pending": 8}, "lag": 9}, "WORKING",
         "Sending", "8 updates wait."),
        ({"waiting": {**CLASSES, "low": HELD_BACK}, "updates": {"pending": 8}, "lag": 0, "quota": quota(950_000)},
         "WAITING", "Quota kept for higher classes",
         "8 updates of lower classes wait until the window frees a part of it; what waits goes on merging."),
        ({"waiting": {**CLASSES, "low": HELD_BACK}, "updates": {"pending": 9}, "lag": 9, "quota": quota(950_000)},
         "WORKING", "Sending", "9 updates wait."),
        ({"lag": None, "events": {"consumed": 0, "pending": 0}}, "OK", "Ready, no events yet", "read nothing"),
        ({"paused": True, "updates": {"pending": 9}, "lag": 50}, "WORKING", "Sending", "Reading is paused"),
        ({"schema_waits": [{**WAIT, "seconds": 0.4}]}, "OK", "Caught up", "nothing waits"),
        ({"schema_waits": [{**WAIT, "partition": 1, "seconds": 6.0}, WAIT], "partitions_assigned": 3}, "WARNING",
         "2 partitions wait for a schema",
         "Schema 7, for 12 min: registry:8081 answers 503. All others go on. Nothing is lost."),
        ({"schema_waits": [WAIT], "partitions_assigned": 1}, "WARNING", "All partitions wait for a schema",
         "registry:8081 answers 503. Nothing is lost."),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isupper() else "",
)  # fmt: skip
def test_the_first_line_says_in_words_how_it_is(
    page: Browser, served: Served, changes: dict[str, Any], state: str, headline: str, detail: str
) -> None:
    """An operator reads one line first; of several problems the one that explains the others comes first."""
    show(page, served, status(**changes))
    assert (page.text("verdict-word"), page.text("verdict-headline")) == (state, headline)
    assert detail in page.text("verdict-detail")
    assert page.driver.title == f"{headline} · connector-0"
    assert page.complaints() == []


@pytest.mark.parametrize(
    ("growth", "headline", "detail"),
    [
        ({"consumed": 500, "accepted": 500, "updates": 150, "pending": 90, "lag": 300}, "Sending, keeping up", "waits"),
        ({"consumed": 500, "updates": 150, "pending": 90, "lag": 90_000, "lag_growth": -100}, "Sending, catching up",
         "About 14 min to go."),
        ({"consumed": 500, "updates": 195, "pending": 90, "lag": 90_000, "lag_growth": 50}, "Sending, falling behind",
         "The lag grows by 50 records a second. It sends at its rate limit, 200/s."),
        ({"consumed": 500, "updates": 150, "pending": 90, "in_flight": 16, "lag": 90_000, "lag_growth": 50},
         "Sending, falling behind", "All 16 slots are in use: the endpoint is the limit."),
        ({"consumed": 500, "updates": 100, "throttled": 25, "pending": 90, "lag": 90_000, "lag_growth": 50},
         "Sending, falling behind", "20 % of the requests of the last minute failed."),
        ({"pending": 90, "lag": 90}, "Not moving", "90 updates wait, and none was settled for 1 min 0 s."),
    ],
)  # fmt: skip
def test_the_first_line_says_where_it_is_going(
    page: Browser, served: Served, growth: dict[str, float], headline: str, detail: str
) -> None:
    """Whether a lag of 90,000 is a problem depends on its direction; then its cause is asked for."""
    show(page, served, *minutes_of(**growth))
    assert page.text("verdict-headline") == headline
    assert detail in page.text("verdict-detail")


def test_a_pace_of_the_quota_is_named_as_the_limit(page: Browser, served: Served) -> None:
    """More replicas do not help then; the page must say so."""
    slow = [
        {**each, "quota": quota(pace_per_second=100.0), "rate_per_second": 100.0}
        for each in minutes_of(updates=99, pending=9, lag=90_000)
    ]
    show(page, served, *slow)
    assert "at the pace of the quota, 100/s (QUOTA_HORIZON_SECONDS=3600)" in page.text("verdict-detail")
    assert page.text("quota-horizon") == "QUOTA_HORIZON_SECONDS=3600"


def test_a_slow_pace_of_the_quota_is_no_standstill(page: Browser, served: Served) -> None:
    """At the end of a busy day one update a minute may go: that is no alarm."""
    slow = [{**each, "quota": quota(999_000, pace_per_second=0.02)} for each in minutes_of(pending=9, lag=90_000)]
    show(page, served, *slow)
    assert (page.text("verdict-word"), page.text("verdict-headline")) == ("WAITING", "Slowed by the quota")
    assert page.text("verdict-detail") == (
        "1,000 are left of it, and it lets one go every 50 s (QUOTA_HORIZON_SECONDS=3600). 9 updates wait."
    )


def test_a_lost_connection_is_shown_with_its_time_and_recovers(page: Browser, served: Served) -> None:
    """Numbers that are an hour old and look current mislead more than missing ones."""
    show(page, served, status(lag=77))
    served.stop()
    page.until(lambda: "Connection lost" in page.text("verdict-headline"), "the page says that it lost the connection")
    first = page.text("verdict-headline")
    assert re.fullmatch(r"Connection lost since \d\d:\d\d:\d\d", first)
    assert page.text("verdict-word") == "NO CONNECTION"
    assert "The connector does not answer. The last state" in page.text("verdict-detail")
    assert "all numbers below are from then" in page.text("verdict-detail")
    assert page.text("link").startswith("Not live: no answer for ")
    assert page.text("lag") == "77"
    assert page.run("return getComputedStyle(document.querySelector('.tiles')).filter") == "grayscale(1)"
    page.until(lambda: re.search(r"for ([3-9]|\d\d) s", page.text("link")), "the time without an answer grows")
    assert page.text("verdict-headline") == first
    served.answer = lambda: status(time=NOON + 60, lag=78)
    served.start()
    page.until(lambda: page.text("lag") == "78", "the page is live again by itself")
    assert page.text("link").startswith("Live: updated ")
    assert page.run("return getComputedStyle(document.querySelector('.tiles')).filter") == "none"


def test_an_answer_that_is_an_error_is_no_answer(page: Browser, served: Served) -> None:
    """A failing endpoint differs from a failing network; the page must not stay green for either."""
    show(page, served, status())

    def broken() -> dict[str, Any]:
        raise RuntimeError

    served.answer = broken
    page.ask_again()
    assert "The connector answers with an error, HTTP 500." in page.text("verdict-detail")
    served.answer = lambda: {"version": "9"}
    page.ask_again()
    assert page.text("verdict-headline").startswith("Connection lost since ")
    assert "The answer cannot be shown" in page.text("verdict-detail")


def test_it_polls_by_itself(page: Browser, served: Served) -> None:
    """A live page needs no reload."""
    show(page, served, status(lag=1))
    served.answer = lambda: status(time=NOON + 5, lag=2)
    page.until(lambda: page.text("lag") == "2", "the page shows the newer status")


def test_a_restart_and_another_replica_are_shown_and_reset_the_rates(page: Browser, served: Served) -> None:
    """Behind a service each answer may come from another pod: a rate across two of them is nonsense."""
    show(page, served, status(), status(time=NOON + 4, uptime_seconds=2, events={"consumed": 5}))
    assert page.text("notice").startswith("The process was started again at 12:00:02")
    assert page.text("in-rate") == UNKNOWN
    served.answer = lambda: status(time=NOON + 8, replica="connector-1")
    page.ask_again()
    assert page.text("notice").startswith("The answers come from different replicas: connector-0, connector-1.")
    assert page.text("in-rate") == UNKNOWN


def test_a_quota_that_is_not_known_yet_is_not_shown_as_unused(page: Browser, served: Served) -> None:
    """Zero is what a new day looks like, and not a ledger that cannot be read."""
    show(page, served, status(quota=quota(0, read=False)))
    assert page.text("quota-none") == "Its ledger has not been read yet: what is used is not known."
    assert not page.text("quota-used")


def test_the_quota_is_a_chart_with_its_forecast(page: Browser, served: Served) -> None:
    """How much, when it ends and what comes back: the three questions about a quota, in words and as a picture."""
    releases = [*reversed(quota()["history"])]
    show(page, served, status(quota=quota(releases=releases)))
    texts = {
        "quota-used": "400,000", "quota-limit": "1,000,000", "quota-share": "40 %", "quota-window": "24 h",
        "quota-free": "600,000", "quota-in-hand": "250", "quota-pace": "83/s", "quota-next": "1,200 in 12 min",
        "quota-forecast": "At the current rate it runs out in 3 h 10 min, at 15:10.", "quota-ago": "24 h ago",
        "quota-ahead": "in 24 h", "quota-top": "limit 1M",
    }  # fmt: skip
    assert {name: page.text(name) for name in texts} == texts
    assert not page.text("quota-none")
    heights = page.run(
        "return ['used', 'freed'].map(c => [...document.querySelectorAll(`#quota-bars .${c}`)]"
        ".map(r => r.getBoundingClientRect().height))"
    )
    for drawn, told in zip(heights, (quota()["history"], releases), strict=True):
        assert len(drawn) == 48
        assert drawn.index(max(drawn)) == told.index(max(told))
        assert drawn[0] / max(drawn) == pytest.approx(told[0] / max(told), rel=0.05)
    middle, mark = page.run(
        "return ['#quota-bars .now', '#quota-lines .mark'].map(name => {"
        " const line = document.querySelector(name);"
        " const at = line.getBoundingClientRect(), box = line.parentNode.getBoundingClientRect();"
        " return (at.x + at.width / 2 - box.x) / box.width })"
    )
    assert middle == pytest.approx(0.5, abs=0.01)
    assert mark == pytest.approx(11_400 / 86_400, abs=0.01)
    assert page.run("return document.getElementById('quota-bars').getAttribute('aria-label')") == (
        "400,000 updates were used in the last 24 h, 400,000 come free in the next 24 h"
    )
    assert page.run("return document.getElementById('quota-meter').getAttribute('aria-valuetext')") == (
        "400,000 of 1,000,000 used"
    )
    assert page.complaints() == []


@pytest.mark.parametrize(
    ("changes", "forecast", "lines"),
    [
        ({"used_up_seconds": None}, "At the current rate it does not run out within 24 h.", 1),
        ({"used_up_seconds": 36_000.0, "slowed_seconds": 7_200.0},
         "At the current rate it runs out in 10 h, at 22:00. The pace slows updates in 2 h, at 14:00.", 1),
        ({"used_up_seconds": None, "slowed_seconds": 0.0},
         "At the current rate it does not run out within 24 h. The pace slows updates now.", 1),
        ({"used": 1_000_000, "free": 0, "used_up_seconds": 0.0}, "It is used up; something comes free at 12:12.", 0),
        ({"used": 0, "free": 1_000_000, "used_up_seconds": None, "next_free_seconds": None, "next_free_updates": 0,
          "history": [0] * 48, "releases": [0] * 48, "pace_per_second": None, "rate_per_second": 0.0},
         "At the current rate it does not run out within 24 h.", 0),
    ],
)  # fmt: skip
def test_the_forecast_at_its_ends(
    page: Browser, served: Served, changes: dict[str, Any], forecast: str, lines: int
) -> None:
    """Empty, full, and never: the cases where a division or a missing number fails."""
    show(page, served, status(quota=quota(**{"used": 400_000, **changes})))
    assert page.text("quota-forecast") == forecast
    assert page.run("return document.querySelectorAll('#quota-lines .present').length") == lines
    assert "NaN" not in page.run("return document.getElementById('quota-some').outerHTML")
    assert page.complaints() == []


def test_problems_are_shown_newest_first_with_what_to_do(page: Browser, served: Served) -> None:
    """The last errors, their count and their remedy; markup in a text is shown as text, whatever its source."""
    hostile = "<img src=x onerror=alert(1)><b>bold</b>"
    many = [
        {**PROBLEM, "event": "kafka_unreachable", "level": "error", "reason": hostile, "remedy": "check the network",
         "place": "t/1@7"},
        *({**PROBLEM, "reason": f"503: {number}"} for number in range(12)),
    ]  # fmt: skip
    show(page, served, status(problems=many))
    assert not page.text("problems-none")
    first = page.run("return document.querySelector('#problems li').innerText.split(/\\n+/)")
    assert first[0].strip() == "ERROR kafka_unreachable"
    assert first[1:] == ["11:59:30, 30 s ago, 3 times since 11:58 · t/1@7", hostile, "What to do: check the network"]
    assert page.run("return document.querySelectorAll('#problems li').length") == 8
    page.run("document.getElementById('problems-all').click()")
    assert page.run("return document.querySelectorAll('#problems li').length") == 13
    assert page.text("problems-all") == "Show only 8"
    assert page.run("return document.querySelectorAll('#problems img, #problems b').length") == 0
    assert page.complaints() == []


def test_of_many_partitions_those_furthest_behind_are_shown(page: Browser, served: Served) -> None:
    """The partition that is stuck must be visible; the others are a press away."""
    show(page, served, status(partitions=PARTS, partitions_assigned=400, lag=660))
    assert [row[0] for row in page.rows("partitions")] == [f"profile-changes/{number}" for number in range(4, 12)]
    assert page.rows("partitions")[-1] == ["profile-changes/11", "1,011", "811", "110"]
    assert page.text("partitions-note") == (
        "This replica owns 400 partitions. Named are the 12 that are furthest behind. "
        "Shown are the 8 that are furthest behind."
    )
    page.run("document.getElementById('partitions-all').click()")
    assert len(page.rows("partitions")) == 12


def test_settings_are_shown_as_they_come(page: Browser, served: Served) -> None:
    """Masked by the server; unset and empty are told apart."""
    show(page, served, status())
    page.run("document.querySelector('details').open = true")
    assert page.rows("settings") == [
        ["KAFKA_TOPICS", "profile-changes"], ["TARGET_AUTH_TOKEN", "***"], ["TARGET_MAX_IN_FLIGHT", "64"],
        ["COALESCE_LINGER_SECONDS", "1"], ["KAFKA_GROUP_INSTANCE_ID", "unset"], ["KAFKA_DEAD_LETTER_TOPIC", "(empty)"],
    ]  # fmt: skip


LONG = status(
    replica="profile-connector-production-statefulset-12",
    lag=1_234_567_890,
    quota=quota(),
    events={"consumed": 12_345_678_901, "accepted": 12_345_678_901},
    requests={"accepted": 1_234_567_890, "unauthorized": 1_234_567_890},
    circuit={"open": True, "reason": "unavailable", "open_seconds": 754.0},
    problems=[{**PROBLEM, "reason": "x" * 400, "remedy": "y" * 400, "place": "z" * 249 + "/123@1234567890123"}],
    partitions=[
        {"topic": "w" * 249, "partition": 123, "position": 9_876_543_210, "committable": 9_876_543_210,
         "committed": 9_876_543_210, "lag": 1_234_567_890}
    ],
    settings={"KAFKA_SSL_CERTIFICATE_LOCATION": "/" + "p" * 300},
)  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_is_wider_than_the_screen(page: Browser, served: Served, width: int, dark: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Incidents are read on phones too; names and numbers come in their longest form."""
    show(page, served, LONG, width=width, height=740, mobile=width < 500, dark=dark)
    page.run("document.querySelector('details').open = true")
    assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    spilling = page.run(
        "return [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && e.clientWidth && getComputedStyle(e).display !== 'inline').map(e => e.id || e.outerHTML.slice(0, 80))"
    )
    assert spilling == []
    broken = page.run(
        "return [...document.querySelectorAll('#partitions td, #requests td, #records td')].filter(e => {"
        " const text = document.createRange(); text.selectNodeContents(e); return text.getClientRects().length > 1"
        "}).map(e => e.textContent)"
    )
    assert broken == [], "a number that is broken over two lines is misread"
    assert page.complaints() == []


CONTRAST = """
const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, index) => sum + v * [.2126, .7152, .0722][index], 0);
const back = node => {
  for (let at = node; at; at = at.parentElement) {
    const [r, g, b, a] = parse(getComputedStyle(at).backgroundColor);
    if (a === undefined || a > 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const found = [];
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(each => each.nodeType === 3 && each.textContent.trim());
  if (!own || !node.getClientRects().length) continue;
  const [one, other] = [light(parse(getComputedStyle(node).color)), light(back(node))].sort((a, b) => b - a);
  found.push([(one + .05) / (other + .05), node.id || node.outerHTML.slice(0, 80)]);
}
return found;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_dark_is_dark_light_is_light_and_both_are_readable(page: Browser, served: Served, dark: bool) -> None:  # noqa: FBT001
    """By the system's preference; every text has the contrast that WCAG asks for (4.5), in every state."""
    for changes in ({"quota": quota()}, {"draining": True}, dict(LONG), {"partitions_assigned": 0, "lag": None}):
        show(page, served, status(**changes), dark=dark)
        page.run("document.querySelector('details').open = true")
        background = page.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) < 300) == dark
        texts = page.run(CONTRAST)
        assert len(texts) > 60
        assert [each for each in texts if each[0] < 4.5] == []


def test_it_can_be_heard_and_used_without_a_mouse(page: Browser, served: Served) -> None:
    """Headings, headers of tables, names of pictures, and news that a screen reader speaks."""
    show(page, served, status(quota=quota()))
    told = page.run("""return {
        h1: document.querySelectorAll('h1').length,
        sections: [...document.querySelectorAll('main section, article')].filter(s => !s.querySelector('h2')).length,
        headers: [...document.querySelectorAll('table')].filter(t => !t.querySelector('thead th[scope=col]')).length,
        rows: [...document.querySelectorAll('tbody tr')].filter(r => !r.querySelector('th[scope=row]')).length,
        pictures: [...document.querySelectorAll('svg')].filter(s => !s.hasAttribute('aria-hidden')
            && !(s.getAttribute('role') === 'img' && s.getAttribute('aria-label'))).length,
        live: document.querySelector('[role=status]').contains(document.getElementById('verdict-headline')),
        chatter: document.getElementById('link').closest('[role=status], [aria-live]') === null,
        lang: document.documentElement.lang,
        inline: document.querySelectorAll('[onclick], [onload], main [href^="javascript"]').length,
    }""")
    assert told == {
        "h1": 1, "sections": 0, "headers": 0, "rows": 0, "pictures": 0, "live": True, "chatter": True, "lang": "en",
        "inline": 0,
    }  # fmt: skip


def test_the_policy_is_enforced_by_the_browser(page: Browser, served: Served) -> None:
    """Executed in a browser: an injected script does not run, and markup cannot be made from text."""
    show(page, served, status())
    assert page.complaints() == []
    page.run(
        "const script = document.createElement('script');"
        "try { script.textContent = 'window.smuggled = 1'; document.body.append(script) } catch {}"
    )
    assert page.run("return window.smuggled") is None
    assert (
        page.run("try { document.body.innerHTML = '<i>x</i>'; return 'made' } catch { return 'refused' }") == "refused"
    )
    assert page.run("return fetch('https://example.com/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in line for line in page.complaints())


def test_behind_a_proxy_with_a_path_the_page_asks_beside_itself(page: Browser, served: Served) -> None:
    """`kubectl proxy` serves a pod below a path of its own: an absolute address would ask the wrong server."""
    below = "/api/v1/namespaces/shop/pods/connector-0:8080/proxy/"

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith(below)
            code, body = request(served.url, "GET", self.path.removeprefix(below[:-1])) if found else (404, b"")
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    served.answer = lambda: status(lag=5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        try:
            page.open(f"http://127.0.0.1:{proxy.server_port}{below}")
            page.until(lambda: page.text("lag") == "5", "the page finds the status of its own pod")
            links = page.run("return [...document.querySelectorAll('a')].map(a => new URL(a.href).pathname)")
            assert set(links) == {f"{below}{name}" for name in ("livez", "metrics", "readyz", "status")}
            page.driver.get("about:blank")
        finally:
            proxy.shutdown()
            serving.join()
