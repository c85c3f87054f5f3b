"""An AdminClient to ask for a topic and to make it, with why that failed: for the topics that the service makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connector.errors import ConnectorError
from connector.kafka.config import KafkaConfig, admin
from connector.kafka.errors import sort
from connector.kafka.heard import Heard
from connector.kafka.refusal import LIBRDKAFKA, refused

ANSWER_SECONDS = 5.0
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


class Unanswered(ConnectorError):
    """The brokers refused, or did not answer; `passing` when they may do otherwise later. `code` is a KafkaError's."""

    def __init__(self, code: int, detail: str, remedy: str, *, passing: bool) -> None:
        """`remedy` is empty when the detail says all."""
        super().__init__(detail)
        self.code = code
        self.remedy = remedy
        self.passing = passing


@contextmanager
def asking(config: KafkaConfig) -> Iterator[AdminClient]:
    """Whatever the client raises inside becomes Unanswered, with the cause instead of its effect."""
    heard = Heard()
    made: dict[str, Any] = {**admin(config), "error_cb": heard}
    try:
        client = AdminClient(made, logger=LIBRDKAFKA)
    except KafkaException as error:
        why = refused(config, error.args[0])
        raise Unanswered(error.args[0].code(), str(why), "", passing=why.is_file) from error
    try:
        yield client
    except TimeoutError as error:
        raise Unanswered(KafkaError._TIMED_OUT, "Kafka did not answer in time", "", passing=True) from error  # noqa: SLF001
    except KafkaException as error:
        cause = heard.cause(client, error.args[0])
        trouble = sort(cause)
        raise Unanswered(cause.code(), trouble.detail, trouble.remedy, passing=cause.code() in _PASSING) from error
