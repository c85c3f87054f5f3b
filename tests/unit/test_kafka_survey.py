"""A failed login is told by several errors at once; the one that is shown decides what its reader looks at."""

import pytest
from confluent_kafka import KafkaError

from connector.kafka.heard import most_telling


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
def test_the_error_with_a_remedy_is_told(heard: list[str], told: str) -> None:
    """Whichever came first: "all brokers are down" beside a wrong password sends its reader to the brokers."""
    assert most_telling([KafkaError(getattr(KafkaError, name)) for name in heard]).name() == told
