"""librdkafka's configuration, with what commit safety needs and no setting can undo."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Property = str | int | float | bool
"""What librdkafka takes as a value."""


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """What the Kafka room has to know of the settings."""

    bootstrap_servers: str
    topics: tuple[str, ...]
    group_id: str
    group_protocol: str = "classic"
    group_instance_id: str | None = None
    auto_offset_reset: str = "earliest"
    dead_letter_topic: str = ""
    """Empty: there is none."""
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Security and SASL properties by librdkafka's names."""
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further properties by librdkafka's names."""
    request_timeout: float = 10.0
    """Seconds that a revoke may wait for a request on the wire."""


BROKER_SESSION_SECONDS = 45.0
"""Of the brokers by default (`group.consumer.session.timeout.ms`); with KIP-848 they alone decide."""
CLASSIC_SESSION_SECONDS = 17.0
SESSION_PER_REQUEST = 1.7
"""A crash of a dynamic member costs its session, so that is short. What is left of it beside a request is the time for
which the replica may send without an answer of the group: 6 s with the defaults."""


def session_milliseconds(config: KafkaConfig) -> int:
    """What a member of a classic group asks for; long requests make the default longer."""
    by_default = 1_000 * max(CLASSIC_SESSION_SECONDS, SESSION_PER_REQUEST * config.request_timeout)
    return int(config.properties.get("session.timeout.ms", by_default))


def client(config: KafkaConfig) -> dict[str, Property]:
    """What consumer and producer share."""
    return {
        "client.id": "target-profile-connector",
        # Else twenty lines a second while a broker is down; `error_cb` says the same, and we say it once.
        "log_level": 2,
        "reconnect.backoff.max.ms": 5_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        **config.security,
        "bootstrap.servers": config.bootstrap_servers,
    }


def consumer(config: KafkaConfig) -> dict[str, Property]:
    """The consumer's: nothing is ever committed or stored by itself; buffers are bounded (notes on memory in docs)."""
    made: dict[str, Property] = {
        **client(config),
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 32_768,
        "queued.min.messages": 10_000,
        **config.properties,
        # A revoke waits for a request on the wire, so the poll interval must leave room for the longest.
        "max.poll.interval.ms": max(
            int(config.properties.get("max.poll.interval.ms", 300_000)),
            max(int(config.request_timeout * 1_000), session_milliseconds(config)) + 60_000,
        ),
        "group.id": config.group_id,
        "group.protocol": config.group_protocol,
        # The connector alone decides where reading begins, also for an offset that the log no longer has.
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Behind the last record there may be transaction markers, which only this tells.
        "enable.partition.eof": True,
    }
    if config.group_protocol == "classic":
        made["partition.assignment.strategy"] = "cooperative-sticky"
        made["session.timeout.ms"] = session_milliseconds(config)
    if config.group_instance_id is not None:
        made["group.instance.id"] = config.group_instance_id
    return made


def onlooker(config: KafkaConfig, group_id: str) -> dict[str, Property]:
    """The consumer's of a command that only looks: it is assigned, never joins, and nothing of the group is touched."""
    return {
        **client(config),
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 16_384,
        "queued.min.messages": 5_000,
        **config.properties,
        "group.id": group_id,
        "group.protocol": "classic",
        # Retention may take the beginning away while it is read.
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }


_CONSUMER_ONLY = (
    "check.crcs",
    "fetch.",
    "group.",
    "heartbeat.",
    "isolation.",
    "max.partition.",
    "max.poll.",
    "queued.",
    "session.",
)


def admin(config: KafkaConfig) -> dict[str, Property]:
    """What every client but the consumer has."""
    shared = {name: value for name, value in config.properties.items() if not name.startswith(_CONSUMER_ONLY)}
    # Else a broker makes what is only looked for, the quota's ledger for one, by its own defaults.
    return {**client(config), **shared, "allow.auto.create.topics": False}


def producer(config: KafkaConfig) -> dict[str, Property]:
    """The dead letters': acknowledged by all in-sync replicas, retried for as long as the source offset can wait."""
    return {
        "linger.ms": 5,
        "compression.type": "zstd",
        # The client's own limit must not be the one that refuses a record which the source topic took.
        "message.max.bytes": 100_000_000,
        # Behind ours, so that these win by their other names too: librdkafka takes the last.
        **admin(config),
        "acks": "all",
        "enable.idempotence": True,
        "delivery.timeout.ms": 30_000,
    }
