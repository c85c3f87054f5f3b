"""Every record once: decoded, counted, and shown to two forecasts of each linger: with unchanged values and without."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from connector.decoding import MappedTopic
from connector.delivery.ages import true_at
from connector.events.change import Change, Refused
from connector.mapping import Skip
from connector.plan.distinct import Distinct
from connector.plan.forecast import Assumptions, Forecast
from connector.plan.merge import Dated

DAY_SECONDS = 86_400.0
UNCHANGED_SECONDS = DAY_SECONDS
"""COALESCE_UNCHANGED_SECONDS of the forecasts without unchanged values, unless it is set."""
BATCH = 1_000
"""Records that all forecasts take before the next are decoded."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Updates that may go in any window, and its seconds; 0 updates: no quota."""

    updates: int = 1_000_000
    seconds: float = DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Cost:
    """What a linger costs with unchanged values, or without them."""

    updates_per_day: float
    quota_share: float | None
    paused: float


@dataclass(frozen=True, slots=True)
class LingerForecast:
    """What one linger would bring, by the settings as they are. Times in seconds."""

    linger: float
    updates: int
    """Of the stretch that was read, what is pending at its end included."""
    updates_per_day: float
    """Calls: more than the updates where Target does not know some of the visitors. So is every number a day."""
    quota_share: float | None
    """Of the busiest window, or of a window at this pace when less than one was read; None: there is no quota."""
    delay_p50: float | None
    """From the oldest record of an update to its answer; None: there was no update, or it took more than 30 days."""
    delay_p99: float | None
    peak_visitors: int
    peak_bytes: int
    paused: float
    longest_wait: float
    with_unchanged: Cost
    """If unchanged values are sent. One of the two is as it is."""
    without_unchanged: Cost
    """If they are left out."""
    unchanged_bytes: int
    """The most memory that the accepted values take if they are left out; not in `peak_bytes`."""
    updates_per_day_by_class: Mapping[str, float]
    updates_per_day_older_than: Mapping[int, float]
    """By an age in seconds: the newest change of these updates was older when their turn came."""


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What was read. Times in seconds since the epoch."""

    asked_since: float
    since: float
    """Where the records begin: later than asked, if the topics hold less."""
    until: float
    records: int
    events: int
    """Changes that the records carry, whatever became of them: one a record, but for lists that a mapping reads."""
    refused: int
    first_refused: str
    """Place and reason; empty: there is none."""
    tombstones: int
    empty: int
    """Events of nothing but nulls, which ask for nothing."""
    skipped: Mapping[str, Mapping[str, int]]
    """By source of the mapping and by condition, the events for which it does not hold."""
    timeless: int
    missing: int
    """Offsets without a record: compacted away, aborted, or a transaction's marks."""
    outlooks: Sequence[LingerForecast]
    changes: int = 0
    """Events that ask for something."""
    visitors: int = 0
    """Different visitors among them, about."""
    unchanged_seconds: float = UNCHANGED_SECONDS
    """Seconds for which an accepted value counts as unchanged, in `without_unchanged`."""
    calls_per_update: float = 1.0
    """Above 1 where Target does not know some of the visitors."""

    @property
    def seconds(self) -> float:
        """How much time the records stand for."""
        return max(self.until - self.since, 1.0)


class Survey:
    """Takes the records of all partitions by time; memory is that of pending updates and accepted values."""

    def __init__(
        self,
        lingers: Iterable[float],
        assumed: Assumptions,
        decode: Callable[[bytes], Change],
        topics: Mapping[str, MappedTopic] | None = None,
    ) -> None:
        """`decode` is the service's, by the same rules, and so are the readers of `topics` that are not version 1."""
        self._decode = decode
        self._topics = topics or {}
        self._assumed = assumed
        self._unchanged_seconds = assumed.unchanged_seconds or UNCHANGED_SECONDS
        other = replace(assumed, unchanged_seconds=0.0 if assumed.unchanged_seconds else self._unchanged_seconds)
        self._forecasts = [(Forecast(linger, assumed), Forecast(linger, other)) for linger in lingers]
        """Of each linger: as it is, and with the other choice on unchanged values."""
        self._first: float | None = None
        self._first_refused = ""
        self.records = 0
        """Records seen so far."""
        self._changes = 0
        self._visitors = Distinct()
        self._refused = 0
        self._tombstones = 0
        self._empty = 0
        self._further = 0
        self._skipped: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def take(self, records: Iterable[Dated]) -> None:
        """The next records by time."""
        coming = iter(records)
        while batch := list(islice(coming, BATCH)):
            wishes = [(change, record, size, true_at(change, record)) for change, record, size in self._wishes(batch)]
            self._changes += len(wishes)
            for change, *_ in wishes:
                self._visitors.see(change.visitor)
            for as_it_is, otherwise in self._forecasts:
                as_it_is.take(wishes)
                otherwise.take(wishes)

    def _wishes(self, records: Sequence[Dated]) -> Iterator[tuple[Change, Dated, int]]:
        """Those that ask for something, decoded; the others are counted."""
        decode, topics = self._decode, self._topics
        self.records += len(records)
        if self._first is None:
            self._first = records[0].at
        for record in records:
            if topics and (read := topics.get(record.name.topic)) is not None:
                yield from self._mapped(read, record)
                continue
            value = record.value()
            if value is None:
                self._tombstones += 1
                continue
            try:
                change = decode(value)
            except Refused as refused:
                self._refuse(record, refused)
                continue
            if change.attributes:
                yield change, record, len(value)
            else:
                self._empty += 1

    def _mapped(self, read: MappedTopic, record: Dated) -> Iterator[tuple[Change, Dated, int]]:
        """A record may carry several changes; each is an event, of the size that is its part."""
        try:
            outcome = read(record)
        except Refused as refused:
            self._refuse(record, refused)
            return
        if outcome is None:
            self._tombstones += 1
            return
        items = (outcome,) if isinstance(outcome, Skip) else outcome.items
        self._further += len(items) - 1 if items else 0
        self._empty += not items
        size = len(record.value() or b"") // max(1, len(items))
        if read.is_list:
            record = record.without_content()
        for item in items:
            if isinstance(item, Skip):
                self._skipped[read.name][item.condition] += 1
            elif isinstance(item, Refused):
                self._refuse(record, item)
            elif item.attributes:
                yield item, record, size
            else:
                self._empty += 1

    def _refuse(self, record: Dated, refused: Refused) -> None:
        self._refused += 1
        self._first_refused = self._first_refused or _place(record, refused)

    def finish(
        self, quota: Quota, *, asked_since: float, until: float, older: bool, timeless: int, expected: int
    ) -> SurveyResult:
        """Let go what is pending and sum up.

        `older`: the log holds records from before `asked_since`, so silence was silence; else the first record is where
        the topics begin. `expected` is how many offsets there were.
        """
        since = asked_since if older or self._first is None else max(asked_since, self._first)
        seconds = max(until - since, 1.0)
        for forecast in chain.from_iterable(self._forecasts):
            forecast.finish()
        return SurveyResult(
            asked_since=asked_since,
            since=since,
            until=until,
            records=self.records,
            events=self.records + self._further,
            refused=self._refused,
            first_refused=self._first_refused,
            tombstones=self._tombstones,
            empty=self._empty,
            skipped={source: dict(counts) for source, counts in self._skipped.items()},
            timeless=timeless,
            missing=max(0, expected - self.records),
            changes=self._changes,
            visitors=self._visitors.count(),
            outlooks=[self._outlook(*both, seconds, quota) for both in self._forecasts],
            unchanged_seconds=self._unchanged_seconds,
            calls_per_update=self._assumed.calls_per_update,
        )

    def _outlook(self, as_it_is: Forecast, otherwise: Forecast, seconds: float, quota: Quota) -> LingerForecast:
        a_day = DAY_SECONDS / seconds * self._assumed.calls_per_update
        cost, other = self._cost(as_it_is, seconds, quota), self._cost(otherwise, seconds, quota)
        with_unchanged, without = (other, cost) if self._assumed.unchanged_seconds else (cost, other)
        return LingerForecast(
            linger=as_it_is.linger,
            updates=as_it_is.updates,
            updates_per_day=cost.updates_per_day,
            quota_share=cost.quota_share,
            delay_p50=as_it_is.delays.quantile(0.5),
            delay_p99=as_it_is.delays.quantile(0.99),
            peak_visitors=as_it_is.peak_visitors,
            peak_bytes=as_it_is.peak_bytes,
            paused=as_it_is.paused,
            longest_wait=as_it_is.longest_wait,
            with_unchanged=with_unchanged,
            without_unchanged=without,
            unchanged_bytes=max(as_it_is.peak_unchanged_bytes, otherwise.peak_unchanged_bytes),
            updates_per_day_by_class={name: calls * a_day for name, calls in as_it_is.makeup.by_class.items()},
            updates_per_day_older_than={age: calls * a_day for age, calls in as_it_is.makeup.older_than.items()},
        )

    def _cost(self, forecast: Forecast, seconds: float, quota: Quota) -> Cost:
        calls = self._assumed.calls_per_update
        in_a_window = forecast.updates / seconds * quota.seconds
        if seconds > quota.seconds:
            in_a_window = max(in_a_window, forecast.busiest_window)
        return Cost(
            updates_per_day=forecast.updates / seconds * DAY_SECONDS * calls,
            quota_share=in_a_window * calls / quota.updates if quota.updates else None,
            paused=forecast.paused,
        )


def _place(record: Dated, refused: Refused) -> str:
    return f"{record.name.topic}/{record.name.partition} offset {record.offset()}: {refused}"
