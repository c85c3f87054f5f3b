"""Judges letters by what their source partitions hold since: read once, and again what comes meanwhile."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from connector.cli.dlq.newest import Newest
from connector.delivery.coalescer import Order
from connector.delivery.dead_letter import Stage
from connector.delivery.offset_tracker import TopicPartition
from connector.events import Change, Refused, encode_event
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure, KafkaUnavailable
from connector.kafka.inspect.dead_letter_format import FROM_HEADER, Letter, LetterPosition
from connector.kafka.inspect.range_reader import RangeReader, headers_of

Decode = Callable[[bytes], Change]


@dataclass(slots=True)
class Judged:
    """What becomes of some letters."""

    send: list[Letter] = field(default_factory=list)
    """As they are, or with the attributes that are still the newest."""
    shortened: int = 0
    """Of those to send, how many lost an attribute."""
    superseded: list[Letter] = field(default_factory=list)
    unknown: list[Letter] = field(default_factory=list)
    """What came after these cannot be known."""


class SourceCheck:
    """The letters' source partitions, from the first of the letters on, as the service would read them."""

    def __init__(self, config: KafkaConfig, decode: Decode, order: Order) -> None:

        self._decode = decode
        self._newest = Newest(order)
        self._reading = RangeReader(config)
        self._next: dict[TopicPartition, int] = {}

    def expect(self, letters: Iterable[Letter], chosen: Callable[[LetterPosition], bool]) -> None:
        """The letters that are `chosen` will be judged; the others are events of their visitors nevertheless."""
        for letter in letters:
            change = self._change(letter.value)
            if change is None or letter.source is None or letter.source_offset is None or letter.cut_from is not None:
                continue
            if chosen(letter.place):
                self._newest.expect(letter.source, letter.source_offset, change)
            self._newest.dead_lettered(letter.source, letter.source_offset, change)

    def catch_up(self) -> int:
        """Read what the source partitions hold by now; returns how many records. Raises KafkaUnavailable."""
        if not self._next:
            self._next = dict(self._newest.starts)
        read = 0
        for topic in sorted({source.topic for source in self._next}):
            partitions = [source.partition for source in self._next if source.topic == topic]
            found = self._reading.bounds(topic, partitions)
            if found is None:
                msg, hint = f"the source topic {topic} does not exist", "create it, or correct KAFKA_TOPICS"
                raise KafkaUnavailable(KafkaFailure("UNKNOWN_TOPIC_OR_PART", "kafka_topic_missing", msg, hint))
            for partition, (low, high) in found.items():
                source = TopicPartition(topic, partition)
                begin = max(low, self._next[source])
                read += self._read(source, begin, high)
                self._next[source] = max(begin, high)
        return read

    def _read(self, source: TopicPartition, begin: int, end: int) -> int:
        read = 0
        for message in self._reading.read(*source, begin, end):
            read += 1
            change = self._change(message.value())
            if change is not None:
                repeat = FROM_HEADER in headers_of(message)
                offset, when = message.offset() or 0, message.timestamp()[1]
                self._newest.read(source, offset, when, change, repeat=repeat)
        return read

    def judge(self, letters: Iterable[Letter]) -> Judged:
        """By what was read so far."""
        judged = Judged()
        for letter in letters:
            change = self._change(letter.value)
            if change is None and letter.stage == Stage.DECODE:
                judged.send.append(letter)  # It sets nothing: the service refuses it again.
            elif change is None or letter.source is None or letter.source_offset is None:
                judged.unknown.append(letter)
            else:
                found = self._newest.judge(letter.source, letter.source_offset, change)
                if found.unknown:
                    judged.unknown.append(letter)
                elif not found.superseded:
                    judged.send.append(letter)
                elif found.send:
                    judged.shortened += 1
                    value = encode_event(change.visitor, found.send, change.occurred)
                    judged.send.append(replace(letter, value=value))
                else:
                    judged.superseded.append(letter)
        return judged

    def close(self) -> None:
        """Let the client go."""
        self._reading.close()

    def _change(self, value: bytes | None) -> Change | None:
        """What an event asks for; None where the service would refuse it, or skip it as a tombstone."""
        if value is None:
            return None
        try:
            return self._decode(value)
        except Refused:
            return None
