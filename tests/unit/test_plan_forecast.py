"""One linger's forecast, where the numbers can be computed by hand."""

import json
from collections.abc import Mapping

import pytest

from connector.decoding import MappedTopic, event_reader
from connector.delivery.offset_tracker import TopicPartition
from connector.events import JsonDecoder, Nulls
from connector.mapping import load
from connector.plan import Assumptions, Dated, Merge, Quota, Survey, SurveyResult
from connector.plan.forecast import Forecast
from tests.support.fakes import FakeRecord, event

NAME = TopicPartition("t", 0)
START = 1_000_000
decode = JsonDecoder()


def forecast(linger: float, came: list[tuple[float, str]], **assumed: float) -> Forecast:
    """Events of visitors, by seconds since the start."""
    made = Forecast(linger, Assumptions(**{"updates_per_second": 0.0, "request_seconds": 0.5, **assumed}))  # type: ignore[arg-type]
    for offset, (at, visitor) in enumerate(came):
        value = event(visitor, n=offset)
        record = Dated(FakeRecord(value, offset), NAME, round((START + at) * 1_000))
        made.take([(decode(value), record, len(value))])
    made.finish()
    return made


def test_changes_within_the_linger_are_one_update() -> None:
    """The linger counts from the first change, and a change at its very end is included."""
    assert forecast(10, [(0, "a"), (9, "a"), (10, "a")]).updates == 1
    assert forecast(10, [(0, "a"), (9, "a"), (10.001, "a")]).updates == 2
    assert forecast(10, [(0, "a"), (9, "b")]).updates == 2
    assert forecast(10, [(0, "b"), (2, "a"), (12, "a")]).updates == 2


def test_a_change_during_a_request_is_one_more_update() -> None:
    """Without a linger the request's duration coalesces: a forecast without it would be too high."""
    made = forecast(0, [(0, "a"), (0.1, "a"), (0.2, "a"), (0.4, "a"), (2, "a")])
    assert made.updates == 3
    assert made.peak_visitors == 2


def test_the_rate_makes_updates_wait_and_coalesce() -> None:
    """Five visitors at one a second: the last waits four seconds less the limiter's burst, open for changes."""
    visitors = [(0.0, name) for name in "abcde"]
    made = forecast(1, [*visitors, (3.5, "e")], updates_per_second=1)
    assert made.updates == 5
    assert made.longest_wait == pytest.approx(4 - 0.01)
    assert made.delays.quantile(0.99) == pytest.approx(1 + 4 - 0.01 + 0.5, rel=0.03)
    assert forecast(1, [*visitors, (3.5, "e")]).updates == 6


def test_a_full_service_consumes_nothing_until_there_is_room() -> None:
    """Four may wait: a fifth visitor waits in Kafka until the four are answered, and its delay includes that."""
    came = [(0.0, "a"), (0.1, "b"), (0.2, "c"), (0.3, "d"), (0.4, "e"), (0.5, "a")]
    made = forecast(10, came, max_visitors=4)
    assert made.peak_visitors == 4
    # Room is there below 90 % of four, so when the first is answered: then e is consumed, and it is full until b is.
    assert made.paused == pytest.approx((10.5 - 0.3) + (10.6 - 10.5))
    assert made.updates == 6
    assert made.delays.quantile(1.0) == pytest.approx(10.6 + 10 + 0.5 - 0.5, rel=0.03)
    free = forecast(10, came)
    assert (free.paused, free.peak_visitors, free.updates) == (0, 5, 5)


def test_memory_is_a_bound_too() -> None:
    """Few visitors with large values fill it as well."""
    came = [(number / 10, name) for number, name in enumerate("abcdef")]
    made = forecast(10, came, max_bytes=3_000)
    assert made.paused > 0
    assert 3_000 <= made.peak_bytes < 4_200
    assert made.peak_visitors == 3


def test_the_busiest_window_is_found_wherever_it_begins() -> None:
    """A day of two bursts around midnight: an average, or windows that begin at midnight, would see half of it."""
    burst = [(86_400 - 500 + number * 10.0, f"v{number}") for number in range(100)]
    quiet = [(86_400 * 3.0, "late")]
    made = forecast(0, [(0, "first"), *burst, *quiet], window=3_600.0)
    assert made.updates == 102
    assert made.busiest_window == 100


def survey(
    values: list[bytes | None],
    gap: int = 1_000,
    *,
    older: bool = False,
    quota: Quota | None = None,
    topics: Mapping[str, MappedTopic] | None = None,
) -> SurveyResult:
    """Records of one partition, a second apart, the last of them a second before the end."""
    until = START * 1_000 + gap * len(values)
    merge = Merge([NAME], START * 1_000 - 7_200_000, until)
    made = Survey([0.0, 10.0], Assumptions(updates_per_second=0.0), decode, topics)
    for offset, value in enumerate(values):
        merge.add(FakeRecord(value, offset, timestamp_ms=START * 1_000 + gap * offset))
    merge.end(NAME)
    made.take(merge.ready())
    return made.finish(
        quota or Quota(),
        asked_since=START - 7_200.0,
        until=until / 1_000,
        older=older,
        timeless=merge.timeless,
        expected=len(values),
    )


def test_a_day_counts_from_the_time_that_the_records_cover() -> None:
    """Silence before the first record counts only where the log shows it, not where the log begins."""
    values: list[bytes | None] = [event(f"v{number}", n=1) for number in range(1_000)]
    short = survey(values)
    assert short.seconds == 1_000
    assert short.outlooks[0].updates_per_day == pytest.approx(86_400)
    assert short.outlooks[0].quota_share == pytest.approx(0.0864)
    silent = survey(values, older=True)
    assert silent.seconds == 8_200
    assert silent.outlooks[0].updates_per_day == pytest.approx(1_000 * 86_400 / 8_200)


def test_the_share_is_that_of_the_busiest_window_once_a_whole_one_was_read() -> None:
    """2 hours of silence and then all at once: the average of an hour would be a ninth of the peak."""
    values: list[bytes | None] = [event(f"v{number}", n=1) for number in range(1_000)]
    found = survey(values, older=True, quota=Quota(2_000, 3_600.0))
    assert found.outlooks[0].quota_share == 0.5
    assert survey(values, older=True, quota=Quota(0)).outlooks[0].quota_share is None


def test_records_without_a_change_are_counted_and_not_sent() -> None:
    """A topic of the wrong format must not look like a cheap one."""
    found = survey([event("a", n=1), None, b"{", event("b", n=None), b"[]", event("a", n=2)])
    assert (found.records, found.refused, found.tombstones, found.empty) == (6, 2, 1, 1)
    assert found.first_refused.startswith("t/0 offset 2: (record) must be valid JSON")
    assert [outlook.updates for outlook in found.outlooks] == [2, 1]


def test_records_of_a_mapping_may_carry_several_changes_or_be_skipped() -> None:
    """Each item is an event of its part of the record; skips are counted by condition, as in service."""
    source = {
        "topics": ["t"],
        "format": "json",
        "each": "users",
        "when": [{"path": "$value.type", "equals": "track"}, {"path": "on", "not-in": [False]}],
        "visitor": {"pcId": "id"},
        "attributes": {"n": "n"},
    }
    mapping = load(json.dumps({"version": 1, "sources": [source]}))
    topics = event_reader(["t"], "json", mapping, nulls=Nulls.DROP).topics
    many = [{"id": f"v{number}", "n": number, "text": "x" * 10_000} for number in range(10)]
    users = [*many, {"id": "v0", "on": False}, {"n": 1}, {"id": "v1", "n": None}]
    values = [json.dumps({"type": kind, "users": users}).encode() for kind in ("track", "page")]
    found = survey([*values, None, b'{"type": "track"}', b"{"], topics=topics)
    assert (found.records, found.events) == (5, 17)
    assert (found.refused, found.tombstones, found.empty) == (2, 1, 2)
    assert found.first_refused.startswith("t/0 offset 0: id must not all be missing")
    assert found.skipped == {"t": {"$value.type equals track": 1, "on not-in false": 1}}
    assert [outlook.updates for outlook in found.outlooks] == [10, 10]
    # The record itself is not kept with each of them.
    assert found.outlooks[0].peak_bytes < 2 * len(values[0])
