"""Records of the log: mostly events of visitors, at times a tombstone or garbage; each value is a serial number."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

from connector.delivery.offset_tracker import TopicPartition
from connector.events.change import Priority
from tests.simulation.ages import Ages
from tests.simulation.logs import Logs
from tests.simulation.profiles import Profile
from tests.simulation.registry import Written
from tests.simulation.setting import partitions_of
from tests.simulation.truth import Fact, Facts
from tests.simulation.values import Values
from tests.support.fakes import FakeRecord, event, event_at, event_of

HEALTHY = "vwx"
"""First letters of visitors whose values may come again."""
BIG = 40_000
"""Two values of this length need two requests."""


class Traffic:
    """Appends to the log, and reports it to the truth."""

    def __init__(
        self,
        profile: Profile,
        rng: random.Random,
        logs: Logs,
        truth: Callable[[TopicPartition, FakeRecord | None, Facts], None],
        values: Values,
        ages: Ages,
        written: Written | None = None,
    ) -> None:
        """`truth` is called with each record, and each marker (None); `values` knows what each visitor had.

        `ages` knows the time, and how old an event may be. `written`: events are written by a schema.
        """
        self._written = written
        self._ages = ages
        self._profile = profile
        self._rng = rng
        self._truth = truth
        self._serial = 0
        self._logs = logs
        self._values = values
        self._partitions = partitions_of(profile)
        self.big: set[str] = set()
        """Visitors whose updates may need several requests."""

    def record(self) -> None:
        """Append one record, of any kind."""
        rng, profile = self._rng, self._profile
        number = rng.randrange(profile.visitors)
        partition = self._partitions[number % len(self._partitions)]
        if (added := [name for name in self._logs if name not in self._partitions]) and rng.random() < 0.3:
            # Visitors of their own: the events of one come over one partition.
            partition = rng.choice(added)
            number += 1_000 * partition.partition
        kind = rng.random()
        if kind < profile.markers:
            self._logs[partition].mark()
            self._truth(partition, None, (Fact("", {}),))
            kind = rng.random()
        if kind < 0.02:
            self._append(partition, None, (Fact("", {}),))
        elif kind < 0.02 + profile.malformed:
            value = rng.choice([b"{", b"[]", event("x"), event("x", a=[1]), b"\xff"])
            self._append(partition, value, (Fact("", {}, malformed=True),))
        elif self._written is not None:
            self._list(number, partition)
        else:
            self.event(number, partition)

    def event(self, number: int, partition: TopicPartition) -> None:
        """An event of this visitor."""
        partition, value, fact = self._event(number, partition)
        if self._written is None:
            self._append(partition, value, (fact,))
        else:
            self._append(partition, self._written.value([value]), (fact,), self._written.key())

    def _list(self, number: int, partition: TopicPartition) -> None:
        """A record of several events, some of them skipped or refused; its schema may come late or never."""
        assert self._written is not None
        rng = self._rng
        items: list[bytes] = []
        facts: list[Fact] = []
        for further in range(rng.choice((0, 1, 1, 2, 3, 5))):
            kind = rng.random()
            if kind < self._profile.malformed:
                items.append(event("x", a=[1]))
                facts.append(Fact("", {}, malformed=True))
            elif kind < 0.1:
                items.append(b'{"kind":"other"}')
                facts.append(Fact("", {}))
            else:
                _, value, fact = self._event((number + 3 * further * rng.randint(0, 1)), partition)
                items.append(value)
                facts.append(fact)
        key = self._written.key()
        if self._written.never_comes(key):
            facts = [Fact("", {}, malformed=True)]
        self._append(partition, self._written.value(items), tuple(facts), key)

    def _event(self, number: int, partition: TopicPartition) -> tuple[TopicPartition, bytes, Fact]:
        rng, profile = self._rng, self._profile
        visitor = f"{profile.special.get(number, 'v')}{number}"
        names = rng.sample("abcd", rng.randint(1, 2))
        if profile.spread and visitor[0] == "v" and rng.random() < profile.spread:
            # Visitors whose events come over all partitions: each has names of its own there, so the order is defined.
            visitor = f"w{number}"
            partition = rng.choice(self._partitions)
            names = [f"{name}{partition.partition}" for name in names]
        if profile.shared and rng.random() < profile.shared:
            # Visitors of both topics, with the same attributes in each: only time says which value is the newer.
            visitor = f"x{number}"
            topic = rng.choice("tu")
            its = [name for name in self._partitions if name.topic == topic]
            partition = its[number % len(its)]
            names = [f"{name}@{partition.topic}" for name in names]
        serials: dict[str, int] = {}
        for name in names:
            self._serial += 1
            serials[name] = self._serial
            may_repeat = visitor[0] in HEALTHY and not (profile.big and number == 1)
            if profile.repeats and may_repeat and rng.random() < profile.repeats:
                # One of its own, or of another attribute.
                of = name if rng.random() < 0.7 else rng.choice("abcd") + name[1:]
                if earlier := self._values.recent((visitor, of)):
                    self._values.repeat(self._serial, rng.choice(earlier))
        values = {name.partition("@")[0]: str(self._values.of(serial)) for name, serial in serials.items()}
        if profile.big and number == 1 and rng.random() < 0.4:
            if visitor[0] == "v":
                self.big.add(visitor)
                values = {name: f"{serial}.{'x' * BIG}" for name, serial in serials.items()}
        elif profile.padding:
            values = {name: f"{value}.{'x' * profile.padding}" for name, value in values.items()}
        if profile.late and rng.random() < profile.late:
            occurred = self._earlier()
            value = event_at(visitor, occurred.isoformat(), **values)
            return partition, value, Fact(visitor, serials, occurred=occurred.timestamp())
        said = rng.choice((*Priority, None)) if profile.agings else None
        value = event(visitor, **values) if said is None else event_of(said, visitor, **values)
        return partition, value, Fact(visitor, serials, priority=Priority.NORMAL if said is None else said)

    def _earlier(self) -> datetime:
        """When a late event was true: often just about as long ago as it may be, at times in the future."""
        share = self._rng.choice((self._rng.uniform(-0.1, 1.2), self._rng.uniform(0.7, 1.02)))
        return datetime.fromtimestamp(self._ages.timeline.now - share * self._ages.max_age, UTC)

    def _append(self, partition: TopicPartition, value: bytes | None, facts: Facts, key: bytes | None = None) -> None:
        timeless = self._profile.timeless and self._rng.random() < self._profile.timeless
        written = -1 if timeless else int(self._ages.timeline.now * 1_000)
        self._truth(partition, self._logs[partition].append(value, key, written), facts)
