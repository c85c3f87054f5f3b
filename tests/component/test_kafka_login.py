"""A login at a port that is not a Kafka broker's."""

import socket
import threading
from contextlib import suppress

from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaFailure
from connector.kafka.inspect.cluster import log_in


def test_a_web_server_is_distinguished_from_a_broker() -> None:
    """The port of Kafka's web interface is the usual mistake; librdkafka's message about it misleads."""
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
