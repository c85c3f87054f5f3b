"""How long the group waits for a silent member; after that someone else may own its partitions."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from connector.kafka.config import BROKER_SESSION_SECONDS, KafkaConfig, admin, session_milliseconds
from connector.kafka.errors import Kind, Trouble, sort
from connector.kafka.refusal import LIBRDKAFKA

ASK_SECONDS = 5.0
ASSUMED_SECONDS = BROKER_SESSION_SECONDS - 5.0
"""Less the brokers' default heartbeat interval."""
_SESSION, _HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
_REMEDY = (
    f"allow DESCRIBE_CONFIGS on the group; until then a session of {BROKER_SESSION_SECONDS:.0f} s is assumed, "
    "which is wrong if the brokers' group.consumer.session.timeout.ms is shorter"
)


def session(config: KafkaConfig) -> tuple[float, Trouble | None]:
    """Seconds, and what is wrong when they had to be assumed. Waits for the broker with the `consumer` protocol.

    The member of a classic group says itself how long its session is; with KIP-848 the broker alone knows (the group's
    configuration `consumer.session.timeout.ms`). There a commit does not count as a sign of life, only a heartbeat
    does, and the last one may be a whole interval old: that is taken off.
    """
    if config.group_protocol == "classic":
        return session_milliseconds(config) / 1_000, None
    asking = AdminClient(admin(config), logger=LIBRDKAFKA)
    group = ConfigResource(ConfigResource.Type.GROUP, config.group_id)
    try:
        found = asking.describe_configs([group], request_timeout=ASK_SECONDS)[group].result(ASK_SECONDS)
        return (int(found[_SESSION].value) - int(found[_HEARTBEAT].value)) / 1_000, None
    except KafkaException as error:
        trouble = sort(error.args[0])
        return ASSUMED_SECONDS, Trouble(Kind.RETRIABLE, trouble.event, trouble.code, trouble.detail, _REMEDY)
    except (KeyError, TimeoutError) as error:
        return ASSUMED_SECONDS, Trouble(Kind.RETRIABLE, "kafka_error", type(error).__name__, "", _REMEDY)
