"""Reads what the letters' source partitions hold since: once, and again what comes meanwhile."""

from typing import cast

from connector.cli.dlq.judge import Judge
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.ports import Record
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure, KafkaUnavailable
from connector.kafka.inspect.dead_letter_format import FROM_HEADER
from connector.kafka.inspect.range_reader import RangeReader, headers_of


class SourceReader:
    """The source partitions of the letters that `judge` expects, from the first of the letters on."""

    def __init__(self, config: KafkaConfig, judge: Judge) -> None:
        self._judge = judge
        self._reading = RangeReader(config)
        self._next: dict[TopicPartition, int] = {}

    def catch_up(self) -> int:
        """Tell the judge what the source partitions hold by now; returns how many records. Raises KafkaUnavailable."""
        if not self._next:
            self._next = dict(self._judge.starts)
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
            repeat = any(name == FROM_HEADER for name, _ in headers_of(message))
            self._judge.read(source, cast("Record", message), repeat=repeat)
        return read

    def close(self) -> None:
        """Let the client go."""
        self._reading.close()
