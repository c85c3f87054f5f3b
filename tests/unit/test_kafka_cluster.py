"""A failed login gives several errors at once; the one that is shown must name the remedy."""

import pytest
from confluent_kafka import KafkaError

from connector.kafka.admin import Heard, most_telling


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (["_ALL_BROKERS_DOWN", "_TRANSPORT", "_AUTHENTICATION", "_TIMED_OUT"], "_AUTHENTICATION"),
        (["_TRANSPORT", "_SSL"], "_SSL"),
        (["_ALL_BROKERS_DOWN", "_TRANSPORT", "_TIMED_OUT"], "_TRANSPORT"),
        (["_ALL_BROKERS_DOWN", "_TIMED_OUT"], "_ALL_BROKERS_DOWN"),
        (["_TIMED_OUT"], "_TIMED_OUT"),
    ],
)
def test_the_error_with_a_remedy_is_shown(heard: list[str], told: str) -> None:
    """In any order: "all brokers are down" beside a wrong password points to the brokers."""
    assert most_telling([KafkaError(getattr(KafkaError, name)) for name in heard]).name() == told


class Polled:
    """A client that reports by its `error_cb`, and only when it is polled, as librdkafka's do."""

    def __init__(self, heard: Heard, *names: str) -> None:
        self._heard = heard
        self._names = names

    def poll(self, _seconds: float) -> None:
        """Call `error_cb`."""
        for name in self._names:
            self._heard(KafkaError(getattr(KafkaError, name)))


@pytest.mark.parametrize(
    ("said", "of_call", "told"),
    [
        (["_AUTHENTICATION", "_TRANSPORT", "_ALL_BROKERS_DOWN"], "_TRANSPORT", "_AUTHENTICATION"),
        (["_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN"], "_TIMED_OUT", "_RESOLVE"),
        (["_AUTHENTICATION"], "TOPIC_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"),
        ([], "_TRANSPORT", "_TRANSPORT"),
    ],
)
def test_why_a_call_failed_is_what_was_heard_beside_it(said: list[str], of_call: str, told: str) -> None:
    """The last error is mostly that no broker is up; and a broker's answer is more precise than an earlier error."""
    heard = Heard()
    assert heard.cause(Polled(heard, *said), KafkaError(getattr(KafkaError, of_call))).name() == told
