"""What a cluster says when it is asked: who it is, which topics and rights there are. Nothing here changes anything.

Every function waits, makes a client of its own and lets it go: a client that hangs then holds up its caller's thread
alone.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupType, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connector.kafka.config import KafkaConfig, admin
from connector.kafka.errors import Kind, Trouble, for_a_command, sort
from connector.kafka.heard import PLAIN, most_telling
from connector.kafka.refusal import LIBRDKAFKA, refused

T = TypeVar("T")

ASK_SECONDS = 5.0
METADATA_SECONDS = 0.5
POLL_SECONDS = 0.1
COORDINATOR_SECONDS = 6.0
"""For this time a coordinator that does not serve yet is asked again: of a cluster's first group it is being made."""
_FAILURES = 3
"""Of an attempt to connect: a single one may be a hiccup."""


_COMING = frozenset({"COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "_WAIT_COORD"})


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who answered, and under which addresses its brokers want to be reached."""

    id: str
    brokers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is; `rights` are the operations that the user may do on it, None when the brokers do not say."""

    partitions: int
    leaderless: int
    behind: int
    """Partitions of which a replica is not in sync."""
    rights: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group as it is; one that never was is `DEAD`."""

    state: str
    members: int
    rights: frozenset[str] | None
    protocol: str = ""
    """`classic` or `consumer`; empty when the brokers do not say."""
    assignor: str = ""
    """By which its partitions are shared out; empty while they are not."""


def log_in(config: KafkaConfig, server: str) -> Cluster | Trouble:
    """Ask one bootstrap server who it is. Errors of a login come only by the callback, and only while one polls."""
    heard: list[KafkaError] = []
    try:
        made: dict[str, Any] = {**admin(replace(config, bootstrap_servers=server)), "error_cb": heard.append}
        asking = AdminClient(made, logger=LIBRDKAFKA)
    except KafkaException as error:
        why = refused(config, error.args[0])
        return Trouble(Kind.FATAL, "kafka_fatal", error.args[0].name(), why.reason, f"look at {why.place}")
    deadline = time.monotonic() + ASK_SECONDS
    while time.monotonic() < deadline:
        try:
            # Answered on the connection to this very server: where brokers want to be reached need not be reachable.
            found: Any = asking.list_topics(config.topics[0], timeout=METADATA_SECONDS)
        except KafkaException:
            asking.poll(POLL_SECONDS)
        else:
            nodes = (found.brokers[number] for number in sorted(found.brokers))
            return Cluster(found.cluster_id or "", tuple((node.host, node.port) for node in nodes))
        if any(error.code() in PLAIN for error in heard) or len(heard) >= _FAILURES:
            break
    silent = KafkaError(KafkaError._TIMED_OUT, f"no answer in {ASK_SECONDS:.0f} s")  # noqa: SLF001 - librdkafka's own codes are spelt so
    return _trouble(most_telling([*heard, silent]))


def names(config: KafkaConfig) -> Sequence[str]:
    """Of all topics that may be seen; none when the brokers do not answer."""
    try:
        return list(AdminClient(admin(config), logger=LIBRDKAFKA).list_topics(timeout=ASK_SECONDS).topics)
    except KafkaException:
        return ()


def topics(config: KafkaConfig, names: Sequence[str]) -> Mapping[str, Topic | Trouble]:
    """What these topics are, and what may be done with them."""
    if not names:
        return {}

    def ask(asking: AdminClient) -> Mapping[str, Any]:
        wanted = TopicCollection(list(names))
        return asking.describe_topics(wanted, include_authorized_operations=True, request_timeout=ASK_SECONDS)

    return {name: found if isinstance(found, Trouble) else _topic(found) for name, found in _ask(config, ask).items()}


def group(config: KafkaConfig) -> Group | Trouble:
    """What the consumer group is, and what may be done with it. Waits for its coordinator."""

    def ask(asking: AdminClient) -> Mapping[str, Any]:
        return asking.describe_consumer_groups(
            [config.group_id], include_authorized_operations=True, request_timeout=ASK_SECONDS
        )

    deadline = time.monotonic() + COORDINATOR_SECONDS
    while isinstance(found := _ask(config, ask)[config.group_id], Trouble):
        if found.code not in _COMING or time.monotonic() > deadline:
            return found
        time.sleep(METADATA_SECONDS)
    kind = {ConsumerGroupType.CLASSIC: "classic", ConsumerGroupType.CONSUMER: "consumer"}.get(found.type, "")
    rights = _rights(found.authorized_operations)
    return Group(found.state.name, len(found.members), rights, kind, found.partition_assignor or "")


def creatable(config: KafkaConfig, topic: str) -> Trouble | None:
    """Why a topic could not be made; the broker only looks whether it would."""

    def ask(asking: AdminClient) -> Mapping[str, Any]:
        wanted = [NewTopic(topic, num_partitions=1)]
        return asking.create_topics(wanted, validate_only=True, request_timeout=ASK_SECONDS)

    found = _ask(config, ask)[topic]
    return found if isinstance(found, Trouble) else None


def _ask(config: KafkaConfig, ask: Callable[[AdminClient], Mapping[str, Any]]) -> dict[str, Any]:
    """Ask by a client of its own; a refusal or silence becomes Trouble."""
    asking = AdminClient(admin(config), logger=LIBRDKAFKA)
    found: dict[str, Any] = {}
    for name, answer in ask(asking).items():
        try:
            found[name] = answer.result(ASK_SECONDS)
        except KafkaException as error:
            found[name] = _trouble(error.args[0])
        except TimeoutError:
            found[name] = _trouble(KafkaError(KafkaError._TIMED_OUT, f"no answer in {ASK_SECONDS:.0f} s"))  # noqa: SLF001
    return found


def _topic(found: Any) -> Topic:
    parts = found.partitions
    return Topic(
        partitions=len(parts),
        leaderless=sum(part.leader is None or part.leader.id < 0 for part in parts),
        behind=sum(len(part.isr) < len(part.replicas) for part in parts),
        rights=_rights(found.authorized_operations),
    )


def _rights(operations: Any) -> frozenset[str] | None:
    return None if operations is None else frozenset(operation.name for operation in operations)


def _trouble(error: KafkaError) -> Trouble:
    """Without the words on what the service does about it."""
    trouble = sort(error)
    trouble = replace(trouble, detail=trouble.detail or trouble.code)
    if trouble.kind is Kind.IGNORABLE:
        return replace(trouble, kind=Kind.RETRIABLE, remedy="look at the brokers and the network, then try again")
    return replace(trouble, remedy=for_a_command(trouble.remedy))
