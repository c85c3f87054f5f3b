"""A forecast must equal what the service does: so the service runs beside it, in virtual time."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.delivery.answer import Answer, Verdict
from connector.delivery.coalescer import Order
from connector.delivery.counters import Histogram
from connector.delivery.offset_tracker import TopicPartition
from connector.events import JsonDecoder
from connector.pipeline import back_pressure
from connector.plan import Assumptions, LingerForecast, Merge, Quota, Survey, forecast
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeLog, FakeRecord, FakeSender, event, event_at
from tests.support.virtual_time import run

START_MS = 1_000_000
REQUEST_SECONDS = 0.0103
"""Not a whole number of milliseconds, nor are the lingers and the rates: so nothing coincides with a record's
arrival, where either order would be right."""
PARTITIONS = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)]


class Came(NamedTuple):
    """A record: its time in milliseconds from the start, its partition, and its content."""

    ms: int
    where: int
    visitor: str
    kind: str
    said: int
    """Its own second, which may be older than one sent before."""

    def value(self) -> bytes | None:
        """Bytes of the record."""
        match self.kind:
            case "tombstone":
                return None
            case "refused":
                return b"{"
            case "nulls":
                return event(self.visitor, tier=None)
            case _:
                return event_at(self.visitor, f"2026-11-22T10:15:{self.said:02}Z", tier=self.kind)


# No more visitors than the service has slots at its start, so that the forecast, which knows no slots, holds.
came = st.builds(
    Came,
    st.integers(0, 6_000) | st.integers(0, 60),
    st.integers(0, 2),
    st.sampled_from("abcdefgh"),
    st.sampled_from(["gold", "silver", "gold", "silver", "tombstone", "refused", "nulls"]),
    st.integers(0, 3),
)
histories = st.lists(came, min_size=1, max_size=120).map(sorted)
lingers = st.sampled_from([0.0, 0.0501, 0.5003, 2.0007])
rates = st.sampled_from([0.0, 2.0**0.5 * 40, 2.0**0.5 * 7, 2.0**0.5])
unchanged_times = st.sampled_from([0.0, 0.7003, 1_000.0])


def forecasted(history: Sequence[Came], linger: float, assumed: Assumptions) -> LingerForecast:
    """The plan's forecast, with records read one partition after the other."""
    merge = Merge(PARTITIONS, START_MS, START_MS + 10_000)
    survey = Survey([linger], assumed, JsonDecoder())
    for number, name in enumerate(PARTITIONS):
        for offset, record in enumerate(record for record in history if record.where == number):
            ms = START_MS + record.ms
            merge.add(FakeRecord(record.value(), offset, topic=name.topic, partition=name.partition, timestamp_ms=ms))
        merge.end(name)
        survey.take(merge.ready())
    assert merge.is_over
    since = START_MS / 1_000
    found = survey.finish(Quota(), asked_since=since, until=since + 10, older=True, timeless=0, expected=len(history))
    kinds = [record.kind for record in history]
    counts = (found.records, found.refused, found.tombstones, found.empty)
    assert counts == (len(kinds), kinds.count("refused"), kinds.count("tombstone"), kinds.count("nulls"))
    return found.outlooks[0]


async def served(history: Sequence[Came], linger: float, assumed: Assumptions) -> list[tuple[float, str]]:
    """When the service sends, in seconds from the start."""
    log = FakeLog({name: [] for name in PARTITIONS})
    sender = FakeSender(lambda *_: (Answer(Verdict.ACCEPTED), REQUEST_SECONDS))
    bench = Bench(
        log,
        sender,
        linger=linger,
        order=assumed.order,
        unchanged_seconds=assumed.unchanged_seconds,
        updates_per_second=assumed.updates_per_second,
        max_dead_letters_in_a_row=0,
    )
    loop = asyncio.get_running_loop()
    async with bench:
        await asyncio.sleep(1)  # The group has acknowledged a commit by then; before that nothing may be sent.
        began = loop.time()
        for ms in sorted({record.ms for record in history}):
            await asyncio.sleep(began + ms / 1_000 - loop.time())
            for record in history:
                if record.ms == ms:
                    name = PARTITIONS[record.where]
                    log.append(record.value(), topic=name.topic, partition=name.partition, timestamp_ms=START_MS + ms)
            bench.source.feed()
        await bench.settle()
    return [(at - began, visitor) for at, visitor, _ in sender.sent]


def lives(history: Sequence[Came], sent: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    """When each update was pending: from its first record to its answer."""
    waiting: dict[str, list[float]] = {}
    for record in history:
        if record.kind in ("gold", "silver"):
            waiting.setdefault(record.visitor, []).append(record.ms / 1_000)
    spans = []
    for at, visitor in sent:
        times = waiting[visitor]
        spans.append((times[0], at + REQUEST_SECONDS))
        waiting[visitor] = [time for time in times if time > at + 1e-6]
    assert not any(waiting.values())
    return spans


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The most updates pending at any time."""
    return max((sum(begin <= at < end for begin, end in spans) for at, _ in spans), default=0)


@given(histories, lingers, rates, st.sampled_from(Order), unchanged_times)
@example([Came(0, 0, "a", "gold", 3), Came(5, 0, "a", "silver", 1)], 0.0, 0.0, Order.EVENT_TIME, 0.0)
@settings(max_examples=100)
def test_the_forecast_is_what_the_service_does(
    history: list[Came], linger: float, rate: float, order: Order, unchanged: float
) -> None:
    """Count, delay and peak; a divergent coalescer or memory in the plan, or one without a rate, would show here."""
    assumed = Assumptions(
        order=order, updates_per_second=rate, request_seconds=REQUEST_SECONDS, unchanged_seconds=unchanged
    )
    outlook = forecasted(history, linger, assumed)
    with quiet():
        sent = run(served(history, linger, assumed))
    assert outlook.updates == len(sent)
    if order is Order.EVENT_TIME or unchanged:
        return  # An event that is unchanged, or older than what was sent, is in no update: so the rest cannot be told.
    spans = lives(history, sent)
    assert outlook.peak_visitors == most_at_once(spans)
    delays = Histogram(forecast.DELAY_SECONDS)
    for begin, end in spans:
        delays.observe(end - begin)
    for said, true in ((outlook.delay_p50, delays.quantile(0.5)), (outlook.delay_p99, delays.quantile(0.99))):
        assert (said is None) == (true is None)
        assert said is None or true is None or abs(said / true - 1) <= forecast.STEP - 0.99


def test_the_forecast_pauses_and_resumes_where_the_service_does() -> None:
    """Two rooms hold the share, and the inner one cannot import it."""
    assert forecast.LOW_WATER == back_pressure.LOW_WATER
