"""One linger's future: the service's own coalescer and rate, fed by the clock of the records."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from connector.admission.rate_limiter import RateLimiter
from connector.delivery.accepted_values import AcceptedValues
from connector.delivery.ages import is_too_old
from connector.delivery.coalescer import Coalescer, Order
from connector.delivery.counters import Histogram
from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.delivery.selection import Selection
from connector.delivery.update import UPDATE_BYTES, Update
from connector.events.change import Change
from connector.plan.makeup import Makeup
from connector.plan.merge import Dated

LOW_WATER = 0.9
"""The service's share of a bound at which consumption resumes."""
STEP = 1.005
LONGEST_SECONDS = 30 * 86_400.0
_COUNT = math.ceil(math.log(LONGEST_SECONDS / 0.001, STEP))
DELAY_SECONDS = (*accumulate([STEP] * _COUNT, lambda bound, step: bound * step, initial=0.001),)
"""Bounds for delays, each half a percent above the one before: no quantile is further off than that."""
SLICES = 288
"""A window is counted in this number of slices and one more: at most a slice's updates too many, never too few."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the forecast takes from the settings. Times in seconds.

    Replicas own parts of the partitions, and so of the visitors: together they are as one that may hold as much.
    """

    order: Order = Order.OFFSET
    updates_per_second: float = 200.0
    """For the whole group; 0: no limit."""
    max_visitors: int = 200_000
    max_bytes: int = 256 << 20
    window: float = 86_400.0
    request_seconds: float = 0.1
    """From sending a request to its answer."""
    unchanged_seconds: float = 0.0
    """Seconds for which an accepted value is not sent again; 0: all values are sent."""
    unchanged_max_visitors: int = 200_000
    max_age: float = 0.0
    """A change that is older when its turn comes is not sent; 0: all are."""
    calls_per_update: float = 1.0
    """Above 1 where Target does not know some of the visitors: each of the calls takes its part of the rate."""


class _Window:
    """The most updates that any window holds, at constant memory and next to no cost an update."""

    __slots__ = ("_number", "_slice", "_slices", "_sum", "busiest", "ends", "updates")

    def __init__(self, seconds: float) -> None:
        self._slice = seconds / SLICES
        self._number = 0
        self._slices: deque[tuple[int, int]] = deque()
        self._sum = 0
        self.ends = -math.inf
        """When the slice is over that `updates` counts; call `turn` before adding to it if it is."""
        self.updates = 0
        self.busiest = 0

    def turn(self, now: float) -> None:
        """The slice is over: another begins."""
        self._slices.append((self._number, self.updates))
        self._sum += self.updates
        while self._slices[0][0] < self._number - SLICES:
            self._sum -= self._slices.popleft()[1]
        self.busiest = max(self.busiest, self._sum)
        self._number = int(now / self._slice)
        self.ends = (self._number + 1) * self._slice
        self.updates = 0


class Forecast:
    """What the service does with this linger, update by update, while its endpoint is well.

    The clock moves only by what happens: a record comes, an update is due and the rate lets it go, an answer comes. A
    record that comes in the same instant as an update is due still gets into it.
    """

    __slots__ = (
        "_accepted",
        "_assumed",
        "_by_time",
        "_coalescer",
        "_flying",
        "_look_at",
        "_next",
        "_now",
        "_rate",
        "_selection",
        "_trackers",
        "_window",
        "delays",
        "linger",
        "longest_wait",
        "makeup",
        "paused",
        "peak_bytes",
        "peak_unchanged_bytes",
        "peak_visitors",
        "updates",
    )

    def __init__(self, linger: float, assumed: Assumptions) -> None:
        """`linger` in seconds."""
        self._assumed = assumed
        self._coalescer = Coalescer(linger, assumed.order, 1, keeps_times=assumed.max_age > 0)
        self._by_time = assumed.order is Order.EVENT_TIME
        self._look_at = min(assumed.max_bytes, assumed.max_visitors * UPDATE_BYTES)
        """Below this size neither bound can be reached."""
        self._rate = RateLimiter((assumed.updates_per_second or math.inf) / assumed.calls_per_update)
        self._accepted: AcceptedValues | None = None
        if assumed.unchanged_seconds:
            self._accepted = AcceptedValues(assumed.unchanged_seconds, assumed.unchanged_max_visitors)
            self._accepted.open(-math.inf)
        self._selection: Selection | None = None
        if self._accepted is not None or assumed.max_age:
            self._selection = Selection(self._accepted, assumed.max_age)
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._flying: deque[tuple[float, Update, Mapping[str, str]]] = deque()
        """When each is answered, and which values were sent; the values only where they are remembered."""
        self._now = -math.inf
        self._next = math.inf
        """Nothing happens by itself before this time."""
        self._window = _Window(assumed.window)
        self.linger = linger
        self.updates = 0
        """Those that took a call."""
        self.makeup = Makeup()
        self.delays = Histogram(DELAY_SECONDS)
        """From the oldest record of an update to its answer, as `target_connector_event_age_seconds` counts it."""
        self.peak_visitors = 0
        """Updates held at once, on the wire included, which is what COALESCE_MAX_VISITORS bounds."""
        self.peak_bytes = 0
        self.peak_unchanged_bytes = 0
        """What the accepted values took, which COALESCE_MAX_BYTES does not count."""
        self.longest_wait = 0.0
        """Seconds between the end of an update's linger and its turn: the wait for the rate."""
        self.paused = 0.0
        """Seconds for which consumption was paused, because a bound was reached."""

    def take(self, wishes: Iterable[tuple[Change, Dated, int, float]]) -> None:
        """Changes came, in order: each with its record, the record's length, and when the change was true."""
        coalescer, trackers, linger, look_at = self._coalescer, self._trackers, self.linger, self._look_at
        add, added, note, max_age = coalescer.add, coalescer.added, self.makeup.add, self._assumed.max_age
        for change, record, size, when in wishes:
            at = record.at
            if at > self._next:
                self._run(at)
            if coalescer.size >= look_at and self._is_full(1.0):
                self._pause()
            now = self._now
            if at > now:
                now = self._now = at
            if max_age and is_too_old(change, record, now - max_age):
                continue
            tracker = trackers.get(record.name)
            if tracker is None:
                tracker = trackers[record.name] = OffsetTracker(record.name)
            add(change, tracker, record, now, size)
            added(1, size)
            note(change.visitor, when)
            due = now + linger
            if due < self._next:  # noqa: PLR1730 - a call of min costs more, and this is done for each record and linger
                self._next = due

    def finish(self) -> None:
        """No more records come: all that is pending goes out in its time."""
        self._run(math.inf)

    @property
    def busiest_window(self) -> int:
        """The most updates that began within any window."""
        self._window.turn(self._now)
        return self._window.busiest

    def _is_full(self, share: float) -> bool:
        coalescer, assumed = self._coalescer, self._assumed
        return coalescer.size >= share * assumed.max_bytes or len(coalescer) >= share * assumed.max_visitors

    def _pause(self) -> None:
        """Take nothing until there is room again, as the service does; the records wait in Kafka."""
        began = self._now
        while self._is_full(LOW_WATER):
            self._run(math.nextafter(self._next, math.inf))
        self.paused += self._now - began

    def _run(self, until: float) -> None:
        """All that happens before `until`."""
        coalescer, flying, now = self._coalescer, self._flying, self._now
        due_in, wait, send, land, never = coalescer.due_in, self._rate.wait, self._send, self._land, math.inf
        # Between two of these calls what is pending only grows.
        self.peak_visitors = max(self.peak_visitors, len(coalescer))
        self.peak_bytes = max(self.peak_bytes, coalescer.size)
        while True:
            lands = flying[0][0] if flying else never
            goes = due_in(0.0)
            if goes < lands:
                allowed = wait(0.0)
                goes = allowed if allowed > goes else goes  # noqa: FURB136 - a call of max costs more, twice an update
                goes = now if now > goes else goes  # noqa: FURB136 - likewise
            if goes < lands:
                if goes >= until:
                    self._next = goes
                    break
                now = goes
                send(now)
            else:
                if lands >= until:
                    self._next = lands
                    break
                now = lands
                _, update, attributes = flying.popleft()
                land(update, attributes, now)
        self._now = now

    def _send(self, now: float) -> None:
        update = self._coalescer.take(now)
        age = self.makeup.take(update.visitor, now)
        waited = now - update.due
        if waited > self.longest_wait:  # noqa: PLR1730 - a call of max costs more
            self.longest_wait = waited
        attributes: Mapping[str, str] = {}
        if self._selection is not None:
            attributes, ended = self._selection.of(update, now, now)
            if ended is not None:
                self._coalescer.settle(update)
                return
        self._rate.spend(now)
        if self._by_time and not update.attributes:  # All of it may be older than what was sent before.
            self._coalescer.settle(update)
            return
        # Without `AcceptedValues.sent`: no other update of the visitor goes before this one is answered, and accepted.
        self.updates += 1
        self.makeup.count(update.priority, age)
        window = self._window
        if now >= window.ends:
            window.turn(now)
        window.updates += 1
        self._flying.append((now + self._assumed.request_seconds, update, attributes))

    def _land(self, update: Update, attributes: Mapping[str, str], now: float) -> None:
        parts = update.parts.values()
        oldest = next(iter(parts)).oldest_ms if len(parts) == 1 else min([part.oldest_ms for part in parts])
        self.delays.observe(now - oldest / 1000)
        accepted = self._accepted
        if accepted is not None:
            accepted.accepted(update.visitor, attributes, [partition.name for partition in update.parts], now, now)
            self.peak_unchanged_bytes = max(self.peak_unchanged_bytes, accepted.size)
        self._coalescer.settle(update)
