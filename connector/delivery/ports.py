"""What the heart needs to see of the world, as Protocols that the edges and the fakes of the tests both fit."""

from collections.abc import Sequence
from typing import Protocol

Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """A Kafka record, in the shape of confluent-kafka's Message, so that a batch crosses the edge without a copy."""

    def topic(self) -> str:
        """Name of the topic."""
        ...

    def partition(self) -> int:
        """Number of the partition."""
        ...

    def offset(self) -> int:
        """Place in the partition's log."""
        ...

    def leader_epoch(self) -> int | None:
        """The epoch of the leader that appended it; None where the broker does not say."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """A kind, and milliseconds since the epoch."""
        ...

    def key(self) -> bytes | None:
        """As it came."""
        ...

    def value(self) -> bytes | None:
        """As it came; None is a tombstone."""
        ...

    def headers(self) -> Headers | None:
        """As they came, None where there are none; a name may come twice."""
        ...
