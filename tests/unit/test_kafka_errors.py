"""An error in the wrong drawer either ends the service for a hiccup, or lets it sit there Ready and consume nothing."""

import re

import pytest
from confluent_kafka import KafkaError

from connector.kafka.errors import FENCED, Kind, for_a_command, sort
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
    # Hiccups of a broker that restarts or a group that moves: never the end.
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
    """One as the client makes it."""
    return KafkaError(getattr(KafkaError, name), reason, fatal)


@pytest.mark.parametrize("name", RETRIED)
def test_what_may_pass_is_waited_for_and_named(name: str) -> None:
    """The event is what an alert matches, the remedy is what its reader does, the detail is the broker's own text."""
    event, word = RETRIED[name]
    trouble = sort(error(name))
    assert (trouble.kind, trouble.event) == (Kind.RETRIABLE, event)
    assert word in trouble.remedy
    assert trouble.code == name
    assert trouble.detail == "what the broker said"


def test_a_broker_that_hangs_up_in_the_handshake_is_no_matter_of_the_network() -> None:
    """There are two names for it, by who is faster; whoever reads the one would look at the network in vain."""
    hung_up = "ssl://b:9093/1: Disconnected: SSL connection closed by peer (after 2ms in state SSL_HANDSHAKE)"
    trouble = sort(error("_TRANSPORT", hung_up))
    assert (trouble.event, trouble.remedy) == ("kafka_authentication_failed", sort(error("_SSL")).remedy)
    assert (trouble.code, trouble.detail) == ("_TRANSPORT", hung_up)
    gone = "b:9093/1: Disconnected (after 3500ms in state UP)"
    assert sort(error("_TRANSPORT", gone)).event == "kafka_unreachable"


def test_a_token_endpoint_that_is_down_is_told_as_such_and_keeps_its_words() -> None:
    """Username and password have no part in it, and behind "token:" the redaction takes a word for the token."""
    said = "Failed to acquire SASL OAUTHBEARER token: Failed to connect to 127.0.0.1:9: Could not connect to server"
    trouble = sort(error("_AUTHENTICATION", said))
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
    """Its words change with its release, and with them a remedy that hangs on one of them."""
    trouble = sort(error(name, said))
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
def test_the_first_bytes_of_a_stranger_are_no_length(begins: bytes, event: str, word: str, says: str) -> None:
    """A gigabyte for receive.message.max.bytes would bring nothing: there is no Kafka, or not in the clear."""
    trouble = sort(error("_BAD_MSG", SIZE.format(int.from_bytes(begins, "big"))))
    assert (trouble.kind, trouble.event) == (Kind.RETRIABLE, event)
    assert word in trouble.remedy
    assert trouble.detail == f"b:1/boot: Receive failed: it answers in {says} (1ms)"


@pytest.mark.parametrize("size", ["200000000", "99999999999999"])
def test_an_answer_that_is_too_long_is_told_as_that(size: str) -> None:
    """A broker of one's own with a topic of large records: there librdkafka is right."""
    trouble = sort(error("_BAD_MSG", SIZE.format(size)))
    assert (trouble.event, trouble.detail) == ("kafka_error", SIZE.format(size))


def test_a_command_does_not_say_that_the_service_tries_again() -> None:
    """It has given up, and whoever waits for it waits in vain; of the rest of the remedy nothing may go."""
    for name in RETRIED:
        remedy = sort(error(name)).remedy
        said = for_a_command(remedy)
        assert "tries again" not in said
        assert said
        tries_again = ("", "; the connector tries again", "; the connector looks for it again")
        assert remedy in [said + words for words in tries_again]
    assert for_a_command("no broker; the connector tries again; if more come: x") == "no broker; if more come: x"


@pytest.mark.parametrize("name", ["_PARTITION_EOF", "_TIMED_OUT", "_WAIT_COORD"])
def test_what_means_nothing_is_passed_over(name: str) -> None:
    """A line for each of these would be a flood in good health."""
    trouble = sort(error(name))
    assert (trouble.kind, trouble.remedy) == (Kind.IGNORABLE, "")


OTHER_PROTOCOL = (
    "Fatal error: Broker: The group id does not exist: ConsumerGroupHeartbeat fatal error: Broker: The group …"
)
"""What a replica with the protocol `consumer` hears while members of the classic one are left (seen on Kafka 4.4)."""


def test_members_with_another_assignor_are_named_as_such() -> None:
    """The brokers' words are "inconsistent group protocol", of which nobody knows what to change."""
    trouble = sort(error("INCONSISTENT_GROUP_PROTOCOL", "JoinGroup failed: Broker: Inconsistent group protocol"))
    assert trouble.kind is Kind.RETRIABLE
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
def test_what_never_passes_is_the_end(trouble: KafkaError, word: str) -> None:
    """A consumer that librdkafka has given up reads nothing ever after; `fatal()` is False on some of these."""
    sorted_ = sort(trouble)
    assert (sorted_.kind, sorted_.event) == (Kind.FATAL, "kafka_fatal")
    assert word in sorted_.remedy


def test_fenced_is_what_says_that_somebody_else_has_the_partitions() -> None:
    """These drop the partitions. A generation or epoch that is merely old does not: the member keeps what it has."""
    assert {KafkaError(code).name() for code in FENCED} == {
        "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH"
    }  # fmt: skip


def test_every_event_is_in_the_list_of_log_events_and_every_variable_exists() -> None:
    """A remedy that names a variable which is not there sends its reader astray."""
    known = {doc.name for doc in describe()}
    codes = [
        name for name in vars(KafkaError) if name.lstrip("_").isupper() and isinstance(getattr(KafkaError, name), int)
    ]
    assert len(codes) > 100
    for name in codes:
        trouble = sort(error(name))
        assert trouble.event in EVENTS
        words = re.split(r"[\s,:;()]+", trouble.remedy)
        assert {word for word in words if word.startswith("KAFKA_")} <= known
        assert bool(trouble.remedy) == (trouble.kind is not Kind.IGNORABLE)
