"""What the topics asked for one visitor: of each attribute the newest value, and the older ones."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition

KEPT_VALUES: Final = 64
"""Of an attribute in a partition; an older one that still stands is known by its time alone."""
KEPT_ATTRIBUTES: Final = 2_000
"""Of a visitor: further ones are not judged."""


class Written(NamedTuple):
    """A value that an event asked for. Times in seconds since the epoch."""

    value: str
    at: float
    """When the event was written to the topic."""
    is_settled: bool
    """Below the committed offset: its update was accepted, or given up."""
    occurred: float
    """What the order by event time compares."""


class Asked(NamedTuple):
    """One attribute, as the service understands its events."""

    newest: Written
    settled_at: float | None
    """By when the newest value was accepted, at the latest; None: no committed offset says that it was."""
    others: Mapping[str, float]
    """Values of older events, each with the time of its last one."""
    rivals: frozenset[str]
    """Of events in other partitions at about the same time: the order across partitions is not promised."""
    is_dead_lettered: bool
    """The newest value was given up, so nobody expects it at Target."""

    def event_of(self, value: str) -> float | None:
        """The time of our last event with this value; None: it is none of ours."""
        return self.newest.at if value == self.newest.value else self.others.get(value)


@dataclass(slots=True)
class VisitorHistory:
    """Grows by one event after the other, those of a partition in their order."""

    _lanes: dict[str, dict[TopicPartition, deque[Written]]] = field(default_factory=dict)
    _dead: dict[str, dict[str, float]] = field(default_factory=dict)
    """By attribute and value when it was last given up."""

    def add(self, source: TopicPartition, attributes: Mapping[str, str], written: Written) -> None:
        """An event asks for these; `written` has its times, and the value is that of each attribute."""
        for name, value in attributes.items():
            lanes = self._lanes.get(name)
            if lanes is None:
                if len(self._lanes) >= KEPT_ATTRIBUTES:
                    continue
                lanes = self._lanes[name] = {}
            if source not in lanes:
                lanes[source] = deque(maxlen=KEPT_VALUES)
            lanes[source].append(written._replace(value=value))

    def give_up(self, attributes: Mapping[str, str], at: float) -> None:
        """There is a dead letter of these values, written at this time."""
        for name, value in attributes.items():
            known = self._dead.setdefault(name, {})
            known[value] = max(at, known.get(value, at))

    def asked(self, order: Order, delay: float) -> Iterator[tuple[str, Asked]]:
        """Each attribute. `delay`: seconds from an event to its accepted update, at most.

        Within that time events of different partitions may overtake each other.
        """
        for name, lanes in self._lanes.items():
            every = [written for lane in lanes.values() for written in lane]
            # Of a partition the last event counts, whatever its timestamp says.
            last = [lane[-1] for lane in lanes.values()]
            if order is Order.EVENT_TIME:
                newest = max(reversed(every), key=lambda written: written.occurred)
            else:
                newest = max(last, key=lambda written: written.at)
            rivals = {written.value for written in last if written.at >= newest.at - delay}
            given_up = self._dead.get(name, {}).get(newest.value)
            yield (
                name,
                Asked(
                    newest,
                    newest.at + delay if newest.is_settled else None,
                    {written.value: written.at for written in every if written.value != newest.value},
                    frozenset(rivals) - {newest.value},
                    given_up is not None and given_up >= newest.at,
                ),
            )
