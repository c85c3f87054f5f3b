"""What the topics asked for, read beside the group: the settled records first, the rest and the dead letters later.

The only place of the command that decodes: a `Reader` says what a record asks for.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from connector.decoding import EventReader
from connector.delivery.ports import Record
from connector.delivery.start_position import TopicPartition, decide
from connector.errors import Fatal
from connector.events import Change, Refused
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure
from connector.kafka.inspect.dead_letter_format import Letter, ReplayMarker
from connector.kafka.inspect.dead_letter_topic import DeadLetterReader
from connector.kafka.inspect.history_reader import History
from connector.kafka.inspect.range_reader import RangeReader
from connector.kafka.standing import Standing, standing
from connector.mapping import Changes
from connector.verify.history import Written
from connector.verify.sample import Choice

MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reader:
    """How the service reads: every change of a record, none where it would refuse or skip it."""

    events: EventReader

    def changes(self, record: Record) -> Sequence[Change]:
        """What a record asks for. Raises SchemaUnavailable where the registry does not say."""
        try:
            outcome = self.events(record)
        except Refused:
            return ()
        items = outcome.items if isinstance(outcome, Changes) else ()
        return [item for item in items if isinstance(item, Change)]

    def given_up(self, letter: Letter) -> Sequence[Change]:
        """What a dead letter was to change; an event that the connector made says so by its headers."""
        return () if letter.cut_from is not None else self.changes(letter.record(letter.milliseconds))


class TopicReading:
    """The topics' last hours. Methods wait, and raise Fatal or KafkaUnavailable when Kafka cannot be read."""

    def __init__(self, config: KafkaConfig, reader: Reader, choice: Choice, since: float) -> None:
        """`since` in seconds since the epoch."""
        self._config = config
        self._reader = reader
        self._choice = choice
        self._since = since
        self._next: dict[TopicPartition, int] = {}
        """Where the records begin that are not settled."""
        self._at: dict[TopicPartition, float] = {}
        """The time of the partition's last record, for those that have none."""
        self.records = 0
        """Settled ones."""
        self.behind = 0.0
        """Seconds since the oldest record that is not settled was written."""

    def read_settled(self, progress: Callable[[int, int], None]) -> None:
        """All records since the time, of which those below the committed offsets count.

        `progress` is told how many records were read, and how many there are.
        """
        with History(self._config, self._since) as log:
            ends = _settled_ends(self._config, log.stretches)
            self._next = {name: max(ends.get(name, 0), stretch.begin) for name, stretch in log.stretches.items()}
            expected = sum(stretch.end - stretch.begin for stretch in log.stretches.values())
            oldest_open: dict[TopicPartition, float] = {}
            read = 0
            while log.left:
                for record in log.read(()):
                    read += 1
                    name = TopicPartition(record.topic(), record.partition())
                    at = self._time(name, record)
                    if record.offset() >= self._next[name]:
                        oldest_open.setdefault(name, at)
                    elif at >= self._since:
                        self.records += 1
                        self._take(name, record, at, is_settled=True)
                progress(read, expected)
        self.behind = max((time.time() - at for at in oldest_open.values()), default=0.0)

    def read_open(self) -> None:
        """What is not settled, up to now, for the visitors that were chosen: newer values may be at Target already."""
        reading = RangeReader(self._config)
        try:
            for topic in sorted({name.topic for name in self._next}):
                for partition, (low, high) in (reading.bounds(topic) or {}).items():
                    name = TopicPartition(topic, partition)
                    for message in reading.read(topic, partition, max(low, self._next.get(name, low)), high):
                        record = cast("Record", message)
                        self._take(name, record, self._time(name, record), is_settled=False)
        finally:
            reading.close()

    def read_dead_letters(self) -> None:
        """What was given up of the chosen visitors since the time."""
        if not self._config.dead_letter_topic:
            return
        letters = DeadLetterReader(self._config)
        try:
            for letter in letters:
                if isinstance(letter, ReplayMarker) or letter.value is None:
                    continue
                at = letter.milliseconds / MS
                for change in self._reader.given_up(letter) if at >= self._since else ():
                    history = self._choice.chosen.get(change.visitor)
                    if history is not None:
                        history.give_up(change.attributes, at)
        finally:
            letters.close()

    def _take(self, name: TopicPartition, record: Record, at: float, *, is_settled: bool) -> None:
        for change in self._reader.changes(record):
            known = self._choice.take(change.visitor) if is_settled else self._choice.chosen.get(change.visitor)
            if known is not None:
                said = change.occurred_at
                occurred = at if said is None else said.timestamp()
                known.add(name, change.attributes, Written("", at, is_settled, occurred))

    def _time(self, name: TopicPartition, record: Record) -> float:
        """When the record was written, never in the future; as the one before it where it has no timestamp."""
        milliseconds = record.timestamp()[1]
        at = milliseconds / MS if milliseconds > 0 else self._at.get(name, self._since)
        self._at[name] = at = min(at, time.time())
        return at


def _settled_ends(config: KafkaConfig, partitions: Mapping[TopicPartition, object]) -> dict[TopicPartition, int]:
    """By partition the offset below which all is settled; none where the group has no offset, or one of another log."""
    found = standing(config, Counter(name.topic for name in partitions))
    if isinstance(found, KafkaFailure):
        raise Fatal(found.event, found.detail or found.code, found.hint)
    return {name: _settled_end(each) for name, each in found.items()}


def _settled_end(found: Standing) -> int:
    committed, log = found
    return 0 if committed.offset < 0 else decide(committed, log).start.offset
