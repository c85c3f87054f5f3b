"""Where a group stands in its topics, and what their logs are now: read beside the group, nothing is joined."""

from collections.abc import Mapping
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.start_position import LogState, OffsetAndMetadata, TopicPartition
from connector.kafka.commits import read
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure, classify
from connector.kafka.inspect.tail_reader import reader
from connector.kafka.log_inspector import AdminInspector

ASK_SECONDS: Final = 4.0


class Standing(NamedTuple):
    """What the group committed for a partition, and the partition's log."""

    committed: OffsetAndMetadata
    log: LogState


def standing(config: KafkaConfig, partitions: Mapping[str, int]) -> Mapping[TopicPartition, Standing] | KafkaFailure:
    """By partition, for topics with these numbers of partitions; without those of which nothing is known. Waits."""
    names = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
    with closing(AdminInspector(config)) as inspector:
        look = inspector.look(names)
        client = reader(config)
        try:
            answered = client.committed([KafkaTopicPartition(*name) for name in names], timeout=ASK_SECONDS)
        except KafkaException as error:
            return classify(error.args[0])
        finally:
            client.close()
        look.wait(ASK_SECONDS)
        found = look.found()
    places = {TopicPartition(p.topic, p.partition): read(p) for p in answered if p.error is None}
    return {name: Standing(places[name], found[name].log) for name in names if name in places and name in found}
