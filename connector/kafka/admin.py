"""Asks the brokers beside the group; a call that fails says little, so the error callback gives the cause."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from connector.kafka.config import BROKER_SESSION_SECONDS, LIBRDKAFKA, KafkaConfig, admin, session_milliseconds
from connector.kafka.config_check import explain_refusal
from connector.kafka.errors import UNKNOWN_TOPIC, KafkaFailure, KafkaUnavailable, classify

T = TypeVar("T")

ANSWER_SECONDS = 5.0
ASSUMED_SECONDS = BROKER_SESSION_SECONDS - 5.0
"""Less the brokers' default heartbeat interval."""
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own codes are spelt so
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""A login too: the consumer waits for that as well. The last one after it was made: not all brokers know it yet."""


@contextmanager
def asking(config: KafkaConfig) -> Iterator[AdminClient]:
    """Whatever the client raises inside becomes KafkaUnavailable, with the cause instead of its effect."""
    heard = Heard()
    made: dict[str, Any] = {**admin(config), "error_cb": heard}
    try:
        client = AdminClient(made, logger=LIBRDKAFKA)
    except KafkaException as error:
        why = explain_refusal(config, error.args[0])
        raise KafkaUnavailable(why.failure) from error
    try:
        yield client
    except TimeoutError as error:
        raise KafkaUnavailable(KafkaFailure("_TIMED_OUT", "kafka_error", "Kafka did not answer in time")) from error
    except KafkaException as error:
        cause = heard.cause(client, error.args[0])
        raise KafkaUnavailable(replace(classify(cause), retriable=cause.code() in _PASSING)) from error


def ensure_topic(client: AdminClient, topic: NewTopic, *, make: bool = True) -> int:
    """How many partitions the topic has, or 0 when it was just made. Without `make` a missing one is an error."""
    found = client.list_topics(topic.topic, timeout=ANSWER_SECONDS).topics[topic.topic]
    if found.error is None:
        return len(found.partitions)
    if not make or found.error.name() not in UNKNOWN_TOPIC:
        raise KafkaException(found.error)
    client.create_topics([topic])[topic.topic].result(ANSWER_SECONDS)
    return 0


PLAIN = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})  # noqa: SLF001 - librdkafka's own codes are spelt so
"""These say themselves what is wrong."""
_SILENT = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})  # noqa: SLF001
_VAGUE = frozenset({*_SILENT, KafkaError._TRANSPORT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001


def most_telling(heard: Sequence[KafkaError]) -> KafkaError:
    """That a login or TLS failed says more than that a connection did, and that more than that no broker is up."""
    return min(heard, key=lambda error: (error.code() not in PLAIN, error.code() in _SILENT))


class Heard:
    """The `error_cb` of a client: a call that fails only says that no broker answered, and why is said here."""

    def __init__(self) -> None:
        self._best: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keep it, unless something more telling was heard; of two alike the later one."""
        self._best = error if self._best is None else most_telling([error, self._best])

    def cause(self, client: Any, error: KafkaError) -> KafkaError:
        """What is behind the error of a call to `client`, which is polled: only then it says what it heard."""
        client.poll(0)
        if self._best is None or error.code() not in _VAGUE:
            return error
        return most_telling([self._best, error])


def interruptible(call: Callable[[], T]) -> T:
    """Make a call that blocks, in a thread of its own: the client would hold Ctrl-C and SIGTERM back until it returns.

    After an interrupt the thread still has the client. Do not close it then; it goes with the process.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="kafka-call", daemon=True).start()
    return done.result()


_SESSION, _HEARTBEAT = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
_HINT = (
    f"allow DESCRIBE_CONFIGS on the group; until then a session of {BROKER_SESSION_SECONDS:.0f} s is assumed, "
    "which is wrong if the brokers' group.consumer.session.timeout.ms is shorter"
)


def group_session(config: KafkaConfig) -> tuple[float, KafkaFailure | None]:
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
        found = asking.describe_configs([group], request_timeout=ANSWER_SECONDS)[group].result(ANSWER_SECONDS)
        return (int(found[_SESSION].value) - int(found[_HEARTBEAT].value)) / 1_000, None
    except KafkaException as error:
        return ASSUMED_SECONDS, replace(classify(error.args[0]), hint=_HINT, retriable=True, meanwhile="")
    except (KeyError, TimeoutError) as error:
        return ASSUMED_SECONDS, KafkaFailure(type(error).__name__, "kafka_error", "", _HINT)
