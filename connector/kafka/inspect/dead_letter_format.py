"""A dead letter as it lies in its topic, and the markers there of which ones were replayed or found superseded.

A marker is a record of the dead-letter topic itself: it is as safe as the letters, needs no further right, and it
outlives the letters that it names, since it was written after them. Committed offsets of a group would be forgotten a
week after the last replay, and the next one would replay everything again.
"""

import enum
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.decoding import GivenRecord
from connector.delivery.dead_letter import ITEM_HEADER, MADE, MADE_HEADER
from connector.delivery.offset_tracker import TopicPartition
from connector.events import Change, encode_event
from connector.kafka.dead_letter_producer import CUT_HEADER, PREFIX

MARKER_HEADER = "target_connector.replayed"
"""Marks a marker: the header says what became of the letters, the value is JSON from partition to runs of offsets.

A run is a list of its first and its last offset.
"""
MARKER_KEY = b"target_connector.replayed"
FROM_HEADER = "target_connector.replayed_from"
"""On a replayed record: topic, partition and offset of the letter."""

OURS: Final = frozenset({MARKER_HEADER, FROM_HEADER, CUT_HEADER, ITEM_HEADER, MADE_HEADER})
"""What the connector adds to a record's own headers, beside Kafka Connect's names."""

LetterPosition = tuple[int, int]
"""Partition and offset in the dead-letter topic."""
Headers = tuple[tuple[str, bytes | None], ...]


class ReplayState(enum.StrEnum):
    """What a replay did with a letter; the value of a marker's header."""

    REPLAYED = "1"
    SUPERSEDED = "superseded"
    """Dropped, because newer events of its visitor have set all of its attributes."""

    def __str__(self) -> str:
        """In a sentence."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Letter:
    """What its headers say; empty or None where they do not, as in what another program wrote."""

    partition: int
    offset: int
    milliseconds: int
    """When it was written, since the epoch."""
    key: bytes | None
    value: bytes | None
    source: TopicPartition | None
    source_offset: int | None
    stage: str
    error: str
    reason: str
    cut_from: int | None
    headers: Headers = ()
    """The record's own, in their order."""
    item: int | None = None
    """Which of the changes that the record carries it is about; None: all of the record."""
    is_made: bool = False
    """Its value is an event of version 1 that the connector made."""

    @property
    def place(self) -> LetterPosition:
        """Where it lies."""
        return self.partition, self.offset

    def record(self, milliseconds: int) -> GivenRecord:
        """What its source would hand out; `milliseconds` is the record's timestamp."""
        topic, partition = self.source or TopicPartition("", 0)
        return GivenRecord(
            topic,
            self.value,
            key=self.key,
            headers=self.as_it_came().headers,
            partition=partition,
            offset=self.source_offset or 0,
            milliseconds=milliseconds,
        )

    def as_it_came(self, item: int | None = None) -> "Repeat":
        """Send the record again: of an item's letter, or with `item`, for that one alone."""
        item = self.item if item is None else item
        marks: Headers = () if item is None else ((ITEM_HEADER, str(item).encode()),)
        if self.is_made:
            marks += ((MADE_HEADER, MADE),)
        return Repeat(self.value, (*self.headers, *marks))


@dataclass(frozen=True, slots=True)
class Repeat:
    """A record to write for a letter."""

    value: bytes | None
    headers: Headers


def made_of(change: Change, attributes: Mapping[str, str]) -> Repeat:
    """Send a part of a change: as an event of version 1, whatever the topic holds else."""
    return Repeat(encode_event(change.visitor, attributes, change.occurred, change.priority), ((MADE_HEADER, MADE),))


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """What one replay did with some letters."""

    places: frozenset[LetterPosition]
    fate: ReplayState = ReplayState.REPLAYED


def read_letter(
    place: LetterPosition,
    milliseconds: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> Letter | ReplayMarker:
    """Make sense of a record of the topic; never raises, whatever it holds.

    Of several headers of ours or of Kafka Connect's the last counts: the record may be a replay.
    """
    pairs = tuple(headers)
    last = dict(pairs)
    if MARKER_HEADER in last:
        superseded = last[MARKER_HEADER] == ReplayState.SUPERSEDED.value.encode()
        return ReplayMarker(_places(value or b""), ReplayState.SUPERSEDED if superseded else ReplayState.REPLAYED)
    said = {name: (text or b"").decode(errors="replace") for name, text in last.items()}
    topic, partition = said.get(PREFIX + "topic", ""), _number(said.get(PREFIX + "partition"))
    return Letter(
        *place,
        milliseconds,
        key,
        value,
        source=TopicPartition(topic, partition) if topic and partition is not None else None,
        source_offset=_number(said.get(PREFIX + "offset")),
        stage=said.get(PREFIX + "stage", ""),
        error=said.get(PREFIX + "exception.class.name", ""),
        reason=said.get(PREFIX + "exception.message", ""),
        cut_from=_number(said.get(CUT_HEADER)),
        headers=tuple((name, text) for name, text in pairs if name not in OURS and not name.startswith(PREFIX)),
        item=_number(said.get(ITEM_HEADER)),
        is_made=MADE_HEADER in last,
    )


def marker_value(places: Iterable[LetterPosition]) -> bytes:
    """The value of a marker; `read_letter` gives the places back."""
    runs: dict[int, list[list[int]]] = defaultdict(list)
    for partition, offset in sorted(places):
        known = runs[partition]
        if known and known[-1][1] == offset - 1:
            known[-1][1] = offset
        else:
            known.append([offset, offset])
    return json.dumps(runs, separators=(",", ":")).encode()


def _places(text: bytes) -> frozenset[LetterPosition]:
    """None at all where it is no marker of ours: better replayed twice than never."""
    try:
        runs: dict[str, Any] = json.loads(text)
        return frozenset(
            (int(partition), offset)
            for partition, known in runs.items()
            for first, last in known
            for offset in range(first, last + 1)
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return frozenset()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
