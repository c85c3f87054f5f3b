"""Whether this process deserves to live and to be counted as ready, judged from heartbeats and nothing else.

Liveness is two heartbeats: a restart helps against a stuck thread and against nothing else, and a restart for any other
reason causes a rebalance, which causes the next one. Readiness does not ask for partitions: with more replicas than
partitions some have none, and a rollout that waits for them never ends.
"""

from dataclasses import dataclass
from typing import Final

BEAT_LIMIT: Final = 60.0
"""Seconds without a heartbeat after which its owner counts as stuck."""


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """What is known of the process; `thread` and `loop` are when the last heartbeats were, on one monotonic clock."""

    thread: float
    """Of the consumer thread, in seconds."""
    loop: float
    """Of the event loop, in seconds."""
    kafka_reached: bool
    """A broker has answered since the start."""
    draining: bool
    """The process was told to end."""
    started: bool
    """The start is over."""


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to one probe; `reasons` are the sentences for a human and are empty when all is well."""

    reasons: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the probe is answered with 200."""
        return not self.reasons


def livez(beats: Heartbeats, now: float, limit: float = BEAT_LIMIT) -> Health:
    """Alive while both heartbeats are younger than `limit` seconds at `now`."""
    ages = (("consumer thread", now - beats.thread), ("event loop", now - beats.loop))
    late = [(who, age) for who, age in ages if age >= limit]
    return Health(tuple(f"the {who} gave no sign of life for {age:.0f} s (limit {limit:g} s)" for who, age in late))


def readyz(beats: Heartbeats) -> Health:
    """Ready once the start is over and Kafka has answered, until the drain begins."""
    reasons = (
        (not beats.started, "the start is not over"),
        (not beats.kafka_reached, "no Kafka broker has answered yet"),
        (beats.draining, "the process drains and will end"),
    )
    return Health(tuple(reason for applies, reason in reasons if applies))
