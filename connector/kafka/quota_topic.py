"""The ledger's topic: made as it must be, or held to it with the command that corrects it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from connector.kafka.admin import ANSWER_SECONDS, asking, ensure_topic
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import UNKNOWN_TOPIC, KafkaFailure, KafkaUnavailable

LEAST_BYTES = 256 * 1024 * 1024
"""A day's ledger takes some ten megabytes."""
LEAST_SEGMENT_SECONDS = 60.0
_OTHER = "if it holds something else, name another topic by QUOTA_TOPIC"
"""Before any command that would be the end of what it holds."""
_DENIED = frozenset({"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"})
UNUSABLE = "quota_ledger_unusable"
MISSING = "MISSING"
"""The code of a failure: the topic is not there, and was not to be made."""


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


def remedy(topic: QuotaTopic) -> str:
    """The command that corrects its configuration."""
    told = ",".join(f"{name}={value}" for name, value in topic.configs.items())
    return (
        f"kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name {topic.name} "
        f"--add-config {told}"
    )


def prepare(config: KafkaConfig, topic: QuotaTopic, *, make: bool = True) -> str:
    """Make the topic if it is missing, else check it. Raises KafkaUnavailable. Waits for brokers some seconds.

    Returns what could not be checked, or nothing. With `make=False` nothing is changed.
    """
    new = NewTopic(topic.name, num_partitions=1, replication_factor=-1, config=dict(topic.configs))
    try:
        with asking(config) as client:
            partitions = ensure_topic(client, new, make=make)
            return _check(client, topic, partitions) if partitions else ""
    except KafkaUnavailable as error:
        if error.failure.event == UNUSABLE:
            raise
        raise KafkaUnavailable(_explain(topic, error.failure, make=make)) from error


def _check(client: AdminClient, topic: QuotaTopic, partitions: int) -> str:
    if partitions != 1:
        reason = f"{topic.name} has {partitions} partitions, and a ledger has one order"
        raise _unusable(reason, f"{_OTHER}; if it is the ledger, delete it and let it be made again")
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic.name)
    try:
        found = client.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource].result(ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].name() in _DENIED:
            return f"no right to see how {topic.name} is set up: allow DESCRIBE_CONFIGS on it"
        raise
    wrong = list(_wrong({name: entry.value for name, entry in found.items()}, topic))
    if wrong:
        reason = f"{topic.name} is no ledger: {'; '.join(wrong)}"
        raise _unusable(reason, f"{_OTHER}; if it is the ledger, {remedy(topic)}")
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


def _unusable(detail: str, hint: str) -> KafkaUnavailable:
    return KafkaUnavailable(KafkaFailure("", UNUSABLE, detail, hint, retriable=False))


def _explain(topic: QuotaTopic, failure: KafkaFailure, *, make: bool) -> KafkaFailure:
    """What the brokers' answer means for the quota."""
    if failure.code in UNKNOWN_TOPIC and not make:
        missing = f"the topic {topic.name} does not exist yet"
        return KafkaFailure(MISSING, UNUSABLE, missing, "start a replica: the first one makes it", retriable=False)
    if failure.code in _DENIED:
        rights = "READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS and, unless it is there, CREATE"
        hint = f"allow {rights} on it, or set QUOTA_UPDATES=0 to run without a quota"
        return KafkaFailure(failure.code, UNUSABLE, f"no right to use {topic.name}", hint, retriable=False)
    if failure.code == "TOPIC_ALREADY_EXISTS":
        # The next attempt checks it.
        return KafkaFailure(failure.code, UNUSABLE, f"{topic.name} was made by someone else just now")
    detail = f"{topic.name} cannot be found or made: {failure.detail}"
    if not failure.retriable:
        return replace(failure, event=UNUSABLE, detail=detail, hint=f"make it by hand: {_create(topic)}")
    return replace(failure, event=UNUSABLE, detail=detail)


def _create(topic: QuotaTopic) -> str:
    told = " ".join(f"--config {name}={value}" for name, value in topic.configs.items())
    return f"kafka-topics.sh --bootstrap-server … --create --topic {topic.name} --partitions 1 {told}"
