"""A failed login is told by several errors at once; the one that is shown decides what its reader looks at."""

import socket
import threading
from contextlib import suppress

import pytest
from confluent_kafka import KafkaError

from connector.kafka.admin import Heard, most_telling
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure
from connector.kafka.inspect.cluster import log_in


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


class Polled:
    """A client that says by its `error_cb` what it heard, and only when it is polled, as librdkafka's do."""

    def __init__(self, heard: Heard, *names: str) -> None:
        self._heard = heard
        self._names = names

    def poll(self, _seconds: float) -> None:
        """Say it."""
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
    """What comes last is mostly that no broker is up; and an answer of a broker is more than what was heard before."""
    heard = Heard()
    assert heard.cause(Polled(heard, *said), KafkaError(getattr(KafkaError, of_call))).name() == told


def test_a_web_server_is_told_from_a_broker() -> None:
    """The port of Kafka's web interface is the usual mistake; what librdkafka makes of the answer leads astray."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            with suppress(OSError):  # The test is over.
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1_024)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        told = log_in(KafkaConfig(bootstrap_servers=address, topics=("t",), group_id="g"), address)
        server.shutdown(socket.SHUT_RDWR)
    assert isinstance(told, KafkaFailure)
    assert "it answers in HTTP" in told.detail
    assert "receive.message.max.bytes" not in told.detail
    assert told.hint == "KAFKA_BOOTSTRAP_SERVERS must name a Kafka listener, and this is none"
