"""A record that no consumer handed out: a sample of a person, a dead letter, an event before it is written."""

from collections.abc import Sequence

NO_TIME = -1
"""Kafka's number for a record without a timestamp."""
_BY_PRODUCER = 1
"""Kafka's number for a timestamp that the producer gave; 0 says that there is none."""


class GivenRecord:
    """Has what it was given, and is read as any other (`connector.delivery.ports.Record`)."""

    __slots__ = ("_headers", "_key", "_milliseconds", "_offset", "_partition", "_topic", "_value")

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int = 0,
        offset: int = 0,
        milliseconds: int = NO_TIME,
    ) -> None:
        """`milliseconds`: its timestamp, since the epoch."""
        self._topic = topic
        self._value = value
        self._key = key
        self._headers = headers
        self._partition = partition
        self._offset = offset
        self._milliseconds = milliseconds

    def topic(self) -> str:
        """Name of the topic."""
        return self._topic

    def partition(self) -> int:
        """Number of the partition."""
        return self._partition

    def offset(self) -> int:
        """Place in the partition's log."""
        return self._offset

    def leader_epoch(self) -> int | None:
        """It is not known."""
        return None

    def timestamp(self) -> tuple[int, int]:
        """A kind, and milliseconds since the epoch."""
        return (0 if self._milliseconds == NO_TIME else _BY_PRODUCER), self._milliseconds

    def key(self) -> bytes | None:
        """As it was given."""
        return self._key

    def value(self) -> bytes | None:
        """As it was given; None is a tombstone."""
        return self._value

    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """As they were given."""
        return self._headers
