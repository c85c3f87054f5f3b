"""What a command says when the topic does not exist, or Kafka does not answer as it should."""

import socketserver
import threading

import pytest

from connector.cli import main
from connector.kafka.inspect import dead_letter_topic, history_reader, range_reader
from connector.sandbox.broker import EmbeddedBroker

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_missing_topic_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """With a misspelt name "0 dead letters" would be believed."""
    with EmbeddedBroker() as broker:
        for name, value in {**GOOD, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KAFKA_DEAD_LETTER_TOPIC", "typo")
        assert main(["dlq", command, *(["--yes"] if command == "replay" else [])]) == 0
    said = capsys.readouterr()
    assert (said.out, "the topic typo does not exist" in said.err) == ("", True)


@pytest.mark.parametrize("words", [["dlq", "list"], ["dlq", "replay", "--yes"], ["plan"]], ids=" ".join)
def test_the_cause_is_reported_when_no_broker_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """The call says "broker transport failure", which points to the network and hides the cause."""
    for module, seconds in (
        (history_reader, "ASK_SECONDS"),
        (dead_letter_topic, "METADATA_SECONDS"),
        (range_reader, "METADATA_SECONDS"),
    ):
        monkeypatch.setattr(module, seconds, 2.0)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), NoTls) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in GOOD.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "ssl")
        assert main(words) == 1
        server.shutdown()
    said = capsys.readouterr()
    assert "KAFKA_SECURITY_PROTOCOL" in said.err
    assert "KAFKA_BOOTSTRAP_SERVERS" not in said.err
    assert len(said.err.splitlines()) == 1


class NoTls(socketserver.BaseRequestHandler):
    """A server that does not speak TLS."""

    def handle(self) -> None:
        """Answer any input, all of it read: unread bytes would turn the close into a reset."""
        self.request.recv(65_536)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
