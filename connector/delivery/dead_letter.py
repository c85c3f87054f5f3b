"""A dead letter: what can never be delivered, with where it came from and why."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connector.delivery.offset_tracker import TopicPartition

MADE_HEADER: Final = "target_connector.event"
"""Marks an event of version 1 that the connector made, in a topic whose events may be written otherwise."""
MADE: Final = b"1"
ITEM_HEADER: Final = "target_connector.item"
"""Which of the changes that a record carries is meant, counted from 0; the others of it are done."""


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
    headers: Sequence[tuple[str, bytes | None]] = ()
    """As they came; of what the connector made there are none."""
    item: int | None = None
    """Which of the changes that the record carries it is about; None: all of the record."""
    is_made: bool = False
    """Key and value are an event of version 1 that the connector made, whatever else the topic holds."""
