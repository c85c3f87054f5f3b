"""Kafka's own client accepts the configuration that we build for it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from connector.kafka.config import KafkaConfig, Property, client, consumer, producer
from connector.settings import load

PROTOCOLS = ("classic", "consumer")


def config(**others: Any) -> KafkaConfig:
    """The minimal settings, and those under test."""
    return KafkaConfig(**{"bootstrap_servers": "127.0.0.1:9", "topics": ("t",), "group_id": "g", **others})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"group_instance_id": "pod-0"},
        {"request_timeout": 300.0},
        {"auto_offset_reset": "latest"},
        {"properties": {"isolation.level": "read_committed", "socket.timeout.ms": "5000"}},
        {"security": {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u",
                      "sasl.password": "p"}},
    ],
)  # fmt: skip
def test_the_client_takes_it(protocol: str, others: Mapping[str, Any]) -> None:
    """Some combinations are refused only when the client is constructed; no connection is made here."""
    made = config(group_protocol=protocol, **others)
    quiet: dict[str, Property] = {"log_level": 0}
    Consumer({**consumer(made), **quiet}).close()
    Producer({**producer(made), **quiet})
    AdminClient({**client(made), **quiet})


def test_no_client_warns_about_what_we_set() -> None:
    """The client logs a line for each property that the other kind of client owns: noise at every start."""
    lines: list[str] = []

    class Log:
        def log(self, _level: int, _format: str, *parts: object) -> None:
            lines.append(" ".join(map(str, parts)))

    builds: list[tuple[Callable[..., Any], dict[str, Property]]] = [
        (Producer, producer(config(properties={"session.timeout.ms": "10000", "socket.keepalive.enable": "true"}))),
        (Consumer, consumer(config(properties={"session.timeout.ms": "10000"}))),
    ]
    for build, made in builds:
        build({**made, "log_level": 5}, logger=Log()).poll(0)
    assert [line for line in lines if "CONFWARN" in line] == []


def test_every_security_setting_ends_up_in_the_client(tmp_path: Path) -> None:
    """From the variable to librdkafka by its own name: a renamed property would be a plaintext connection."""
    authority = trustme.CA()
    certificate = authority.issue_cert("client")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "KAFKA_TOPICS": "t",
            "TARGET_CLIENT_CODE": "demo",
            "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": "user",
            "KAFKA_SASL_PASSWORD": "hush",
            "KAFKA_SSL_CA_LOCATION": str(tmp_path / "ca.pem"),
            "KAFKA_SSL_CERTIFICATE_LOCATION": str(tmp_path / "client.pem"),
            "KAFKA_SSL_KEY_LOCATION": str(tmp_path / "client.pem"),
            "KAFKA_PROPERTIES": json.dumps({"socket.timeout.ms": 5000}),
        }
    )
    made = consumer(config(security=settings.security(), properties=settings.properties()))
    assert (made["security.protocol"], made["sasl.mechanism"]) == ("sasl_ssl", "SCRAM-SHA-512")
    assert (made["sasl.username"], made["sasl.password"]) == ("user", "hush")
    assert made["ssl.ca.location"] == str(tmp_path / "ca.pem")
    Consumer({**made, "log_level": 0}).close()
