"""A dead letter: what can never be delivered, with where it came from and why."""

import enum
from dataclasses import dataclass

from connector.delivery.offset_tracker import TopicPartition


class Stage(enum.StrEnum):
    """Where it failed; the value of Kafka Connect's `__connect.errors.stage` header."""

    DECODE = "VALUE_CONVERTER"
    TARGET = "TASK_PUT"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Key and value as they came, or for a merged update a valid event of what was rejected.

    `reason` names field and rule, never a value: the headers are read by people who may not see the payload.
    """

    source: TopicPartition
    offset: int
    stage: Stage
    error: str
    """The class of the error, for `__connect.errors.exception.class.name`."""
    reason: str
    key: bytes | None
    value: bytes | None
