"""A misclassified error either ends the service for a transient one, or leaves it Ready and consuming nothing."""

import re

import pytest
from confluent_kafka import KafkaError

from connector.kafka.errors import FENCED, classify
from connector.ops.events import EVENTS
from connector.ops.redact import Redactor, VisitorIds
from connector.settings import describe

# The event that is logged, and a word that its remedy must have. The faults are those that were provoked on a real
# broker: wrong password, unknown authority, a missing right, an unknown topic, a broker that is down, a name unknown.
RETRIED = {
    "_TRANSPORT": ("kafka_unreachable", "KAFKA_BOOTSTRAP_SERVERS"),
    "_ALL_BROKERS_DOWN": ("kafka_unreachable", "KAFKA_BOOTSTRAP_SERVERS"),
    "_RESOLVE": ("kafka_unreachable", "KAFKA_BOOTSTRAP_SERVERS"),
    "_AUTHENTICATION": ("kafka_authentication_failed", "KAFKA_SASL_PASSWORD"),
    "SASL_AUTHENTICATION_FAILED": ("kafka_authentication_failed", "KAFKA_SASL_PASSWORD"),
    "_SSL": ("kafka_authentication_failed", "KAFKA_SSL_CA_LOCATION"),
    "UNKNOWN_TOPIC_OR_PART": ("kafka_topic_missing", "KAFKA_TOPICS"),
    "_UNKNOWN_TOPIC": ("kafka_topic_missing", "KAFKA_TOPICS"),
    "_UNKNOWN_PARTITION": ("kafka_topic_missing", "KAFKA_TOPICS"),
    "TOPIC_AUTHORIZATION_FAILED": ("kafka_authorization_failed", "READ"),
    "GROUP_AUTHORIZATION_FAILED": ("kafka_authorization_failed", "KAFKA_GROUP_ID"),
    "_MAX_POLL_EXCEEDED": ("kafka_error", "max.poll.interval.ms"),
    # Transient errors of a restarting broker or a moving group: never the end.
    "COORDINATOR_LOAD_IN_PROGRESS": ("kafka_error", "tries again"),
    "NOT_COORDINATOR": ("kafka_error", "tries again"),
    "COORDINATOR_NOT_AVAILABLE": ("kafka_error", "tries again"),
    "ILLEGAL_GENERATION": ("kafka_error", "tries again"),
    "UNKNOWN_MEMBER_ID": ("kafka_error", "tries again"),
    "STALE_MEMBER_EPOCH": ("kafka_error", "tries again"),
    "REBALANCE_IN_PROGRESS": ("kafka_error", "tries again"),
    "NOT_LEADER_FOR_PARTITION": ("kafka_error", "tries again"),
    "UNKNOWN": ("kafka_error", "tries again"),
}


def error(name: str, reason: str = "what the broker said", *, fatal: bool = False) -> KafkaError:
    """An error as the client makes it."""
    return KafkaError(getattr(KafkaError, name), reason, fatal)


@pytest.mark.parametrize("name", RETRIED)
def test_a_transient_error_is_waited_for_and_named(name: str) -> None:
    """Alerts match the event, operators follow the remedy, the detail is the broker's own text."""
    event, word = RETRIED[name]
    trouble = classify(error(name))
    assert (trouble.retriable, trouble.event) == (True, event)
    assert word in trouble.remedy
    assert trouble.code == name
    assert trouble.detail == "what the broker said"


def test_a_broker_that_hangs_up_in_the_handshake_is_no_network_error() -> None:
    """A race gives it one of two names, and one of them points to the network."""
    hung_up = "ssl://b:9093/1: Disconnected: SSL connection closed by peer (after 2ms in state SSL_HANDSHAKE)"
    trouble = classify(error("_TRANSPORT", hung_up))
    assert (trouble.event, trouble.remedy) == ("kafka_authentication_failed", classify(error("_SSL")).remedy)
    assert (trouble.code, trouble.detail) == ("_TRANSPORT", hung_up)
    gone = "b:9093/1: Disconnected (after 3500ms in state UP)"
    assert classify(error("_TRANSPORT", gone)).event == "kafka_unreachable"


def test_a_token_endpoint_that_is_down_is_named_and_keeps_its_text() -> None:
    """Username and password are unrelated, and the redaction takes the word after "token:" for the token."""
    said = "Failed to acquire SASL OAUTHBEARER token: Failed to connect to 127.0.0.1:9: Could not connect to server"
    trouble = classify(error("_AUTHENTICATION", said))
    assert trouble.event == "kafka_authentication_failed"
    assert "sasl.oauthbearer.token.endpoint.url" in trouble.remedy
    assert "PASSWORD" not in trouble.remedy
    shown = Redactor(VisitorIds.HASH)(None, "", {"event": "", "detail": trouble.detail})["detail"]
    assert shown == said.replace("token:", "token,")


@pytest.mark.parametrize("name", ["_SSL", "_TRANSPORT"])
@pytest.mark.parametrize(
    "said",
    [
        "ssl://b:1/boot: SSL handshake failed: error:0A00010B:SSL routines::wrong version number: (after 2ms)",
        "ssl://b:1/boot: error:0A00010B:SSL routines::wrong version number (after 2ms in state CONNECT)",
        "ssl://b:1/boot: error:1408F10B:SSL routines:ssl3_get_record:wrong version number (after 2ms)",
        "ssl://b:1/boot: Disconnected: SSL connection closed by peer (after 2ms in state SSL_HANDSHAKE)",
    ],
)
def test_a_handshake_that_fails_has_its_remedy_whatever_openssl_calls_it(name: str, said: str) -> None:
    """Its texts change with its release, and with them a remedy that depends on one."""
    trouble = classify(error(name, said))
    assert trouble.event == "kafka_authentication_failed"
    assert "KAFKA_SECURITY_PROTOCOL" in trouble.remedy


SIZE = "b:1/boot: Receive failed: Invalid response size {} (0..100000000): increase receive.message.max.bytes (1ms)"


@pytest.mark.parametrize(
    ("begins", "event", "word", "says"),
    [
        (b"HTTP", "kafka_error", "KAFKA_BOOTSTRAP_SERVERS must name a Kafka listener", "HTTP"),
        (b"\x15\x03\x03\x00", "kafka_authentication_failed", "KAFKA_SECURITY_PROTOCOL", "TLS"),
        (b"\x15\x03\x01\x00", "kafka_authentication_failed", "KAFKA_SECURITY_PROTOCOL", "TLS"),
        (b"\x16\x03\x03\x00", "kafka_authentication_failed", "KAFKA_SECURITY_PROTOCOL", "TLS"),
    ],
)
def test_the_first_bytes_of_another_protocol_are_no_length(begins: bytes, event: str, word: str, says: str) -> None:
    """A higher receive.message.max.bytes would not help: it is no Kafka, or not in plaintext."""
    trouble = classify(error("_BAD_MSG", SIZE.format(int.from_bytes(begins, "big"))))
    assert (trouble.retriable, trouble.event) == (True, event)
    assert word in trouble.remedy
    assert trouble.detail == f"b:1/boot: Receive failed: it answers in {says} (1ms)"


@pytest.mark.parametrize("size", ["200000000", "99999999999999"])
def test_a_response_that_is_too_large_is_named_as_such(size: str) -> None:
    """A Kafka broker with a topic of large records: there librdkafka is right."""
    trouble = classify(error("_BAD_MSG", SIZE.format(size)))
    assert (trouble.event, trouble.detail) == ("kafka_error", SIZE.format(size))


def test_a_command_does_not_say_that_the_service_retries() -> None:
    """It has given up, so waiting is useless; the rest of the remedy must stay."""
    for name in RETRIED:
        failure = classify(error(name))
        assert failure.hint
        assert "tries again" not in str(failure)
        assert "looks for it again" not in str(failure)
        assert failure.remedy == "; ".join(filter(None, (failure.hint, failure.meanwhile)))


@pytest.mark.parametrize("name", ["_PARTITION_EOF", "_TIMED_OUT", "_WAIT_COORD"])
def test_meaningless_errors_are_ignored(name: str) -> None:
    """A line for each of these would be a flood in normal operation."""
    trouble = classify(error(name))
    assert (trouble.is_ignorable, trouble.remedy) == (True, "")


OTHER_PROTOCOL = (
    "Fatal error: Broker: The group id does not exist: ConsumerGroupHeartbeat fatal error: Broker: The group …"
)
"""Error of a replica with the protocol `consumer` while members of the classic one are left (seen on Kafka 4.4)."""


def test_members_with_another_assignor_are_named_as_such() -> None:
    """The brokers' text is "inconsistent group protocol", which names no remedy."""
    trouble = classify(error("INCONSISTENT_GROUP_PROTOCOL", "JoinGroup failed: Broker: Inconsistent group protocol"))
    assert trouble.retriable
    assert "partition.assignment.strategy" in trouble.remedy
    assert "KAFKA_GROUP_ID" in trouble.remedy


@pytest.mark.parametrize(
    ("trouble", "word"),
    [
        (error("_FATAL", "something broke"), "start the connector again"),
        (error("_FATAL", OTHER_PROTOCOL), "KAFKA_GROUP_PROTOCOL"),
        (error("GROUP_ID_NOT_FOUND", OTHER_PROTOCOL, fatal=True), "stop all replicas"),
        (error("_FATAL", "Group instance ID is still used"), "KAFKA_GROUP_INSTANCE_ID"),
        (error("_FATAL", "fenced by another consumer with the same group.instance.id"), "KAFKA_GROUP_INSTANCE_ID"),
        (error("FENCED_INSTANCE_ID", "fenced"), "KAFKA_GROUP_INSTANCE_ID"),
        (error("UNSUPPORTED_VERSION", "no", fatal=True), "start the connector again"),
        (error("_TRANSPORT", "no", fatal=True), "start the connector again"),
        (error("_TIMED_OUT", "no", fatal=True), "start the connector again"),
    ],
)  # fmt: skip
def test_a_permanent_error_is_the_end(trouble: KafkaError, word: str) -> None:
    """A consumer that librdkafka has given up never reads again; `fatal()` is False on some of these."""
    sorted_ = classify(trouble)
    assert (sorted_.retriable, sorted_.event) == (False, "kafka_fatal")
    assert word in sorted_.remedy


def test_fenced_means_that_another_member_has_the_partitions() -> None:
    """These drop the partitions. A generation or epoch that is merely old does not: the member keeps them."""
    assert {KafkaError(code).name() for code in FENCED} == {
        "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH"
    }  # fmt: skip


def test_every_event_is_in_the_list_of_log_events_and_every_variable_exists() -> None:
    """A remedy must not name a variable that does not exist."""
    known = {doc.name for doc in describe()}
    codes = [
        name for name in vars(KafkaError) if name.lstrip("_").isupper() and isinstance(getattr(KafkaError, name), int)
    ]
    assert len(codes) > 100
    for name in codes:
        trouble = classify(error(name))
        assert trouble.event in EVENTS
        words = re.split(r"[\s,:;()]+", trouble.remedy)
        assert {word for word in words if word.startswith("KAFKA_")} <= known
        assert bool(trouble.remedy) == (not trouble.is_ignorable)
