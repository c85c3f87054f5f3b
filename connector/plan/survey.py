"""Every record once: decoded, counted, and shown to the forecast of each linger side by side."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from connector.decoding import MappedTopic
from connector.events.change import Change, Refused
from connector.mapping import Skip
from connector.plan.distinct import Distinct
from connector.plan.forecast import Assumptions, Forecast
from connector.plan.merge import Dated

DAY_SECONDS = 86_400.0
BATCH = 1_000
"""Records that all forecasts take before the next are decoded."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Updates that may go in any window, and its seconds; 0 updates: no quota."""

    updates: int = 1_000_000
    seconds: float = DAY_SECONDS


@dataclass(frozen=True, slots=True)
class LingerForecast:
    """What one linger would bring. Times in seconds."""

    linger: float
    updates: int
    """Of the stretch that was read, what is pending at its end included."""
    updates_per_day: float
    quota_share: float | None
    """Of the busiest window, or of a window at this pace when less than one was read; None: there is no quota."""
    delay_p50: float | None
    """From the oldest record of an update to its answer; None: there was no update, or it took more than 30 days."""
    delay_p99: float | None
    peak_visitors: int
    peak_bytes: int
    paused: float
    longest_wait: float


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

    @property
    def seconds(self) -> float:
        """How much time the records stand for."""
        return max(self.until - self.since, 1.0)


class Survey:
    """Takes the records of all partitions by time; memory is that of the pending updates alone."""

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
        self._forecasts = [Forecast(linger, assumed) for linger in lingers]
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
            wishes = list(self._wishes(batch))
            self._changes += len(wishes)
            for change, _, _ in wishes:
                self._visitors.see(change.visitor)
            for forecast in self._forecasts:
                forecast.take(wishes)

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
        for forecast in self._forecasts:
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
            outlooks=[_outlook(forecast, seconds, quota) for forecast in self._forecasts],
        )


def _outlook(forecast: Forecast, seconds: float, quota: Quota) -> LingerForecast:
    in_a_window = forecast.updates / seconds * quota.seconds
    if seconds > quota.seconds:
        in_a_window = max(in_a_window, forecast.busiest_window)
    return LingerForecast(
        linger=forecast.linger,
        updates=forecast.updates,
        updates_per_day=forecast.updates / seconds * DAY_SECONDS,
        quota_share=in_a_window / quota.updates if quota.updates else None,
        delay_p50=forecast.delays.quantile(0.5),
        delay_p99=forecast.delays.quantile(0.99),
        peak_visitors=forecast.peak_visitors,
        peak_bytes=forecast.peak_bytes,
        paused=forecast.paused,
        longest_wait=forecast.longest_wait,
    )


def _place(record: Dated, refused: Refused) -> str:
    return f"{record.name.topic}/{record.name.partition} offset {record.offset()}: {refused}"
