"""Where a partition that was just assigned begins: by what the group committed, which only the coordinator knows."""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException

from connector.delivery import offset_mark
from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.delivery.start_position import Beginning, LogState, Start, decide
from connector.kafka.client import AssignmentClient, as_partitions
from connector.kafka.commits import read
from connector.kafka.log_inspector import Found

COMMITTED_SECONDS: Final = 1.0


class FirstPositions:
    """Decides for one member; remembers where it began without a committed offset."""

    def __init__(self, client: AssignmentClient, *, from_end: bool) -> None:
        """`from_end`: a group without offsets begins at the end of the log."""
        self._client = client
        self._from_end = from_end
        self._begun: dict[TopicPartition, int] = {}
        """Where this member began without a committed offset, until the group has acknowledged one."""

    def acknowledged(self, name: TopicPartition) -> None:
        """The group holds an offset of this one."""
        self._begun.pop(name, None)

    def committed(
        self, names: Sequence[TopicPartition], found: Mapping[TopicPartition, Found]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Where the group stands; nothing where the coordinator does not say."""
        wanted = set(names)
        if self._from_end:
            # Whether the group knows the topic at all decides where a partition without an offset begins.
            wanted |= {TopicPartition(name.topic, n) for name in names for n in range(found[name].partitions)}
        try:
            answered = self._client.committed(as_partitions(sorted(wanted)), timeout=COMMITTED_SECONDS)
        except KafkaException:
            return {}
        return {TopicPartition(p.topic, p.partition): read(p) for p in answered if p.error is None}

    def decide(
        self, name: TopicPartition, log: LogState, committed: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> Beginning | None:
        """Say where to read; None while that cannot be said."""
        where = committed.get(name)
        if where is None or (offset_mark.decode(where.metadata).topic_id and not log.topic_id):
            return None  # Nobody says where the group stands, or whether that is said of this log.
        if where.offset < 0 and name in self._begun:
            # The group may never have heard where this member began before.
            return Beginning(Start(self._begun[name], log=log, is_first=True))
        is_known = any(it.topic == name.topic and at.offset >= 0 for it, at in committed.items())
        what = decide(where, log, from_end=self._from_end and not is_known)
        if where.offset < 0:
            self._begun[name] = what.start.offset
        return what
