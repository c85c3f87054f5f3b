"""What librdkafka refuses must end the start, by name: otherwise a replica stays live and reads nothing."""

import socket
import time
from pathlib import Path

import pytest

from connector.cli import main
from connector.kafka.config import KafkaConfig
from connector.kafka.config_check import Refusal, check_config
from connector.settings.properties import SECURITY
from tests.support.process import Command

TLS = {"security.protocol": "ssl"}
NOWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "KAFKA_TOPICS": "t",
    "TARGET_CLIENT_CODE": "demo",
    "KAFKA_PROPERTIES": '{"foo.bar": "hush"}',
}
COMMANDS = (["check"], ["plan"], ["quota"], ["dlq", "list"], ["dlq", "replay"])


def config(properties: dict[str, str] | None = None, security: dict[str, str] | None = None) -> KafkaConfig:
    """The minimal settings, and those under test."""
    return KafkaConfig("127.0.0.1:9", ("t",), "g", properties=properties or {}, security=security or {})


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"foo.bar": "1"}, '"foo.bar" in KAFKA_PROPERTIES'),
        ({"heartbeat.interval.ms": "abc"}, '"heartbeat.interval.ms" in KAFKA_PROPERTIES'),
        ({"session.timeout.ms": "99999999"}, '"session.timeout.ms" in KAFKA_PROPERTIES'),
        ({"debug": "hush"}, '"debug" in KAFKA_PROPERTIES'),
        ({"socket.timeout.ms": "1000", "socket.timeout": "1"}, '"socket.timeout" in KAFKA_PROPERTIES'),
        # A property of the producer alone: it would have been refused at the first dead letter, days later.
        ({"max.in.flight": "100"}, '"max.in.flight" in KAFKA_PROPERTIES'),
        ({"retries": "0"}, '"retries" in KAFKA_PROPERTIES'),
        ({"ssl.keystore.location": "/nope"}, '"ssl.keystore.password" in KAFKA_PROPERTIES'),
        ({"plugin.library.paths": "/nope"}, "look at KAFKA_PROPERTIES"),
    ],
)
def test_a_refused_property_is_named_with_its_variable(properties: dict[str, str], named: str) -> None:
    """By librdkafka itself, whichever of its clients refuses; a value that it quotes may be a secret."""
    found = check_config(config(properties))
    assert found is not None
    assert named in str(found)
    assert "hush" not in str(found)
    assert not found.is_file


@pytest.mark.parametrize(
    ("security", "variable"),
    [
        ({**TLS, "ssl.ca.location": "{}/nope"}, "KAFKA_SSL_CA_LOCATION"),
        ({**TLS, "ssl.ca.location": "{}/bad.pem"}, "KAFKA_SSL_CA_LOCATION"),
        ({**TLS, "ssl.certificate.location": "{}/nope"}, "KAFKA_SSL_CERTIFICATE_LOCATION"),
        ({**TLS, "ssl.key.location": "{}/bad.pem"}, "KAFKA_SSL_KEY_PASSWORD"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_by_its_variable(
    security: dict[str, str], variable: str, tmp_path: Path
) -> None:
    """Nobody set "ssl.ca.location", and it is not in KAFKA_PROPERTIES: that name would mislead."""
    (tmp_path / "bad.pem").write_text("nonsense")
    found = check_config(config(security={name: value.format(tmp_path) for name, value in security.items()}))
    assert found is not None
    assert found.is_file
    assert variable in str(found)
    assert "KAFKA_PROPERTIES" not in str(found)


def test_every_security_property_has_the_variable_that_the_settings_give_it() -> None:
    """Both rooms hold the names; neither may import the other."""
    assert {name: Refusal(name, "").variable for name in SECURITY} == {
        name: field.upper() for name, field in SECURITY.items()
    }


def test_a_mechanism_that_was_not_built_in_is_named_by_its_variable() -> None:
    """The client's message names the mechanism and no property."""
    found = check_config(config(security={"security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI"}))
    assert found is not None
    assert found.variable == "KAFKA_SASL_MECHANISM"


def test_asking_fetches_no_token() -> None:
    """A token endpoint that does not answer would delay every start by a minute, before the first log line."""
    with socket.socket() as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        endpoint.listen()
        properties = {
            "sasl.oauthbearer.method": "OIDC",
            "sasl.oauthbearer.client.id": "me",
            "sasl.oauthbearer.client.secret": "hush",
            "sasl.oauthbearer.token.endpoint.url": f"http://127.0.0.1:{endpoint.getsockname()[1]}/",
        }
        began = time.monotonic()
        asked = config(properties, {"security.protocol": "sasl_plaintext", "sasl.mechanism": "OAUTHBEARER"})
        assert check_config(asked) is None
        assert time.monotonic() - began < 10


def test_a_login_without_a_token_source_is_refused() -> None:
    """The client would wait for ever, silently, for the program to supply a token."""
    login = {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}
    found = check_config(config(security=login))
    assert found is not None
    assert found.variable == "KAFKA_PROPERTIES"
    assert "sasl.oauthbearer.method" in str(found)
    assert "KAFKA_SASL_PASSWORD" not in str(found)
    assert check_config(config({"enable.sasl.oauthbearer.unsecure.jwt": "true"}, login)) is None
    assert check_config(config(security={**login, "security.protocol": "ssl"})) is None


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_ends_with_code_2_and_names_variable_and_property(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retrying would not help: the setting must change."""
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    assert main(words) == 2
    _judge("".join(capsys.readouterr()))


def test_the_service_does_too(tmp_path: Path) -> None:
    """In a process of its own, since it configures the logs of its process."""
    with Command(tmp_path, ["run"], NOWHERE) as running:
        assert running.wait(120) == 2
        _judge(running.stdout + running.stderr)


def _judge(said: str) -> None:
    assert "KAFKA_PROPERTIES" in said
    assert "foo.bar" in said
    assert "tries again" not in said
    assert "dead_letter_topic_unavailable" not in said
    assert "hush" not in said
