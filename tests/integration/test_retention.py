"""A real broker's answer on the retention of its topics."""

from connector.kafka.config import KafkaConfig
from connector.kafka.retention import asked
from tests.support.kafka.client import Kafka


def test_a_broker_says_how_long_each_topic_keeps_a_record(kafka: Kafka) -> None:
    """Wrong design: one topic that is missing, or keeps all, hides the retention of the others."""
    short = kafka.unique_topic("short", 1, **{"retention.ms": "3600000"})
    default = kafka.unique_topic("default")
    compacted = kafka.unique_topic("compacted", 1, **{"cleanup.policy": "compact"})
    for_ever = kafka.unique_topic("forever", 1, **{"retention.ms": "-1"})
    topics = (short, "missing", default, compacted, for_ever)
    found = asked(KafkaConfig(kafka.bootstrap, topics, "g"), topics)
    assert found == {short: 3_600.0, default: 604_800.0}
