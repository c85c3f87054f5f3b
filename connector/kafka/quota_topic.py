"""The ledger's topic: made as it must be, or held to it with the command that mends it."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from connector.errors import ConnectorError
from connector.kafka.admin import ANSWER_SECONDS, Unanswered, asking
from connector.kafka.config import KafkaConfig

LEAST_BYTES = 256 * 1024 * 1024
"""A day's ledger takes some ten megabytes."""
LEAST_SEGMENT_SECONDS = 60.0
_OTHER = "if it holds something else, name another topic by QUOTA_TOPIC"
"""Before any command that would be the end of what it holds."""
_DENIED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


@dataclass(frozen=True, slots=True)
class QuotaTopic:
    """What the topic has to be."""

    name: str
    window: float
    """Seconds."""
    counted: float
    """Seconds for which a record counts; none may be deleted before."""

    @property
    def configs(self) -> Mapping[str, str]:
        """What it is made with; a day's segments are rolled so that reading it from the start stays short.

        The chart and docs/kubernetes.md make the same one.
        """
        segment = max(self.window / 4, LEAST_SEGMENT_SECONDS)
        return {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.bytes": "-1",
            "retention.ms": str(round(2_000 * self.counted)),
            "segment.ms": str(int(segment * 1_000)),
        }


class Unusable(ConnectorError):
    """There is no ledger to use; `passing` when it may only be that Kafka does not answer now."""

    def __init__(self, reason: str, *, passing: bool, missing: bool = False) -> None:
        """`reason` says what to do; `missing`: the topic is not there, and was not to be made."""
        super().__init__(reason)
        self.passing = passing
        self.missing = missing


def remedy(topic: QuotaTopic) -> str:
    """The command that mends its configuration."""
    told = ",".join(f"{name}={value}" for name, value in topic.configs.items())
    return (
        f"kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name {topic.name} "
        f"--add-config {told}"
    )


def prepare(config: KafkaConfig, topic: QuotaTopic, *, make: bool = True) -> str:
    """Make the topic if it is missing, else check it. Raises Unusable. Waits for the brokers, some seconds each time.

    Returns what could not be checked, or nothing. With `make=False` nothing is changed.
    """
    try:
        with asking(config) as client:
            found = client.list_topics(topic.name, timeout=ANSWER_SECONDS).topics[topic.name]
            if found.error is None:
                return _check(client, topic, len(found.partitions))
            if found.error.code() not in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001 - librdkafka's own codes are spelt so
                raise KafkaException(found.error)
            if not make:
                missing = f"the topic {topic.name} does not exist yet: the first replica that runs makes it"
                raise Unusable(missing, passing=False, missing=True)
            new = NewTopic(topic.name, num_partitions=1, replication_factor=-1, config=dict(topic.configs))
            client.create_topics([new])[topic.name].result(ANSWER_SECONDS)
            return ""
    except Unanswered as error:
        raise _unusable(topic, error) from error


def _check(client: AdminClient, topic: QuotaTopic, partitions: int) -> str:
    if partitions != 1:
        reason = f"{topic.name} has {partitions} partitions, and a ledger has one order"
        msg = f"{reason}: {_OTHER}; if it is the ledger, delete it and let it be made again"
        raise Unusable(msg, passing=False)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    try:
        found = client.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource].result(ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() in _DENIED:
            return f"no right to see how {topic.name} is set up: allow DESCRIBE_CONFIGS on it"
        raise
    wrong = list(_wrong({name: entry.value for name, entry in found.items()}, topic))
    if wrong:
        msg = f"{topic.name} is no ledger: {'; '.join(wrong)}; {_OTHER}; if it is the ledger, {remedy(topic)}"
        raise Unusable(msg, passing=False)
    return ""


def _wrong(has: Mapping[str, str | None], topic: QuotaTopic) -> list[str]:
    """What makes it lose or misdate what counts."""
    wrong = []
    if (kind := has.get("message.timestamp.type")) != "LogAppendTime":
        wrong.append(f"message.timestamp.type is {kind}, so clocks of replicas would decide what counts")
    if "compact" in (policy := has.get("cleanup.policy") or ""):
        wrong.append(f"cleanup.policy is {policy}, which drops records that count")
    kept = int(has.get("retention.ms") or -1)
    if 0 <= kept < topic.counted * 1_000:
        wrong.append(f"retention.ms is {kept}, and records count for {int(topic.counted * 1_000)}")
    size = int(has.get("retention.bytes") or -1)
    if 0 <= size < LEAST_BYTES:
        wrong.append(f"retention.bytes is {size}, and a window may need {LEAST_BYTES}")
    return wrong


def _unusable(topic: QuotaTopic, error: Unanswered) -> Unusable:
    if error.code in _DENIED:
        rights = "READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS and, unless it is there, CREATE"
        reason = f"no right to use {topic.name}: allow {rights} on it, or set QUOTA_UPDATES=0 to run without a quota"
        return Unusable(reason, passing=False)
    if error.code == KafkaError.TOPIC_ALREADY_EXISTS:
        # Looked at again, it is held to what it must be.
        return Unusable(f"{topic.name} was made by someone else just now", passing=True)
    reason = f"{topic.name} cannot be found or made: {error}"
    if not error.passing:
        return Unusable(f"{reason}; make it by hand: {_create(topic)}", passing=False)
    return Unusable("; ".join(filter(None, (reason, error.remedy))), passing=True)


def _create(topic: QuotaTopic) -> str:
    told = " ".join(f"--config {name}={value}" for name, value in topic.configs.items())
    return f"kafka-topics.sh --bootstrap-server … --create --topic {topic.name} --partitions 1 {told}"
