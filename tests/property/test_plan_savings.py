"""What each setting saves must be true of any stream, so a replay without the service's code must say the same."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.delivery.offset_tracker import TopicPartition
from connector.events import JsonDecoder
from connector.events.change import Priority
from connector.plan import Assumptions, LingerForecast, Merge, Quota, Survey
from connector.plan.makeup import AGES
from tests.support.fakes import FakeRecord

START = 1_700_000_000
HOURS = 10 * 24
NAME = TopicPartition("t", 0)
REQUEST = 0.25
"""With lingers of whole seconds and records at whole seconds, an answer never coincides with a record."""
UNCHANGED_TIMES = (0.85, 1_000.1, 90_000.1)
"""None coincides with the time between an answer and a turn."""
NEVER = -1.0
"""The time for which a replay leaves unchanged values out that sends all."""


class Came(NamedTuple):
    """An event of one visitor."""

    at: int
    """In seconds from the start."""
    visitor: str
    name: str
    value: int
    priority: Priority
    delay: float
    """Seconds by which it was true before its record came."""


class Call(NamedTuple):
    """A call that the replay made."""

    priority: Priority
    age: float


came = st.builds(
    Came,
    st.integers(0, 60) | st.integers(0, 8 * 86_400),
    st.sampled_from("abc"),
    st.sampled_from("xy"),
    st.integers(0, 1),
    st.sampled_from(Priority),
    st.sampled_from([0.0, 0.0, 0.0, *(age + more for age in AGES for more in (-4_000.5, -0.5, 0.5))]),
)
histories = st.lists(came, min_size=1, max_size=80).map(sorted)


def replay(history: list[Came], linger: float, unchanged: float, max_age: float) -> list[Call]:
    """Go through one visitor's events after the other: without a rate no visitor knows of another."""
    calls = []
    for visitor in sorted({event.visitor for event in history}):
        waiting = [event for event in history if event.visitor == visitor and not 0 < max_age < event.delay]
        known: dict[str, tuple[int, float]] = {}
        free = 0.0
        while waiting:
            turn = max(waiting[0].at + linger, free)
            merged = [event for event in waiting if event.at <= turn]
            waiting = waiting[len(merged) :]
            last = {event.name: event for event in merged}
            to_send = {
                name: event.value
                for name, event in last.items()
                if not (name in known and known[name][0] == event.value and turn - known[name][1] <= unchanged)
                and not 0 < max_age < turn - event.at + event.delay
            }
            if to_send:
                newest = max(event.at - event.delay for event in merged)
                calls.append(Call(min(event.priority for event in merged), turn - newest))
                free = turn + REQUEST
                known.update({name: (value, free) for name, value in to_send.items()})
    return calls


def forecasted(history: list[Came], linger: float, assumed: Assumptions) -> LingerForecast:
    """The plan's forecast of the same events, a day being the whole time that is read."""
    merge = Merge([NAME], START * 1_000, (START + HOURS * 3_600) * 1_000)
    for offset, event in enumerate(history):
        value = {
            "mbox3rdPartyId": event.visitor,
            "occurredAt": datetime.fromtimestamp(START + event.at - event.delay, UTC).isoformat(),
            "profile": {event.name: event.value},
            "priority": event.priority.word,
        }
        merge.add(FakeRecord(msgspec.json.encode(value), offset, timestamp_ms=(START + event.at) * 1_000))
    merge.end(NAME)
    survey = Survey([linger], assumed, JsonDecoder())
    survey.take(merge.ready())
    found = survey.finish(
        Quota(),
        asked_since=START,
        until=START + HOURS * 3_600,
        older=True,
        timeless=0,
        expected=len(history),
    )
    assert (found.refused, found.empty) == (0, 0)
    return found.outlooks[0]


def in_all(a_day: float) -> int:
    """A number a day, of all the days."""
    return round(a_day * HOURS / 24)


@given(
    histories,
    st.sampled_from([0.0, 1.0, 60.0, 3_600.0]),
    st.sampled_from([0.0, *UNCHANGED_TIMES]),
    st.sampled_from([0.0, 3_700.25, 86_400.25]),
)
@settings(max_examples=150)
def test_calls_by_unchanged_values_class_and_age_are_those_of_a_replay(
    history: list[Came], linger: float, unchanged: float, max_age: float
) -> None:
    """Wrong designs: a memory that fills before the answer, the last class instead of the highest, the oldest age."""
    assumed = Assumptions(updates_per_second=0.0, request_seconds=REQUEST, unchanged_seconds=unchanged, max_age=max_age)
    outlook = forecasted(history, linger, assumed)
    every, changed = (replay(history, linger, seconds, max_age) for seconds in (NEVER, unchanged or 86_400.0))
    calls = changed if unchanged else every
    assert outlook.updates == len(calls)
    assert in_all(outlook.with_unchanged.updates_per_day) == len(every)
    assert in_all(outlook.without_unchanged.updates_per_day) == len(changed)
    classes = Counter(call.priority.word for call in calls)
    assert {name: in_all(number) for name, number in outlook.updates_per_day_by_class.items()} == {
        priority.word: classes[priority.word] for priority in Priority
    }
    assert {age: in_all(number) for age, number in outlook.updates_per_day_older_than.items()} == {
        age: sum(call.age > age for call in calls) for age in AGES
    }


@given(histories, st.sampled_from(AGES))
@settings(max_examples=100)
def test_without_a_linger_the_older_calls_are_those_that_the_age_saves(history: list[Came], age: int) -> None:
    """The advice names them as saved; wrong design: an age by the oldest change counts calls that are made anyhow."""
    assumed = Assumptions(updates_per_second=0.0, request_seconds=0.0)
    as_it_is, limited = (forecasted(history, 0.0, one) for one in (assumed, replace(assumed, max_age=age)))
    saved = as_it_is.updates_per_day_older_than[age]
    assert in_all(as_it_is.updates_per_day - limited.updates_per_day) == in_all(saved)
