"""How old each event is, and what may be left out for it: judged at the moment at which each decision is taken.

1. A change is passed over when it is read exactly if it is too old at that moment: else it is at hand. So a late event
   never stands in for a newer one.
2. Whatever is rendered for an update's turn is young enough at that moment. Its first request leaves at that moment; a
   further one of the same update may leave later, and carries nothing but what was rendered then.
3. An update that ends as expired has nothing but values that are too old at that moment. One that ends as accepted has
   nothing besides what was rendered for it last, but values that were too old then. (Where unchanged values are left
   out too: or values that the endpoint has.)
4. Only what was so left out, and what it replaced at the same replica before, is done without the endpoint's having it.
   Nothing is done because it has grown too old meanwhile.
5. As many records are counted as expired as there were.

"Too old" is compared as the pipeline compares it, of the same two numbers: no slack is needed.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.delivery.answer import Answer
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.target.render import Rendered, Request
from tests.simulation.timeline import Timeline
from tests.simulation.values import Key, Values

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
    """An update's turn: the values that were selected, and how many records the replica had read by then."""

    at: float
    values: Mapping[str, str]
    reads: int
    requests: int = 0


class Watch:
    """Sees each decision of one replica about ages; it is the observer of its pipeline."""

    def __init__(
        self,
        member: str,
        ages: Ages,
        values: Values,
        stay_of: Callable[[str, int], Stay | None],
        wrong: Callable[[str], None],
        counts: Counter[str],
    ) -> None:
        self._member = member
        self._ages = ages
        self._values = values
        self._stay_of = stay_of
        self._wrong = wrong
        self._counts = counts
        self.leaves_out_unchanged = False
        """Whether the replica also leaves out what Target has."""
        self.expired = 0
        """Records that ended so, by what was seen."""
        self._taken: set[Record] = set()
        self._reads = 0
        self._read: dict[int, int] = {}
        """By event: how many records had been read when it was taken."""
        self._turns: dict[str, _Turn] = {}
        """The last turn of each visitor."""

    # Intake.

    def begin_batch(self) -> None:
        """A batch is about to be read."""
        self._taken.clear()

    def passes_over(self, record: Record, serials: Sequence[int], stay: Stay) -> bool:
        """Whether this record of the last batch, which no earlier owner settled, was passed over; it must be right."""
        is_taken = record in self._taken
        is_old = self._ages.is_too_old(serials[0], self._ages.timeline.now)
        if is_taken == is_old:
            did = "takes" if is_taken else "passes over"
            self._wrong(f"{self._member} {did} {self._ages.told(serials[0])} when it is read")
        self._reads += 1
        if is_old:
            self.expired += 1
            self._counts["expired when read"] += 1
        for serial in serials:
            if is_old:
                self._ages.pass_over(serial, stay)
            else:
                self._read[serial] = self._reads
        return is_old

    # Turns and requests.

    def over(self, render: Render) -> Render:
        """Renders likewise, and sees what is selected."""

        def rendered(visitor: Visitor, attributes: Mapping[str, str]) -> Rendered:
            self._selected(visitor.id, attributes)
            return render(visitor, attributes)

        return rendered

    def _selected(self, visitor: str, attributes: Mapping[str, str]) -> None:
        now = self._ages.timeline.now
        turn = self._turns[visitor] = _Turn(now, dict(attributes), self._reads)
        for name, value in attributes.items():
            if self._ages.is_too_old(serial := self._event(visitor, name, value, turn), now):
                self._wrong(f"{self._member} selects {self._ages.told(serial)} to be sent")

    def _event(self, visitor: str, name: str, value: str, turn: _Turn) -> int:
        """The event whose value it is: of several with the same one the last that its assignment had taken by then."""
        its = self._values.events((visitor, name), int(value.partition(".")[0]))
        mine = [it for it in its if self._read.get(it, math.inf) <= turn.reads and self._stay_of(self._member, it)]
        if not mine:
            self._wrong(f"{self._member} holds {visitor} {name}={value[:9]}, which it did not take")
        return mine[0]

    def request(self, visitor: str, attributes: Mapping[str, str]) -> None:
        """A request leaves with these values."""
        turn, now = self._turns[visitor], self._ages.timeline.now
        for name, value in attributes.items():
            told = self._ages.told(serial := self._event(visitor, name, value, turn))
            if turn.values.get(name) != value or (not turn.requests and turn.at != now):
                self._wrong(f"{self._member} sends {told} which was not selected for this request")
            if self._ages.is_too_old(serial, now):
                self._counts["grew too old within a turn"] += 1
        turn.requests += 1

    # The pipeline's observer.

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:  # noqa: ARG002 - an observer
        self._taken.add(record)

    def sent(self, update: Update, request: Request) -> None:
        """The oracle hears of it from the wire."""

    def answered(self, update: Update, answer: Answer) -> None:
        """Likewise."""

    def settled(self, update: Update, how: Done) -> None:
        visitor, counts = update.recipient.id, self._counts
        if how is Done.EXPIRED:
            self.expired += update.records
            counts["expired in a retry" if update.attempts else "expired while it waited"] += update.records
            self._left_out(visitor, update.attributes, _Turn(self._ages.timeline.now, {}, self._reads), how)
        elif how is Done.ACCEPTED:
            turn = self._turns[visitor]
            rest = {name: value for name, value in update.attributes.items() if name not in turn.values}
            counts["left out of a request"] += len(rest)
            self._left_out(visitor, rest, turn, how)
        # Else it has a letter with all of its values, or is unchanged: the endpoint has them all.

    def _left_out(self, visitor: str, attributes: Mapping[str, str], turn: _Turn, how: Done) -> None:
        for name, value in attributes.items():
            serial = self._event(visitor, name, value, turn)
            if not self._ages.is_too_old(serial, turn.at):
                if self.leaves_out_unchanged and self._values.has((visitor, name), serial):
                    continue
                self._wrong(f"{self._member} ends {self._ages.told(serial)} as {how.value} without sending it")
            stay = self._stay_of(self._member, serial)
            self._counts["young ones replaced"] += self._ages.leave_out(serial, stay, turn.at)
            if stay is not None:
                stay.changes += 1
