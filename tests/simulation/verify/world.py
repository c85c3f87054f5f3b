"""One visitor at a random sandbox: what was asked for, what Target did with it, and what a fetch shows.

The sandbox's profiles are driven directly, in virtual time. What is judged sees only what `connector verify` sees: the
events of a window, which of them are settled, the dead letters, and a profile as JSON.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Final, NamedTuple

from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition
from connector.sandbox.answers import no_profile
from connector.sandbox.fates import Fate, Processing
from connector.sandbox.fetch import profile_json
from connector.sandbox.profile_rules import EXPIRE_SECONDS, SESSION_SECONDS, VALUE_LIMIT
from connector.sandbox.profiles import ProfileStore, StoredProfile
from connector.sandbox.rules import Visitor
from connector.target.profile import Profile, read_answer
from connector.verify import judge as judging
from connector.verify.history import Asked, VisitorHistory, Written
from connector.verify.judge import CLOCK_SECONDS, Judgement

NOW: Final = 1_900_000_000.0
HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
DELAY: Final = HOUR
"""From an event to its accepted update at most."""
NAMES: Final = ("a", "b", "c")
LANE: Final = TopicPartition("t", 0)
LONG: Final = "long " * 100


@dataclass(slots=True)
class Event:
    """A record, and what became of it in the service."""

    at: float
    attributes: dict[str, str]
    accepted_at: float | None = None
    """None: not accepted by now."""
    is_settled: bool = False
    is_dead: bool = False


class Elsewhere(NamedTuple):
    """A visit, or another system's write."""

    at: float
    attributes: dict[str, str]


@dataclass(slots=True)
class World:
    """Everything there is to know; `judged` is what the code under test says of it."""

    seed: int
    rng: random.Random = field(init=False)
    store: ProfileStore = field(init=False)
    visitor: Visitor = field(init=False)
    skew: float = 0.0
    """Of Target's clock."""
    window: float = 0.0
    """Where the topic is read from."""
    has_times: bool = True
    is_overriding: bool = False
    events: list[Event] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    sessions_end: list[float] = field(default_factory=list)
    judged: dict[str, Judgement] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    fates: dict[str, Fate] = field(default_factory=dict)
    stored: StoredProfile | None = None

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        self.visitor = rng.choice([Visitor("mbox3rdPartyId", "ann"), Visitor("mboxPC", "136-57.28_0")])
        self.is_overriding = rng.random() < 0.3 and self.visitor.kind == "mbox3rdPartyId"
        self.store = ProfileStore(
            update_only=rng.random() < 0.6,
            override=self.is_overriding,
            expire_after=rng.choice([None, EXPIRE_SECONDS]),
            session=rng.choice([None, SESSION_SECONDS]),
            ignore_empty=rng.random() < 0.5,
            value_limit=rng.choice([None, VALUE_LIMIT]),
        )
        self.skew = rng.uniform(-CLOCK_SECONDS / 2, CLOCK_SECONDS / 2)
        self.window = NOW - rng.choice([30, 48, 100]) * HOUR
        self.has_times = rng.random() < 0.95

    def run(self) -> None:
        """Let it all happen, fetch, and judge."""
        self._ask()
        self._visit()
        steps: list[tuple[float, int, Callable[[float], object]]] = []
        for number, (at, attributes, processing) in enumerate(self._updates()):
            steps.append((at, number, self._update(attributes, processing)))
        steps += [(at, -1, self._come(attributes)) for at, attributes in self.elsewhere]
        for at, _, step in sorted(steps, key=lambda each: each[:2]):
            step(at + self.skew)
        now = NOW + self.skew
        self.stored = self.store.stored(self.visitor, now)
        self.fates = self.store.fates(self.visitor, now)
        history = self._history()
        self.asked = dict(history.asked(Order.OFFSET, DELAY))
        self.judged = judging.judge(self.asked, self._fetch(), NOW)

    def _ask(self) -> None:
        """The events, some merged into one update; a few are given up, and the last ones may not be settled."""
        rng = self.rng
        at = NOW - rng.choice([rng.uniform(1, 110), rng.uniform(1, 110), rng.uniform(24, 25)]) * HOUR
        accepted_at = at
        for number in range(rng.randint(1, 7)):
            if at > NOW:
                break
            attributes = {name: self._value(number, name) for name in NAMES if rng.random() < 0.55}
            if attributes:
                accepted_at = max(accepted_at + 0.001, at + rng.choice([0.5, 30.0, rng.uniform(0.0, DELAY)]))
                accepted_at = min(accepted_at, at + DELAY)
                self.events.append(Event(at, attributes, accepted_at, is_dead=rng.random() < 0.06))
            at += rng.choice([2.0, 60.0, rng.uniform(0, 2) * HOUR, rng.uniform(0, 40) * HOUR])
        open_ = rng.choice([0] * 8 + [1, 2])
        for number, event in enumerate(self.events):
            is_sent = event.accepted_at is not None and event.accepted_at <= NOW
            event.is_settled = is_sent and number < len(self.events) - open_
            if not is_sent or (not event.is_settled and rng.random() < 0.5):
                event.accepted_at = None
                for later in self.events[number:]:
                    later.accepted_at, later.is_settled = None, False
                break

    def _value(self, number: int, name: str) -> str:
        kind = self.rng.random()
        if kind < 0.06:
            return ""
        if kind < 0.14:
            return LONG[: self.rng.choice([200, 256, 300, 400])]
        if kind < 0.2:
            return self.rng.choice(["yes", "no"])
        return f"{name}{number}"

    def _updates(self) -> list[tuple[float, dict[str, str], Processing]]:
        """What is accepted: events that come together are one update, by its last event's time."""
        rng = self.rng
        updates: list[tuple[float, dict[str, str], Processing]] = []
        merged: dict[str, str] = {}
        for event, following in zip_longest(self.events, self.events[1:]):
            if event.accepted_at is None or event.is_dead:
                continue
            merged |= event.attributes
            joins = following is not None and following.accepted_at is not None and not following.is_dead
            if joins and following is not None and following.at - event.at < 5.0 and rng.random() < 0.5:
                following.accepted_at = max(following.accepted_at or 0.0, event.accepted_at)
                continue
            lags = [0.0, 5.0, rng.uniform(0, 1) * HOUR, rng.uniform(0, 24) * HOUR, DAY - rng.uniform(1, 600)]
            processing = Processing(
                lag=rng.choice(lags),
                is_lost=rng.random() < 0.12,
                is_reordered=rng.random() < 0.25,
                overwritten_after=rng.uniform(1, 10) * HOUR if rng.random() < 0.06 else None,
            )
            updates.append((event.accepted_at, merged, processing))
            merged = {}
        return updates

    def _visit(self) -> None:
        """The first visit, if ever; further ones, with what a page, a script or another system writes."""
        rng = self.rng
        if rng.random() < 0.12:
            return
        times = [NOW - rng.choice([rng.uniform(0, 4), rng.uniform(0, 13), rng.uniform(13.5, 16)]) * DAY]
        for _ in range(rng.choice([0, 0, 1, 2, 4])):
            near = rng.choice([NOW - rng.uniform(0, 100) * HOUR, times[-1] + rng.uniform(0, 1) * HOUR])
            times.append(near)
        if self.events and rng.random() < 0.3:
            event = rng.choice(self.events)
            times.append(event.at + rng.uniform(-0.5, 2) * HOUR)
        soon = None if not self.events or rng.random() < 0.8 else rng.choice(self.events).at + rng.uniform(1.0, 120.0)
        if soon is not None:
            times.append(soon)
        for at in sorted(each for each in times if each <= NOW):
            written = {}
            if rng.random() < 0.5:
                written["user.score"] = str(rng.randint(0, 9))
            if rng.random() < 0.25 or at == soon:
                written[rng.choice(NAMES)] = rng.choice([f"page{len(self.elsewhere)}", "yes", "no"])
            self.elsewhere.append(Elsewhere(at, written))

    def _update(self, attributes: dict[str, str], processing: Processing) -> Callable[[float], object]:
        return lambda at: self.store.update(self.visitor, attributes, at, processing)

    def _come(self, attributes: dict[str, str]) -> Callable[[float], object]:
        return lambda at: self.store.visit(self.visitor, at, attributes)

    def _history(self) -> VisitorHistory:
        history = VisitorHistory()
        for event in self.events:
            if event.at < self.window:
                continue
            history.add(LANE, event.attributes, Written("", event.at, event.is_settled, event.at))
            if event.is_dead and event.accepted_at is not None:
                history.give_up(event.attributes, event.accepted_at)
        return history

    def _fetch(self) -> Profile | None:
        """Through the sandbox's own answer and the reading under test."""
        if self.stored is None:
            reply = no_profile("demo", self.visitor)
            return read_answer(int(reply.status), reply.body, None, NOW).profile
        offset = self.rng.choice([0, -240, 330])
        body = json.dumps(profile_json("demo", self.visitor.id, self.stored, offset)).encode()
        profile = read_answer(200, body, None, NOW).profile
        assert profile is not None
        if self.has_times:
            return profile
        timeless = {name: each._replace(modified_at=None) for name, each in profile.attributes.items()}
        return replace(profile, attributes=timeless, modified_at=None)
