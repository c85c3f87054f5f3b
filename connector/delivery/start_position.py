"""Decides where reading of a partition begins: by what the group committed, and by the log that is there now.

A committed offset is only a number. The log that it was said of may be another one now: its topic may have been deleted
and made again, its tail may have been cut by an unclean leader election, its beginning deleted by retention.
"""

import enum
import sys
from dataclasses import dataclass
from typing import NamedTuple

from connector.delivery.offset_mark import NO_MARK, OffsetMark
from connector.delivery.offset_mark import decode as decode_mark


class TopicPartition(NamedTuple):
    """A partition by name, as it crosses the edges."""

    topic: str
    partition: int


class OffsetAndMetadata(NamedTuple):
    """What a group commits for a partition, by Kafka's own name; offset -1: none, or not known."""

    offset: int
    metadata: str = ""


NOTHING_COMMITTED = OffsetAndMetadata(-1)


class LogState(NamedTuple):
    """The log of a partition as the brokers describe it at one moment."""

    low: int
    """The first offset that is still there."""
    high: int
    """The offset after the last record that may be read (read committed: the last stable offset)."""
    topic_id: str = ""
    """Of the topic, in Kafka's base64 form; empty: the brokers give none. A topic made again has another one."""


class MissedReason(enum.StrEnum):
    """Why records between the committed offset and the begin of reading are gone."""

    RETENTION = "retention"
    TRUNCATION = "truncation"


class Missed(NamedTuple):
    """Records `begin` to `end` (exclusive) that the log no longer has."""

    reason: MissedReason
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading of a partition begins, and what is known of the records from there on."""

    offset: int
    """The first record to read."""
    committed: OffsetAndMetadata = NOTHING_COMMITTED
    """What the group holds, as far as it is about this log."""
    log: LogState = LogState(0, 0)  # noqa: RUF009 - a tuple never changes
    mark: OffsetMark = NO_MARK
    """Of the committed metadata."""
    is_reread: bool = False
    """The tail of the log was cut below the committed offset, where is not known: reading begins at the log's start,
    and records below the committed offset that were written before the cut are done."""
    is_first: bool = False
    """The group had no offset here, so nothing of this partition was ever sent."""

    @property
    def epoch(self) -> int:
        """The leader epoch of the record before the first to read; -1 where that is not known."""
        return self.mark.epoch if self.offset == self.committed.offset and not self.is_reread else -1

    @classmethod
    def at(cls, committed: OffsetAndMetadata, log: LogState | None = None) -> "Start":
        """Begin at the committed offset, whose log is as it was."""
        mark = decode_mark(committed.metadata)
        if log is None:
            log = LogState(0, sys.maxsize, mark.topic_id)
        return cls(committed.offset, committed, log, mark)


class Beginning(NamedTuple):
    """A decision, with what there is to tell about it."""

    start: Start
    missed: Missed | None = None
    is_another_log: bool = False
    """The topic was deleted and made again since the commit."""
    goes_on: bool = False
    """What was taken from this log before still counts: only the place to read moves."""


def decide(
    committed: OffsetAndMetadata,
    log: LogState,
    *,
    from_end: bool = False,
    is_invalid: bool = False,
) -> Beginning:
    """Decide where to begin.

    `from_end`: a partition without a committed offset begins at the end of the log. `is_invalid`: the client found
    that the log does not continue at the committed offset, although the offset may lie within it.
    """
    if committed.offset < 0:
        return Beginning(Start(log.high if from_end else log.low, log=log, is_first=True))
    mark = decode_mark(committed.metadata)
    if is_another(LogState(0, 0, mark.topic_id), log):
        return Beginning(Start(log.low, log=log), is_another_log=True)
    if committed.offset < log.low:
        missed = Missed(MissedReason.RETENTION, committed.offset, log.low)
        return Beginning(Start(log.low, committed, log, mark), missed)
    if committed.offset <= log.high and not is_invalid:
        return Beginning(Start(committed.offset, committed, log, mark))
    cut = None
    if committed.offset > log.high:
        cut = Missed(MissedReason.TRUNCATION, log.high, committed.offset)
    if mark.topic_id and mark.topic_id == log.topic_id and mark.epoch >= 0:
        return Beginning(Start(log.low, committed, log, mark, is_reread=True), cut)
    # Nothing says which of the records were there before: all are read, and sent again in their order.
    return Beginning(Start(log.low, log=log), cut)


def decide_again(position: int | None, start: Start, committed: OffsetAndMetadata, log: LogState) -> Beginning:
    """Decide where to continue when the client found that the log does not continue where it reads.

    `position` is where that was, None where the client does not say; `start` where this assignment began; `committed`
    what the group acknowledged last.
    """
    if is_another(start.log, log):
        return Beginning(Start(log.low, log=log), is_another_log=True)
    if position is not None and position < log.low:
        moved = Start(log.low, committed, log, start.mark)
        return Beginning(moved, Missed(MissedReason.RETENTION, position, log.low), goes_on=True)
    return decide(committed, log, is_invalid=True)


def is_another(before: LogState, now: LogState) -> bool:
    """Whether the topic was deleted and made again."""
    return bool(before.topic_id and now.topic_id and before.topic_id != now.topic_id)
