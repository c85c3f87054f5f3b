"""How old each event is, and what may be left out for it: judged at the moment at which each decision is taken.

1. A change is passed over when it is read exactly if it is too old at that moment: else it is at hand. So a late event
   never stands in for a newer one.
2. Whatever is rendered for an update's turn is young enough at that moment. Its first request leaves at that moment; a
   further one of the same update may leave later, and carries nothing but what was rendered then.
3. An update that ends as expired has nothing but values that are too old at that moment. One that ends as accepted has
   nothing besides what was rendered for it last, but values that were too old then.
4. Only what was so left out, and what it replaced at the same replica before, is done without the endpoint's having it.
   Nothing is done because it has grown too old meanwhile.
5. As many records are counted as expired as there were.

"Too old" is compared as the pipeline compares it, of the same two numbers: no slack is needed.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from connector.delivery.answer import Answer
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.target.render import Rendered, Request
from tests.simulation.timeline import Timeline
from tests.simulation.values import Key

Render = Callable[[Visitor, Mapping[str, str]], Rendered]


class Stay(Protocol):
    """Of an assignment, what is needed here."""

    serials: set[int]
    accepted: dict[Key, tuple[int, float]]
    gone: dict[int, float]
    changes: int


class Ages:
    """When each event was true, and which events were left out as too old."""

    def __init__(self, timeline: Timeline, max_age: float) -> None:
        """`max_age`: in seconds; 0: no event is too old."""
        self.timeline = timeline
        self.max_age = max_age
        self._times: dict[int, float] = {}
        self._keys: dict[int, Key] = {}
        self._history: dict[Key, list[int]] = {}
        self.gone: set[int] = set()
        """Events that were left out by a replica, or that one replaced which was."""

    def appended(self, key: Key, serial: int, when: float | None) -> None:
        """An event that says, or whose record says, when it was true; None: neither does."""
        self._times[serial] = math.inf if when is None else when
        self._keys[serial] = key
        self._history.setdefault(key, []).append(serial)

    def is_too_old(self, serial: int, now: float) -> bool:
        """Whether it may not be sent any more."""
        return self._times[serial] < now - self.max_age

    def told(self, serial: int) -> str:
        """The event for a message."""
        visitor, attribute = self._keys[serial]
        when = self._times[serial]
        age = "of no age" if when == math.inf else f"{self.timeline.now - when:.3f} s old of {self.max_age:.0f}"
        return f"{visitor} {attribute}={serial}, {age},"

    def leave_out(self, serial: int, stay: Stay | None, then: float) -> int:
        """It was rightly left out when its turn came, and with it what it replaced; returns how much of that was young.

        That is what a late event replaced which was not too old itself when it was read: the log's order decides.
        """
        self.gone.add(serial)
        if stay is None:
            return 0
        key = self._keys[serial]
        sent, _ = stay.accepted.get(key, (0, 0.0))
        replaced = [it for it in self._history[key] if sent < it <= serial and it in stay.serials]
        young = [it for it in replaced if it not in self.gone and not self.is_too_old(it, then)]
        self.gone.update(replaced)
        for earlier in replaced:
            stay.gone.setdefault(earlier, self.timeline.now)
        return len(young)

    def pass_over(self, serial: int, stay: Stay) -> None:
        """It was rightly left out when it was read: it replaced nothing."""
        self.gone.add(serial)
        stay.gone.setdefault(serial, self.timeline.now)


@dataclass(eq=False)
class _Turn:
    """An update's turn."""

    at: float
    serials: frozenset[int]
    requests: int = 0


@dataclass(eq=False)
class Watch:
    """Sees each decision of one replica about ages; it is the observer of its pipeline."""

    member: str
    ages: Ages
    timeline: Timeline
    wrong: Callable[[str], None]
    stay_of: Callable[[str, int], Stay | None]
    serial_of: Callable[[str], int]
    counts: Counter[str]
    expired: int = 0
    """Records that ended so, by what was seen."""
    _taken: set[Record] = field(default_factory=set)
    _turns: dict[Visitor, _Turn] = field(default_factory=dict)
    _of: dict[int, _Turn] = field(default_factory=dict)
    """The last turn of each value."""

    # Intake.

    def begin_batch(self) -> None:
        """A batch is about to be read."""
        self._taken.clear()

    def passes_over(self, record: Record, serials: Sequence[int], stay: Stay) -> bool:
        """Whether this record of the last batch, which no earlier owner settled, was passed over; it must be right."""
        now, is_taken = self.timeline.now, record in self._taken
        is_old = self.ages.is_too_old(serials[0], now)
        if is_taken == is_old:
            did = "takes" if is_taken else "passes over"
            self.wrong(f"{self.member} {did} {self.ages.told(serials[0])} when it is read")
        if is_old:
            self.expired += 1
            self.counts["expired when read"] += 1
            for serial in serials:
                self.ages.pass_over(serial, stay)
        return is_old

    # Turns and requests.

    def over(self, render: Render) -> Render:
        """Likewise renders, and sees what is selected."""

        def rendered(visitor: Visitor, attributes: Mapping[str, str]) -> Rendered:
            self._selected(visitor, attributes)
            return render(visitor, attributes)

        return rendered

    def _selected(self, visitor: Visitor, attributes: Mapping[str, str]) -> None:
        now = self.timeline.now
        turn = _Turn(now, frozenset(self.serial_of(value) for value in attributes.values()))
        self._turns[visitor] = turn
        for serial in turn.serials:
            self._of[serial] = turn
            if self.ages.is_too_old(serial, now):
                self.wrong(f"{self.member} selects {self.ages.told(serial)} to be sent")

    def request(self, serials: Sequence[int]) -> None:
        """A request leaves with these values."""
        for serial in serials:
            turn = self._of[serial]
            if not turn.requests and turn.at != self.timeline.now:
                self.wrong(f"{self.member} sends {self.ages.told(serial)} as selected at {turn.at - 1_000:.3f} s")
            if turn.requests and self.ages.is_too_old(serial, self.timeline.now):
                self.counts["grew too old within a turn"] += 1
        for turn in {id(it): it for it in map(self._of.__getitem__, serials)}.values():
            turn.requests += 1

    # The pipeline's observer.

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:  # noqa: ARG002 - an observer
        self._taken.add(record)

    def sent(self, update: Update, request: Request) -> None:
        """The oracle hears of it from the wire."""

    def answered(self, update: Update, answer: Answer) -> None:
        """Likewise."""

    def settled(self, update: Update, how: Done) -> None:
        now = self.timeline.now
        if how is Done.EXPIRED:
            self.expired += update.records
            self.counts["expired while it waited"] += update.records
            self.counts["expired in a retry"] += update.records if update.attempts else 0
            rendered, then = frozenset[int](), now
        elif how is Done.ACCEPTED:
            turn = self._turns[update.recipient]
            rendered, then = turn.serials, turn.at
        else:
            return  # A dead letter has all of its values.
        for value in update.attributes.values():
            serial = self.serial_of(value)
            if serial in rendered:
                continue
            if not self.ages.is_too_old(serial, then):
                self.wrong(f"{self.member} ends {self.ages.told(serial)} as {how.value} without sending it")
            stay = self.stay_of(self.member, serial)
            self.counts["young ones replaced"] += self.ages.leave_out(serial, stay, then)
            if how is Done.ACCEPTED:
                self.counts["left out of a request"] += 1
            if stay is not None:
                stay.changes += 1
