"""The consumer's client as its decisions see it: librdkafka's, or a fake of it."""

from collections.abc import Collection
from typing import Literal, Protocol

from confluent_kafka import Message
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.start_position import TopicPartition


class CommitClient(Protocol):
    """The part of the consumer that commits."""

    def commit(self, *, offsets: list[KafkaTopicPartition], asynchronous: Literal[True]) -> None:
        """Send a commit; its answer comes by `on_commit`."""
        ...


class AssignmentClient(Protocol):
    """The part of the consumer that assigns; librdkafka's, or a fake of it."""

    def committed(self, partitions: list[KafkaTopicPartition], timeout: float) -> list[KafkaTopicPartition]:
        """Where the group stands; raises KafkaException when the coordinator does not say in time."""
        ...

    def pause(self, partitions: list[KafkaTopicPartition]) -> None:
        """Hand nothing on of these."""
        ...

    def resume(self, partitions: list[KafkaTopicPartition]) -> None:
        """Hand on again."""
        ...

    def seek(self, partition: KafkaTopicPartition) -> None:
        """Read it from this offset, if its log continues there by the epoch; raises KafkaException when not fetched."""
        ...

    def incremental_assign(self, partitions: list[KafkaTopicPartition]) -> None:
        """Read these too, each from its offset."""
        ...

    def incremental_unassign(self, partitions: list[KafkaTopicPartition]) -> None:
        """Do not read these any more."""
        ...


class GroupClient(AssignmentClient, CommitClient, Protocol):
    """The consumer; librdkafka's, or a fake of it."""

    def poll(self, timeout: float) -> Message | None:
        """One message or error, waiting at most this long; callbacks are made in here."""
        ...

    def consume(self, num_messages: int, timeout: float) -> list[Message]:
        """Likewise several."""
        ...


def as_partitions(names: Collection[TopicPartition]) -> list[KafkaTopicPartition]:
    """As librdkafka takes them."""
    return [KafkaTopicPartition(*name) for name in names]
