"""What a librdkafka error means for us: nothing, wait, or the end; with the words for the person who can change it."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from confluent_kafka import KafkaError

from connector.errors import ConnectorError


@dataclass(frozen=True, slots=True)
class KafkaFailure:
    """An error of Kafka or of its client. `code` is a KafkaError's name, `event` one from the list of log events.

    `detail` is librdkafka's own text, except where another server's answer misled it. `retriable`: it may pass by
    itself. `meanwhile` is what the service does until then; a command has given up, and does not show it.
    """

    code: str
    event: str
    detail: str
    hint: str = ""
    retriable: bool = True
    meanwhile: str = ""

    @property
    def is_ignorable(self) -> bool:
        """Whether nothing is wrong: it is a normal answer of the client, and nobody has to act."""
        return self.retriable and not self.hint

    @property
    def remedy(self) -> str:
        """For the service's log: what to do, and what the service does meanwhile."""
        return "; ".join(filter(None, (self.hint, self.meanwhile)))

    def __str__(self) -> str:
        """For a person: what is wrong and what to do."""
        return "; ".join(filter(None, (self.detail, self.hint)))


class KafkaUnavailable(ConnectorError):
    """Kafka refused or did not answer, or a topic of it is not usable; `failure` says how."""

    def __init__(self, failure: KafkaFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


FENCED = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
    }
)
"""A commit answered so means that the group gave our partitions to someone else.

It is said once: after the automatic rejoin the same consumer could overwrite its successor's commit, so the partitions
are dropped at the first of these. ILLEGAL_GENERATION and STALE_MEMBER_EPOCH are not among them: a commit that races a
rebalance gets them while the member keeps its partitions, and nobody would assign those to it again.
"""

_IGNORABLE = frozenset({KafkaError._PARTITION_EOF, KafkaError._TIMED_OUT, KafkaError._WAIT_COORD})  # noqa: SLF001 - librdkafka's own codes are spelt so

UNKNOWN_TOPIC: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"})
VAGUE: Final = frozenset({"_ALL_BROKERS_DOWN"})
"""Codes that say only that no broker is up; why is said by another error, before or after."""

START_AGAIN: Final = "start the connector again"
UNREACHABLE = "check KAFKA_BOOTSTRAP_SERVERS, the network, and that the brokers run"
_LOGIN = (
    "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (of OAUTHBEARER sasl.oauthbearer.… in "
    "KAFKA_PROPERTIES)"
)
_OAUTH_ENDPOINT = (
    "check sasl.oauthbearer.token.endpoint.url in KAFKA_PROPERTIES, that it can be reached from here, and the client "
    "id and secret there"
)
WITHOUT_METHOD = "OAUTHBEARER gets no token without a method"
OAUTH_METHOD = (
    "set sasl.oauthbearer.method to oidc in KAFKA_PROPERTIES, with "
    "sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret beside it"
)
_TLS = "check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION against the listener"
_NO_KAFKA = "KAFKA_BOOTSTRAP_SERVERS must name a Kafka listener, and this is none"
_TOPIC = "create the topic or correct KAFKA_TOPICS"
_TOPIC_ACL = "allow READ and DESCRIBE on the topic to the connector's user"
_GROUP_ACL = "allow READ on the consumer group KAFKA_GROUP_ID to the connector's user"
_POLL = "the process was stopped or starved for longer than max.poll.interval.ms; it rejoins the group by itself"
_FENCED_INSTANCE = (
    "another member uses this KAFKA_GROUP_INSTANCE_ID: give each replica its own, then start this one again"
)
_FATAL = "this consumer cannot continue: correct what the detail names, then start the connector again"
OTHER_PROTOCOL = (
    "the group has members that joined by the other KAFKA_GROUP_PROTOCOL, and the brokers let nobody join by a second "
    "one. To change it, stop all replicas, wait until the group has no members, then start them with the new one "
    "(offsets stay); or set KAFKA_GROUP_PROTOCOL back to what the members have"
)
OTHER_ASSIGNOR = (
    "the group has members with another partition.assignment.strategy than cooperative-sticky: another program uses "
    "this KAFKA_GROUP_ID: give this connector its own, or stop those members"
)

_OTHER = "look at the detail"
_RETRIES: Final = "the connector tries again"
_SEARCHES: Final = "the connector looks for it again"

_OAUTH: Final = re.compile("OAUTHBEARER token: ")
"""Behind "token" and a colon the redaction takes the next word for a token."""
_HANDSHAKE: Final = re.compile("SSL_HANDSHAKE|SSL handshake|SSL routines|SSL alert")
"""Librdkafka's state, its words, and the two ways in which OpenSSL begins an error; what follows differs by release."""
_STRANGER: Final = re.compile(r"Invalid response size (\d+) .*: increase receive\.message\.max\.bytes")
"""librdkafka takes the first four bytes of any answer for a length, and so a stranger's for one beyond all bounds."""
_HTTP: Final = int.from_bytes(b"HTTP", "big")
_TLS_RECORDS: Final = (0x1503, 0x1603)
"""An alert and a handshake, of any version."""

_KNOWN: dict[int, tuple[str, str]] = {
    KafkaError._TRANSPORT: ("kafka_unreachable", UNREACHABLE),  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: ("kafka_unreachable", UNREACHABLE),  # noqa: SLF001
    KafkaError._RESOLVE: ("kafka_unreachable", UNREACHABLE),  # noqa: SLF001
    KafkaError._AUTHENTICATION: ("kafka_authentication_failed", _LOGIN),  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: ("kafka_authentication_failed", _LOGIN),
    KafkaError._SSL: ("kafka_authentication_failed", _TLS),  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART: ("kafka_topic_missing", _TOPIC),
    KafkaError._UNKNOWN_TOPIC: ("kafka_topic_missing", _TOPIC),  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: ("kafka_topic_missing", _TOPIC),  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: ("kafka_authorization_failed", _TOPIC_ACL),
    KafkaError.GROUP_AUTHORIZATION_FAILED: ("kafka_authorization_failed", _GROUP_ACL),
    KafkaError._MAX_POLL_EXCEEDED: ("kafka_error", _POLL),  # noqa: SLF001
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: ("kafka_error", OTHER_ASSIGNOR),
}


def classify(error: KafkaError) -> KafkaFailure:
    """Say what an error means. `fatal()` is False on some fatal ones, so the code decides as well."""
    code = error.code()
    if code == KafkaError._TRANSPORT and _HANDSHAKE.search(error.str()) is not None:  # noqa: SLF001
        code = KafkaError._SSL  # noqa: SLF001 - librdkafka tells a broken handshake from a broken network only sometimes
    if error.fatal() or code in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):  # noqa: SLF001
        return KafkaFailure(error.name(), "kafka_fatal", error.str(), _last_hint(error), retriable=False)
    if code in _IGNORABLE:
        return KafkaFailure(error.name(), "kafka_error", error.str())
    event, hint = _KNOWN.get(code, ("kafka_error", _OTHER))
    detail = error.str()
    if _OAUTH.search(detail) is not None:
        detail, event, hint = (
            _OAUTH.sub("OAUTHBEARER token, ", detail),
            "kafka_authentication_failed",
            _OAUTH_ENDPOINT,
        )
    if (said := _STRANGER.search(detail)) is not None:
        size = int(said[1])
        if size == _HTTP:
            detail, hint = _STRANGER.sub("it answers in HTTP", detail), _NO_KAFKA
        elif size >> 16 in _TLS_RECORDS:
            detail, event, hint = _STRANGER.sub("it answers in TLS", detail), "kafka_authentication_failed", _TLS
    meanwhile = {_TOPIC: _SEARCHES, _POLL: ""}.get(hint, _RETRIES)
    return KafkaFailure(error.name(), event, detail, hint, meanwhile=meanwhile)


def _last_hint(error: KafkaError) -> str:
    """What to do before the next start. Of the cause under a fatal error only its text is left."""
    said = error.str().lower()
    if "instance" in said or error.code() == KafkaError.FENCED_INSTANCE_ID:
        return _FENCED_INSTANCE
    if "group id does not exist" in said or error.code() == KafkaError.GROUP_ID_NOT_FOUND:
        return OTHER_PROTOCOL
    return _FATAL


def of_topic(error: KafkaError, topic: str, existing: Callable[[], Iterable[str]]) -> KafkaFailure:
    """What is wrong with a topic, by its name; of one that is not there also the nearest of those that are."""
    failure = classify(error)
    if failure.event != "kafka_topic_missing":
        return replace(failure, detail=f"topic {topic}: {failure.detail}")
    near = nearest(topic, existing())
    return replace(failure, detail=f"the topic {topic} does not exist" + (f"; did you mean {near}?" if near else ""))


def nearest(name: str, existing: Iterable[str]) -> str:
    """The name that was meant, perhaps; empty when none is like it."""
    return next(iter(difflib.get_close_matches(name, existing, 1)), "")
