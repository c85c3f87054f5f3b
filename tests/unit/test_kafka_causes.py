"""One cause, one message: an outage that logs ten messages hides the useful one."""

import pytest
from confluent_kafka import KafkaError

from connector.kafka.causes import CAUSE_SECONDS, QUIET_SECONDS, Causes
from connector.kafka.errors import KafkaFailure, classify, of_topic

LOGIN = classify(KafkaError(KafkaError._AUTHENTICATION, "Invalid username or password"))  # noqa: SLF001 - librdkafka's own codes are spelt so
REFUSED = classify(KafkaError(KafkaError._TRANSPORT, "b-1:9092/1: Connection refused"))  # noqa: SLF001
ALL_DOWN = classify(KafkaError(KafkaError._ALL_BROKERS_DOWN, "3/3 brokers are down"))  # noqa: SLF001
ACL = classify(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
EOF_ = classify(KafkaError(KafkaError._PARTITION_EOF))  # noqa: SLF001


def said(*heard: tuple[float, KafkaFailure]) -> list[tuple[float, str]]:
    """When an error is reported, and its code."""
    causes = Causes()
    return [(now, trouble.code) for now, trouble in heard if causes.admit(trouble, now)]


def test_a_wrong_password_hides_the_network_errors() -> None:
    """The client reports after each refused login that no broker is up."""
    heard = [(now + later, trouble) for now in range(0, 300, 5) for later, trouble in ((0, LOGIN), (0.1, ALL_DOWN))]
    assert {code for _, code in said(*heard)} == {"_AUTHENTICATION"}
    assert said((0, LOGIN), (1, REFUSED)) == [(0, "_AUTHENTICATION")]


def test_all_brokers_down_waits_for_the_cause() -> None:
    """It comes first or last, depending on the faster thread."""
    assert said((0, ALL_DOWN), (0.1, REFUSED), (4, ALL_DOWN), (4.1, REFUSED)) == [
        (0.1, "_TRANSPORT"),
        (4.1, "_TRANSPORT"),
    ]


def test_all_brokers_down_is_reported_without_a_cause() -> None:
    """A client without TLS at a port with TLS gets no other error."""
    assert said((0, ALL_DOWN), (1, ALL_DOWN), (3, ALL_DOWN)) == [(3, "_ALL_BROKERS_DOWN")]


def test_a_cause_expires() -> None:
    """The password is right again, and the network is down."""
    assert said((0, LOGIN), (CAUSE_SECONDS + 1, REFUSED)) == [(0, "_AUTHENTICATION"), (CAUSE_SECONDS + 1, "_TRANSPORT")]


def test_errors_unrelated_to_connections_pass() -> None:
    """A missing right is another cause, whatever else is wrong."""
    assert said((0, LOGIN), (1, ACL), (2, EOF_)) == [(0, "_AUTHENTICATION"), (1, "TOPIC_AUTHORIZATION_FAILED")]


def test_recovery_is_reported_once_and_only_after_a_reported_error() -> None:
    """It ends an alert; while one broker of three is down, answers of the others are no recovery."""
    causes = Causes()
    assert causes.answered(0) is None
    causes.admit(ALL_DOWN, 0)
    assert causes.answered(100) is None
    assert causes.admit(REFUSED, 200)
    assert causes.answered(201) is None
    causes.admit(REFUSED, 230)
    assert causes.answered(230 + QUIET_SECONDS) == 30
    assert causes.answered(300) is None


def test_after_a_recovery_the_next_outage_has_its_own_cause() -> None:
    """The previous cause explains nothing any more."""
    causes = Causes()
    causes.admit(LOGIN, 0)
    assert causes.answered(20) == 0
    assert causes.admit(REFUSED, 30)


@pytest.mark.parametrize(
    ("existing", "detail"),
    [
        (["orders", "profile-changes"], "the topic profile-chnges does not exist; did you mean profile-changes?"),
        (["orders"], "the topic profile-chnges does not exist"),
        ([], "the topic profile-chnges does not exist"),
    ],
)
def test_a_missing_topic_has_its_name_and_the_nearest(existing: list[str], detail: str) -> None:
    """The brokers' text names none, and the usual cause is a typo."""
    trouble = of_topic(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), "profile-chnges", lambda: existing)
    assert (trouble.event, trouble.detail) == ("kafka_topic_missing", detail)
    assert "KAFKA_TOPICS" in trouble.remedy


def test_a_topic_that_may_not_be_seen_keeps_its_name() -> None:
    """Other names are not requested then."""
    trouble = of_topic(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "changes", lambda: pytest.fail("asked"))
    assert trouble.event == "kafka_authorization_failed"
    assert "changes" in trouble.detail
