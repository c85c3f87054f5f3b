"""List, schema, page and start-up line of the settings come from the model, so that they agree."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from connector.settings import BadSettings, describe, json_schema, load, markdown, masked

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_TOPICS": "a,b", "TARGET_CLIENT_CODE": "acme"}
SECRETS = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "S3CR3T-1",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "/c",
    "KAFKA_SSL_KEY_LOCATION": "/k",
    "KAFKA_SSL_KEY_PASSWORD": "S3CR3T-2",
    "TARGET_AUTH_TOKEN": "S3CR3T-3",
    "KAFKA_PROPERTIES": '{"sasl.oauthbearer.client.secret": "S3CR3T-4", "client.rack": "eu-1a"}',
    "SCHEMA_REGISTRY_URL": "https://me:S3CR3T-5@registry:8081/apis, http://second",
    "SCHEMA_REGISTRY_HEADERS": '{"target-sr-cluster": "S3CR3T-6"}',
    "SCHEMA_REGISTRY_OAUTH_TOKEN_URL": "https://login.example.com/token",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": "me",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET": "S3CR3T-7",
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "/c",
    "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": "S3CR3T-8",
}
ODD = {
    "KAFKA_BOOTSTRAP_SERVERS": " [fe80::1%eth0]:9092 ,\tkafka_1.example-2:1 ",
    "KAFKA_TOPICS": " a._-B ,\n...",
    "KAFKA_GROUP_ID": " 1 group é",
    "KAFKA_DEAD_LETTER_TOPIC": "",
    "TARGET_CLIENT_CODE": "1-2",
    "TARGET_BASE_URL": "http://[::1]:8080/a@b/{client_code}/",
    "TARGET_UPDATE_PATH": "/%20;a=b,@!",
    "EVENT_FORMAT": "json_schema",
    "EVENT_MAPPING": "version: 1\n",
    "QUOTA_TOPIC": "-",
    "OPS_HOST": "fe80::1%eth0",
    "LOG_FORMAT": "console",
}
"""Valid, but at the limits."""
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_the_models() -> None:
    """A page written by hand becomes outdated: generate it by `connector settings --format markdown`."""
    assert PAGE.read_text(encoding="utf-8") == markdown()


def test_the_schema_is_one_and_holds_for_effective_settings() -> None:
    """Tools that read the schema must find `/status` and the start-up line valid by it."""
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for environ in (GOOD, {**GOOD, **SECRETS}, {**GOOD, **ODD}):
        validator.validate(masked(load(environ)))
        validator.validate({**masked(load(environ)), **{name: text for name, text in environ.items() if name in ODD}})
    wrong = masked(load(GOOD)) | {"TARGET_METHOD": "put", "OPS_PORT": 70000, "KAFKA_TOPIC": "x"}
    assert len(list(validator.iter_errors(wrong))) == 3


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,"),
        ("KAFKA_TOPICS", "a,b c"),
        ("KAFKA_GROUP_ID", " "),
        ("KAFKA_DEAD_LETTER_TOPIC", "dead letters"),
        ("TARGET_CLIENT_CODE", "a b"),
        ("TARGET_BASE_URL", "proxy.example.com"),
        ("TARGET_UPDATE_PATH", "m2"),
        ("QUOTA_TOPIC", ""),
        ("OPS_HOST", ""),
        ("EVENT_FORMAT", "csv"),
        ("EVENT_UNMAPPED", "drop"),
    ],
)
def test_the_schema_refuses_what_the_connector_would(variable: str, text: str) -> None:
    """The chart checks by it: there a wrong value is a refused upgrade, and here a pod that does not start."""
    validator = Draft202012Validator(json_schema())
    assert not validator.is_valid({**masked(load(GOOD)), variable: text})
    with pytest.raises(BadSettings):
        load({**GOOD, variable: text})


def test_every_setting_has_a_purpose_and_allowed_values() -> None:
    """A setting must be usable without reading code; a span of time must name its unit."""
    for doc in describe():
        assert doc.description.endswith("."), doc.name
        assert len(doc.description) > 20, doc.name
        assert doc.allowed, doc.name
        assert doc.example or not doc.required, doc.name
        if doc.name.endswith("_SECONDS"):
            assert doc.unit == "seconds"


def test_a_setting_is_described_from_its_field() -> None:
    """One of each kind, complete."""
    docs = {doc.name: doc for doc in describe()}
    assert docs["KAFKA_TOPICS"].required
    assert docs["KAFKA_DEAD_LETTER_TOPIC"].default == "<group id>.dead-letter"
    assert (docs["OPS_PORT"].type, docs["OPS_PORT"].default) == ("whole number", "8080")
    assert (docs["COALESCE_LINGER_SECONDS"].type, docs["COALESCE_LINGER_SECONDS"].default) == ("number", "1")
    assert (docs["KAFKA_SASL_PASSWORD"].type, docs["KAFKA_SASL_PASSWORD"].secret) == ("secret", True)
    assert (docs["LOG_FORMAT"].type, docs["LOG_FORMAT"].allowed) == ("choice", "json or console")
    assert docs["KAFKA_PROPERTIES"].default == "{}"


def test_all_secrets_are_known_to_the_logs() -> None:
    """A library's log line may hold one of them: the last processor masks them by value."""
    settings = load({**GOOD, **SECRETS})
    assert sorted(settings.secret_values()) == [f"S3CR3T-{number}" for number in range(1, 9)]
    assert load(GOOD).secret_values() == []


def test_effective_settings_are_filled_in_and_masked() -> None:
    """An operator reads the value in effect, not the input, and never a secret."""
    shown = masked(load({**GOOD, **SECRETS}))
    assert shown["KAFKA_TOPICS"] == "a,b"
    assert shown["KAFKA_DEAD_LETTER_TOPIC"] == "target-profile-connector.dead-letter"
    assert shown["TARGET_BASE_URL"] == "https://acme.tt.omtrdc.net"
    assert (shown["QUOTA_TOPIC"], shown["QUOTA_HORIZON_SECONDS"]) == ("target-profile-connector.quota", 3_600)
    assert masked(load({**GOOD, "QUOTA_WINDOW_SECONDS": "60"}))["QUOTA_HORIZON_SECONDS"] == 2.5
    assert shown["TARGET_AUTH_TOKEN"] == "***"
    assert shown["KAFKA_PROPERTIES"] == '{"sasl.oauthbearer.client.secret": "***", "client.rack": "eu-1a"}'
    assert shown["SCHEMA_REGISTRY_URL"] == "https://***@registry:8081/apis, http://second"
    assert shown["SCHEMA_REGISTRY_HEADERS"] == '{"target-sr-cluster": "***"}'
    assert "S3CR3T" not in str(shown)
    assert masked(load({**GOOD, "KAFKA_DEAD_LETTER_TOPIC": ""}))["KAFKA_DEAD_LETTER_TOPIC"] == ""
