"""One linger's forecast, where the numbers can be computed by hand."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from connector.decoding import MappedTopic, event_reader
from connector.delivery.offset_tracker import TopicPartition
from connector.events import JsonDecoder, Nulls
from connector.mapping import load
from connector.plan import Assumptions, Dated, Merge, Quota, Survey, SurveyResult, calls_per_update
from connector.plan.forecast import Forecast
from tests.support.fakes import FakeRecord, event, event_at

NAME = TopicPartition("t", 0)
START = 1_000_000
TWO_HOURS_BEFORE, TWO_DAYS_BEFORE = (
    datetime.fromtimestamp(START - seconds, UTC).isoformat() for seconds in (7_200, 172_800)
)
decode = JsonDecoder()


def forecast(linger: float, came: list[tuple[float, str]], **assumed: float) -> Forecast:
    """Events of visitors, by seconds since the start."""
    made = Forecast(linger, Assumptions(**{"updates_per_second": 0.0, "request_seconds": 0.5, **assumed}))  # type: ignore[arg-type]
    for offset, (at, visitor) in enumerate(came):
        value = event(visitor, n=offset)
        record = Dated(FakeRecord(value, offset), NAME, round((START + at) * 1_000))
        made.take([(decode(value), record, len(value), record.at)])
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
    **assumed: float,
) -> SurveyResult:
    """Records of one partition, a second apart, the last of them a second before the end."""
    until = START * 1_000 + gap * len(values)
    merge = Merge([NAME], START * 1_000 - 7_200_000, until)
    made = Survey([0.0, 10.0], Assumptions(**{"updates_per_second": 0.0, **assumed}), decode, topics)  # type: ignore[arg-type]
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


def test_unchanged_values_are_left_out_only_in_their_time() -> None:
    """Wrong design: each repeat is saved, also after COALESCE_UNCHANGED_SECONDS, or of a value replaced meanwhile."""
    same, other = event("a", n=1), event("a", n=2)
    found = survey([same, same, other, same, same, *[None] * 20, same], unchanged_seconds=10.0)
    assert found.unchanged_seconds == 10.0
    at_once, lingers = found.outlooks
    a_day = 86_400 / found.seconds
    assert at_once.with_unchanged.updates_per_day == pytest.approx(6 * a_day)
    assert at_once.without_unchanged.updates_per_day == pytest.approx(4 * a_day)
    assert (at_once.updates, at_once.updates_per_day) == (4, at_once.without_unchanged.updates_per_day)
    assert lingers.updates == 2
    assert at_once.unchanged_bytes == 320 + 20


def test_what_is_set_now_is_the_forecast_as_it_is() -> None:
    """Wrong design: the quota's share and the best linger are those of a setting that only was tried."""
    same = [event("a", n=1)] * 5
    found = survey([*same])
    outlook = found.outlooks[0]
    assert (found.unchanged_seconds, outlook.updates) == (86_400.0, 5)
    assert outlook.quota_share == outlook.with_unchanged.quota_share
    assert outlook.with_unchanged.updates_per_day == 5 * outlook.without_unchanged.updates_per_day
    assert outlook.updates_per_day_by_class == {"high": 0, "normal": outlook.updates_per_day, "low": 0}


def test_what_is_left_out_takes_no_rate() -> None:
    """Wrong design: subtract the repeats from one forecast, in which they made all others wait, and so merge."""
    values = [value for number in range(50) for value in (event("same", n=1), event("other", n=number))]
    found = survey([*values], gap=100, updates_per_second=5.5)
    at_once = found.outlooks[0]
    assert at_once.updates < 60
    assert at_once.without_unchanged.updates_per_day == pytest.approx((1 + 50) * 86_400 / found.seconds)


def test_the_bound_on_remembered_visitors_counts() -> None:
    """Wrong design: a forecast that remembers all visitors promises what the service cannot keep."""
    rounds: list[bytes | None] = [event(visitor, n=1) for _ in range(5) for visitor in "abc"]
    assert survey(rounds, unchanged_seconds=1_000.0).outlooks[0].updates == 3
    assert survey(rounds, unchanged_seconds=1_000.0, unchanged_max_visitors=2).outlooks[0].updates == 15


def test_an_update_has_the_highest_class_of_its_events() -> None:
    """Wrong designs: the first class, the last one, or one that outlives the update."""

    def of(visitor: str, priority: str) -> bytes:
        return event(visitor, n=1).replace(b"{", f'{{"priority":"{priority}",'.encode(), 1)

    found = survey([of("a", "low"), of("a", "high"), of("a", "low"), of("b", "low"), *[None] * 10, of("a", "normal")])
    at_once, lingers = (outlook.updates_per_day_by_class for outlook in found.outlooks)
    a_day = 86_400 / found.seconds
    assert at_once == {"high": a_day, "normal": a_day, "low": pytest.approx(3 * a_day)}
    assert lingers == {"high": a_day, "normal": a_day, "low": a_day}


def test_an_update_is_as_old_as_its_newest_change() -> None:
    """By occurredAt, else the record's timestamp; wrong design: an old change makes an update of a new one old."""
    old, older = (
        event_at(visitor, moment, n=1) for visitor, moment in (("a", TWO_HOURS_BEFORE), ("b", TWO_DAYS_BEFORE))
    )
    found = survey([old, event("a", n=2), older])
    a_day = 86_400 / found.seconds
    at_once, lingers = (outlook.updates_per_day_older_than for outlook in found.outlooks)
    assert at_once == {3_600: pytest.approx(2 * a_day), 21_600: a_day, 86_400: a_day, 604_800: 0}
    assert lingers == {3_600: a_day, 21_600: a_day, 86_400: a_day, 604_800: 0}


def test_what_is_too_old_is_no_call_if_the_setting_is_on() -> None:
    """On arrival and at its turn; wrong design: the forecast as it is counts what the service passes over."""
    old = event_at("a", TWO_HOURS_BEFORE, n=1)
    found = survey([old, event("b", n=1), old], max_age=3_600.0)
    assert [outlook.updates for outlook in found.outlooks] == [1, 1]
    nearly = event_at("a", TWO_HOURS_BEFORE, n=1)
    assert [outlook.updates for outlook in survey([nearly], max_age=7_205.0).outlooks] == [1, 0]


@pytest.mark.parametrize(("wait", "calls"), [(5_400.0, 1.2), (0.0, 1.0)])
def test_an_unknown_visitor_takes_three_calls(wait: float, calls: float) -> None:
    """Or one, where nothing is tried again; the attempts are those of the service's own rule."""
    assert calls_per_update(0.1, wait) == calls


def test_calls_of_unknown_visitors_take_quota_and_rate() -> None:
    """Wrong design: the share of the quota grows, but the rate lets all updates go as if nobody called again."""
    values: list[bytes | None] = [event(f"v{number}", n=number) for number in range(100)]
    known, unknown = (survey(values, calls_per_update=calls, updates_per_second=1.5) for calls in (1.0, 3.0))
    for one, other in zip(known.outlooks, unknown.outlooks, strict=True):
        assert one.quota_share is not None
        assert other.updates == one.updates == 100
        assert other.updates_per_day == pytest.approx(3 * one.updates_per_day)
        assert other.quota_share == pytest.approx(3 * one.quota_share)
        assert other.with_unchanged.updates_per_day == other.updates_per_day
        assert other.updates_per_day_by_class["normal"] == pytest.approx(other.updates_per_day)
        assert other.longest_wait > 90
        assert one.longest_wait < 50
