"""A wrong setting must be reported before anything starts, with its remedy; these are the messages."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from connector.service import quota_policy
from connector.settings import BadSettings, Mistake, Settings, load, masked
from tests.support.captured_logs import as_logged

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_TOPICS": "changes", "TARGET_CLIENT_CODE": "acme"}
SASL = {**GOOD, "KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}
REGISTRY = {**GOOD, "SCHEMA_REGISTRY_URL": "https://registry:8081"}
LOGIN = {**SASL, "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": "hush"}

CONTRACT = {
    "KAFKA_GROUP_ID": "target-profile-connector",
    "KAFKA_GROUP_PROTOCOL": "classic",
    "KAFKA_GROUP_INSTANCE_ID": None,
    "KAFKA_AUTO_OFFSET_RESET": "earliest",
    "KAFKA_SECURITY_PROTOCOL": "plaintext",
    "KAFKA_SASL_MECHANISM": None,
    "KAFKA_SASL_USERNAME": None,
    "KAFKA_SASL_PASSWORD": None,
    "KAFKA_SSL_CA_LOCATION": None,
    "KAFKA_SSL_CERTIFICATE_LOCATION": None,
    "KAFKA_SSL_KEY_LOCATION": None,
    "KAFKA_SSL_KEY_PASSWORD": None,
    "KAFKA_DEAD_LETTER_TOPIC": None,
    "TARGET_BASE_URL": "https://{client_code}.tt.omtrdc.net",
    "TARGET_UPDATE_PATH": "/m2/client/profile/update",
    "TARGET_AUTH_TOKEN": None,
    "TARGET_AUTH_TOKEN_FILE": None,
    "TARGET_TENANT": None,
    "TARGET_TOKEN_CLIENT_ID": None,
    "TARGET_TOKEN_CLIENT_SECRET": None,
    "TARGET_TOKEN_CLIENT_SECRET_FILE": None,
    "TARGET_TOKEN_SCOPE": "openid,AdobeID,target_sdk,read_organizations,additional_info.projectedProductContext,"
    "additional_info.roles",
    "TARGET_TOKEN_IMS_URL": "https://ims-na1.adobelogin.com/ims/token/v3",
    "TARGET_TOKEN_URL": "https://mc.adobe.io/{tenant}/target/authentication/token?authorizationScope=profile_api",
    "TARGET_METHOD": "auto",
    "TARGET_TIMEOUT_SECONDS": 10,
    "TARGET_MAX_IN_FLIGHT": 64,
    "TARGET_MAX_UPDATES_PER_SECOND": 200,
    "TARGET_UNCONFIRMED_SUCCESS": "accept",
    "COALESCE_LINGER_SECONDS": 1,
    "COALESCE_MAX_VISITORS": 200_000,
    "COALESCE_MAX_BYTES": 268_435_456,
    "COALESCE_ORDER": "offset",
    "COALESCE_UNCHANGED_SECONDS": 0,
    "COALESCE_UNCHANGED_MAX_VISITORS": 200_000,
    "EVENT_FORMAT": "json",
    "EVENT_MAPPING": None,
    "EVENT_MAPPING_FILE": None,
    "EVENT_UNMAPPED": "refuse",
    "EVENT_NULLS": "drop",
    "SCHEMA_REGISTRY_URL": None,
    "SCHEMA_REGISTRY_USERNAME": None,
    "SCHEMA_REGISTRY_PASSWORD": None,
    "SCHEMA_REGISTRY_TOKEN": None,
    "SCHEMA_REGISTRY_TOKEN_FILE": None,
    "SCHEMA_REGISTRY_OAUTH_TOKEN_URL": None,
    "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": None,
    "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET": None,
    "SCHEMA_REGISTRY_OAUTH_SCOPE": None,
    "SCHEMA_REGISTRY_SSL_CA_LOCATION": None,
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": None,
    "SCHEMA_REGISTRY_SSL_KEY_LOCATION": None,
    "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": None,
    "SCHEMA_REGISTRY_TIMEOUT_SECONDS": 10,
    "SCHEMA_REGISTRY_CACHE_MAX_SCHEMAS": 1000,
    "TARGET_UNKNOWN_VISITOR": "dead_letter",
    "TARGET_UNKNOWN_VISITOR_WAIT_SECONDS": 5400,
    "RETRY_INITIAL_SECONDS": 0.5,
    "RETRY_MAX_SECONDS": 60,
    "RETRY_MAX_ATTEMPTS": 10,
    "DEAD_LETTER_MAX_CONSECUTIVE": 1000,
    "DEAD_LETTER_MAX_RATIO": 0.5,
    "QUOTA_UPDATES": 1_000_000,
    "QUOTA_WINDOW_SECONDS": 86_400.0,
    "QUOTA_HORIZON_SECONDS": 3_600.0,
    "QUOTA_TOPIC": None,
    "QUOTA_LOW_SHARE": 1,
    "QUOTA_NORMAL_SHARE": 1,
    "PRIORITY_AGING_SECONDS": 3_600,
    "EVENT_MAX_AGE_SECONDS": 0,
    "COMMIT_INTERVAL_SECONDS": 5,
    "SHUTDOWN_GRACE_SECONDS": 25,
    "OPS_HOST": "0.0.0.0",  # noqa: S104 - the contract's default, compared and not bound
    "OPS_PORT": 8080,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": None,
    "LOG_VISITOR_IDS": "hash",
}


def mistakes(environ: dict[str, str]) -> list[Mistake]:
    """The refusal that `load` raises for an environment."""
    with pytest.raises(BadSettings) as caught:
        load(environ)
    return caught.value.mistakes


def lines(environ: dict[str, str]) -> list[str]:
    """The same as printed."""
    return [str(mistake) for mistake in mistakes(environ)]


def test_defaults_are_the_contracts() -> None:
    """With nothing set, the contract's defaults hold."""
    settings = load(GOOD)
    assert {name: getattr(settings, name.lower()) for name in CONTRACT} == CONTRACT
    assert settings.kafka_bootstrap_servers == "kafka:9092"
    assert settings.kafka_topics == ("changes",)
    assert settings.properties() == {}
    objects = {"KAFKA_PROPERTIES", "SCHEMA_REGISTRY_HEADERS", "TARGET_STATUS_VERDICTS"}
    assert settings.schema_registry_headers.get_secret_value() == {}
    assert settings.target_status_verdicts == {}
    assert {name.upper() for name in Settings.model_fields} == {*CONTRACT, *GOOD, *objects}


def test_derived_values_follow_their_source() -> None:
    """Group id and client code are set once and used in all derived values."""
    environ = {**GOOD, "KAFKA_GROUP_ID": "g", "TARGET_UPDATE_PATH": "/m2/{client_code}/profile/update"}
    settings = load(environ)
    assert settings.dead_letter_topic == "g.dead-letter"
    assert settings.base_url == "https://acme.tt.omtrdc.net"
    assert settings.update_path == "/m2/acme/profile/update"
    assert load({**environ, "KAFKA_DEAD_LETTER_TOPIC": "dl"}).dead_letter_topic == "dl"
    assert load({**environ, "KAFKA_DEAD_LETTER_TOPIC": ""}).dead_letter_topic is None
    assert settings.ledger_topic == "g.quota"
    assert load({**environ, "QUOTA_TOPIC": "shared"}).ledger_topic == "shared"
    assert load({**environ, "TARGET_BASE_URL": "http://[::1]:8099/p/"}).base_url == "http://[::1]:8099/p"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 3_600.0),
        ({"QUOTA_WINDOW_SECONDS": "30"}, 1.25),
        ({"QUOTA_WINDOW_SECONDS": "12"}, 1.0),
        ({"QUOTA_WINDOW_SECONDS": "30", "QUOTA_HORIZON_SECONDS": "20"}, 20.0),
        ({"QUOTA_WINDOW_SECONDS": "30", "QUOTA_HORIZON_SECONDS": "3600"}, 30.0),
        ({"QUOTA_WINDOW_SECONDS": "30", "QUOTA_HORIZON_SECONDS": "3600", "QUOTA_UPDATES": "0"}, 30.0),
        ({"QUOTA_WINDOW_SECONDS": "604800"}, 3_600.0),
    ],
)
def test_the_horizon_fits_the_window(given: dict[str, str], seconds: float) -> None:
    """An hour's horizon in a window of half a minute would leave all but a hundredth of the quota unused.

    Setting the default explicitly must not be refused for a window that the default suits.
    """
    settings = load({**GOOD, **given})
    assert settings.quota_horizon == masked(settings)["QUOTA_HORIZON_SECONDS"] == seconds
    terms = quota_policy(settings)
    assert terms is None or terms.horizon == seconds


def test_a_secured_cluster_uses_librdkafkas_names() -> None:
    """The Kafka room gets plain values, and only those that are set."""
    assert load(GOOD).security() == {"security.protocol": "plaintext"}
    environ = {**LOGIN, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CA_LOCATION": "/ca.pem"}
    assert load(environ).security() == {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "hush",
        "ssl.ca.location": "/ca.pem",
    }
    assert load({**SASL, "KAFKA_SASL_MECHANISM": "oauthbearer"}).kafka_sasl_mechanism == "OAUTHBEARER"


def test_lists_are_trimmed_and_choices_take_any_case() -> None:
    """Common spellings must not fail."""
    environ = {
        **GOOD,
        "KAFKA_BOOTSTRAP_SERVERS": " b-1:1 , [fe80::1]:65535",
        "KAFKA_TOPICS": " a.b , c_d-1",
        "LOG_LEVEL": "INFO",
        "TARGET_AUTH_TOKEN_FILE": "/run/token",
    }
    settings = load(environ)
    assert settings.kafka_bootstrap_servers == "b-1:1,[fe80::1]:65535"
    assert settings.kafka_topics == ("a.b", "c_d-1")
    assert settings.log_level == "info"
    assert settings.target_auth_token_file == Path("/run/token")


def test_further_properties_become_text_as_written() -> None:
    """Librdkafka takes text; a number must keep its form."""
    text = '{"client.rack": "eu-1a", "fetch.min.bytes": 10, "check.crcs": true, "isolation.level": "read_committed"}'
    assert load({**GOOD, "KAFKA_PROPERTIES": text}).properties() == {
        "client.rack": "eu-1a",
        "fetch.min.bytes": "10",
        "check.crcs": "true",
        "isolation.level": "read_committed",
    }


def test_settings_and_mistakes_are_immutable() -> None:
    """The values checked at the start must stay in effect."""
    with pytest.raises(ValidationError, match="frozen"):
        load(GOOD).ops_port = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Mistake("A").variable = "B"  # type: ignore[misc]


SINGLE = [
    ("TARGET_MAX_IN_FLIGHT", "many", 'was "many"; a whole number from 1 to 10000 is allowed'),
    ("TARGET_MAX_IN_FLIGHT", "0", 'was "0"; a whole number from 1 to 10000 is allowed'),
    ("TARGET_TIMEOUT_SECONDS", "0", 'was "0"; a number above 0 and up to 300 is allowed'),
    ("DEAD_LETTER_MAX_RATIO", "nan", 'was "nan"; a number from 0 to 1 is allowed'),
    ("DEAD_LETTER_MAX_RATIO", "1.1", 'was "1.1"; a number from 0 to 1 is allowed'),
    ("SHUTDOWN_GRACE_SECONDS", "inf", 'was "inf"; a number from 0 to 3600 is allowed'),
    ("OPS_PORT", "65536", 'was "65536"; a whole number from 0 to 65535 is allowed'),
    ("OPS_PORT", "tcp://10.0.0.1:80", 'it is a Kubernetes service link, not from you: set "enableServiceLinks: false"'),
    ("OPS_HOST", "http://0.0.0.0", "it is no address and no host name"),
    ("TARGET_METHOD", "put", 'was "put"; auto, get or post is allowed'),
    ("EVENT_FORMAT", "csv", 'was "csv"; json, json_schema, avro, protobuf or cloudevents is allowed'),
    ("EVENT_MAPPING", " \n", "it is empty: leave the variable unset instead"),
    ("EVENT_MAPPING_FILE", "", "it is empty: leave the variable unset instead"),
    ("EVENT_UNMAPPED", "drop", 'was "drop"; refuse or skip is allowed'),
    ("SCHEMA_REGISTRY_URL", ",", "must be an http:// or https:// address, or several with commas between"),
    ("SCHEMA_REGISTRY_URL", "http://a,registry:8081", "must be an http:// or https:// address with a host"),
    ("SCHEMA_REGISTRY_URL", "http://a?x=1", "must hold no query and no fragment"),
    ("SCHEMA_REGISTRY_HEADERS", "[]", "it is no JSON object of texts"),
    ("SCHEMA_REGISTRY_HEADERS", '{"a": 1}', "it is no JSON object of texts"),
    ("SCHEMA_REGISTRY_HEADERS", "{", "it is no JSON object, such as"),
    ("SCHEMA_REGISTRY_HEADERS", '{"a b": "c"}', "holds a name that is no name of a header"),
    ("SCHEMA_REGISTRY_HEADERS", '{"Authorization": "c"}', "must not hold Authorization, which the conn"),
    ("SCHEMA_REGISTRY_TIMEOUT_SECONDS", "0", 'was "0"; a number above 0 and up to 300 is allowed'),
    ("SCHEMA_REGISTRY_CACHE_MAX_SCHEMAS", "0", 'was "0"; a whole number from 1 to 100000 is allowed'),
    ("LOG_FORMAT", "", 'was ""; json or console is allowed'),
    ("LOG_LEVEL", "lo\nud", 'was "lo\\nud"; debug, info, warning or error is allowed'),
    ("LOG_LEVEL", "x" * 500, f'was "{"x" * 80}…"; debug'),
    ("QUOTA_UPDATES", "-1", "0 to 1000000000 is allowed"),
    ("QUOTA_WINDOW_SECONDS", "0", "1 to 2678400 is allowed"),
    ("QUOTA_TOPIC", "", "a name is empty"),
    ("KAFKA_GROUP_ID", " ", "it is empty: leave the variable unset instead"),
    ("KAFKA_GROUP_ID", "a\nb", "it holds a line break"),
    ("KAFKA_GROUP_ID", "\udcff", "bytes that are not UTF-8"),
    ("KAFKA_GROUP_INSTANCE_ID", "", "it is empty: leave the variable unset instead"),
    ("KAFKA_TOPICS", "", "a name is empty"),
    ("KAFKA_TOPICS", "a,,b", "a name is empty"),
    ("KAFKA_TOPICS", "a,b,a", '"a" is named twice'),
    ("KAFKA_TOPICS", "^changes-.*", '"^changes-.*" is a pattern: which topics count must be known at the start'),
    ("KAFKA_TOPICS", "a/b", '"a/b" is no topic name'),
    ("KAFKA_TOPICS", "..", '".." is no topic name'),
    ("KAFKA_TOPICS", "a" * 250, "is no topic name"),
    ("KAFKA_DEAD_LETTER_TOPIC", "a b", '"a b" is no topic name'),
    ("KAFKA_BOOTSTRAP_SERVERS", "kafka", '"kafka" is not host:port'),
    ("KAFKA_BOOTSTRAP_SERVERS", "a:1,", "a server is empty"),
    ("KAFKA_BOOTSTRAP_SERVERS", "::1:9092", '"::1:9092" is not host:port'),
    ("KAFKA_BOOTSTRAP_SERVERS", "a:70000", '"a:70000" has no port from 1 to 65535'),
    ("KAFKA_BOOTSTRAP_SERVERS", "SSL://a:1", '"SSL://a:1" has a protocol: that goes in KAFKA_SECURITY_PROTOCOL'),
    ("TARGET_CLIENT_CODE", "acme.com", "it is not one word of a host name"),
    ("TARGET_CLIENT_CODE", "-acme", "one word of letters, digits and hyphens, at most 63 is allowed"),
    ("TARGET_BASE_URL", "", "it is empty"),
    ("TARGET_BASE_URL", "acme.tt.omtrdc.net", "it does not begin with http:// or https://"),
    ("TARGET_BASE_URL", "https://", "it has no legal host"),
    ("TARGET_BASE_URL", "https://a:99999", "it has a host or a port that cannot be read"),
    ("TARGET_BASE_URL", "https://a:0", "it has port 0"),
    ("TARGET_BASE_URL", "https://a/?x=1", "it holds a query or a fragment"),
    ("TARGET_BASE_URL", "https://a/#x", "it holds a query or a fragment"),
    ("TARGET_BASE_URL", "https://{code}.net", "it has no legal host"),
    ("TARGET_BASE_URL", "https://a/{code}", "it has braces that are not {client_code}"),
    ("TARGET_BASE_URL", "https://a b", "it holds a space"),
    ("TARGET_UPDATE_PATH", "m2", "it does not begin with a slash"),
    ("TARGET_UPDATE_PATH", "/m2?x", "it holds ?"),
    ("TARGET_UPDATE_PATH", "/ü", "it holds a space, a control character or a letter that must be percent-encoded"),
    ("TARGET_AUTH_TOKEN", "", "it is empty: leave the variable unset instead"),
    ("TARGET_AUTH_TOKEN", "abc\n", "it holds a line break"),
    ("TARGET_AUTH_TOKEN", "ab c", "it holds a space or a letter that no header can carry"),
    ("TARGET_AUTH_TOKEN_FILE", "", "it is empty: leave the variable unset instead"),
    ("KAFKA_PROPERTIES", "", "it is not JSON at character 1"),
    ("KAFKA_PROPERTIES", '{"a": NaN}', "it is not JSON"),
    ("KAFKA_PROPERTIES", "[" * 100_000, "it is not JSON"),
    ("KAFKA_PROPERTIES", "[]", "it is JSON, but no object"),
    ("KAFKA_PROPERTIES", '{"a": null}', '"a" is neither text nor a number nor true or false'),
    ("KAFKA_PROPERTIES", '{"a": {"b": 1}}', '"a" is neither text nor a number nor true or false'),
    ("KAFKA_PROPERTIES", '{"a": 1, "a": 2}', '"a" is given twice'),
    ("KAFKA_PROPERTIES", '{"a": "\\ud800"}', "half a surrogate pair"),
    ("KAFKA_PROPERTIES", '{"a": "\\u0000"}', '"a" holds a NUL'),
    (
        "KAFKA_PROPERTIES",
        '{"isolation.level": "dirty"}',
        '"isolation.level" is neither read_committed nor read_uncommi',
    ),
    ("KAFKA_PROPERTIES", '{"enable.auto.commit": false}', '"enable.auto.commit" is refused: the connector itself com'),
    ("KAFKA_PROPERTIES", '{"auto.commit.interval.ms": 1}', "how often: COMMIT_INTERVAL_SECONDS"),
    (
        "KAFKA_PROPERTIES",
        '{"delivery.timeout.ms": 120000}',
        '"delivery.timeout.ms" is refused: the connector itself wr',
    ),
    ("KAFKA_PROPERTIES", '{"message.timeout.ms": 120000}', '"message.timeout.ms" is refused: the connector itself wr'),
    ("KAFKA_PROPERTIES", '{"group.id": "g"}', '"group.id" has its own variable, KAFKA_GROUP_ID'),
    (
        "KAFKA_PROPERTIES",
        '{"sasl.mechanisms": "PLAIN"}',
        '"sasl.mechanisms" has its own variable, KAFKA_SASL_MECHANISM',
    ),
    ("KAFKA_PROPERTIES", '{"ssl.ca.location": "x"}', '"ssl.ca.location" has its own variable, KAFKA_SSL_CA_LOCATION'),
    ("KAFKA_PROPERTIES", '{"session.timeout.ms": "abc"}', '"session.timeout.ms" is no whole number of milliseconds'),
    ("KAFKA_PROPERTIES", '{"session.timeout.ms": "10 s"}', '"session.timeout.ms" is no whole number of milliseconds'),
    ("KAFKA_PROPERTIES", '{"session.timeout.ms": ""}', '"session.timeout.ms" is no whole number of milliseconds'),
    ("KAFKA_PROPERTIES", '{"session.timeout.ms": 1e4}', '"session.timeout.ms" is no whole number of milliseconds'),
    ("KAFKA_PROPERTIES", '{"max.poll.interval.ms": "x"}', '"max.poll.interval.ms" is no whole number of millis'),
    ("KAFKA_PROPERTIES", '{"max.poll.interval.ms": true}', '"max.poll.interval.ms" is no whole number of millis'),
    ("KAFKA_PROPERTIES", '{"error_cb": "x"}', '"error_cb" is refused: it takes code'),
    ("KAFKA_PROPERTIES", '{"test.mock.num.brokers": 1}', '"test.mock.num.brokers" is refused: it puts a broker made'),
]


@pytest.mark.parametrize(("variable", "value", "said"), SINGLE)
def test_a_wrong_value_is_one_line_that_says_what_is_right(variable: str, value: str, said: str) -> None:
    """One mistake, one line, with the variable, the value (or a mask) and what is allowed."""
    (line,) = lines({**GOOD, variable: value})
    assert line.startswith(f"{variable}: ")
    assert said in line
    assert line.endswith(" is allowed")
    assert line.isprintable()


def test_a_missing_setting_says_what_it_is_and_shows_one() -> None:
    """For a new user: all three at once, ready to copy."""
    servers, topics, code = lines({})
    assert servers.startswith("KAFKA_BOOTSTRAP_SERVERS: missing; brokers to begin with")
    assert topics.endswith("; for example KAFKA_TOPICS=profile-changes")
    assert code.startswith("TARGET_CLIENT_CODE: missing; client code of the Adobe Target account")


def test_a_missing_setting_points_to_a_misspelt_prefix() -> None:
    """Names outside our prefixes are ignored, except one that is nearly the missing name."""
    environ = {**GOOD, "KAKFA_TOPICS": "changes", "PATH": "/bin", "HOME": "/"}
    del environ["KAFKA_TOPICS"]
    (line,) = lines(environ)
    assert line.startswith("KAFKA_TOPICS: missing (KAKFA_TOPICS is set: a misspelling?); ")


UNKNOWN = [
    ("KAFKA_TOPIC", "KAFKA_TOPIC: not a setting; did you mean KAFKA_TOPICS?"),
    ("TARGET_AUTH_TOKEN_FLIE", "TARGET_AUTH_TOKEN_FLIE: not a setting; did you mean TARGET_AUTH_TOKEN_FILE?"),
    ("COALESCE_LINGER", "COALESCE_LINGER: not a setting; did you mean COALESCE_LINGER_SECONDS?"),
    ("LOG_DIR", "LOG_DIR: not a setting; the nearest is LOG_FORMAT, else unset it"),
    ("kafka_topics", "kafka_topics: not a setting: names are upper case; did you mean KAFKA_TOPICS?"),
    ("Ops_Port", "Ops_Port: not a setting: names are upper case; did you mean OPS_PORT?"),
]


@pytest.mark.parametrize(("name", "said"), UNKNOWN)
def test_a_misspelt_name_is_reported_with_the_nearest_right_one(name: str, said: str) -> None:
    """A misspelt setting must not be ignored silently; its value may be a secret and is not shown."""
    assert lines({**GOOD, name: "S3CR3T"}) == [said]


def test_every_known_prefix_is_guarded() -> None:
    """The contract's prefixes, each with a name that cannot be a setting."""
    first = {name.split("_")[0] for name in (*CONTRACT, *GOOD)}
    prefixes = first - {"DEAD", "SCHEMA"} | {"DEAD_LETTER", "SCHEMA_REGISTRY"}
    for prefix in prefixes:
        (line,) = lines({**GOOD, f"{prefix}_ZZZ": "1"})
        assert line.startswith(f"{prefix}_ZZZ: not a setting")


def test_kubernetes_service_links_are_ignored() -> None:
    """A Service named kafka in the namespace sets these in every pod; a start must not fail for them."""
    links = {
        "KAFKA_SERVICE_HOST": "10.0.0.1",
        "KAFKA_SERVICE_PORT": "9092",
        "KAFKA_SERVICE_PORT_TLS": "9093",
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.1",
        "KAFKA_BOOTSTRAP_PORT": "udp://10.0.0.1:1",
        "TARGET_PORT_80_UDP_PROTO": "udp",
    }
    assert load({**GOOD, **links}) == load(GOOD)
    assert lines({**GOOD, "KAFKA_PORT": "9092"})[0].startswith("KAFKA_PORT: not a setting")


NO_LOGIN = "it has no effect while KAFKA_SECURITY_PROTOCOL is plaintext: use sasl_ssl or sasl_plaintext"
NO_REGISTRY = "it has no effect without SCHEMA_REGISTRY_URL"
NO_TLS = "it has no effect while KAFKA_SECURITY_PROTOCOL is plaintext: use ssl or sasl_ssl"
TOGETHER = [
    (
        GOOD,
        {"QUOTA_TOPIC": "changes"},
        "QUOTA_TOPIC",
        "changes",
        "changes is also one of KAFKA_TOPICS: the ledger would be read as events",
    ),
    (
        GOOD,
        {"QUOTA_TOPIC": "target-profile-connector.dead-letter"},
        "QUOTA_TOPIC",
        "target-profile-connector.dead-letter",
        "target-profile-connector.dead-letter is also KAFKA_DEAD_LETTER_TOPIC: dead letters would stand in the ledger",
    ),
    (
        GOOD,
        {"KAFKA_GROUP_ID": "my group", "KAFKA_DEAD_LETTER_TOPIC": "letters"},
        "QUOTA_TOPIC",
        None,
        'its default, "my group.quota", is no topic name: set it, or another KAFKA_GROUP_ID',
    ),
    (
        GOOD,
        {"EVENT_MAPPING": "version: 1", "EVENT_MAPPING_FILE": "/m"},
        "EVENT_MAPPING",
        "version: 1",
        "EVENT_MAPPING_FILE is set too: set only one of them",
    ),
    (
        GOOD,
        {"EVENT_FORMAT": "avro"},
        "SCHEMA_REGISTRY_URL",
        None,
        "missing; EVENT_FORMAT is avro, whose schemas a Schema Registry has",
    ),
    (GOOD, {"SCHEMA_REGISTRY_TOKEN": "t"}, "SCHEMA_REGISTRY_TOKEN", "***", NO_REGISTRY),
    (GOOD, {"SCHEMA_REGISTRY_HEADERS": '{"a": "b"}'}, "SCHEMA_REGISTRY_HEADERS", "***", NO_REGISTRY),
    (
        REGISTRY,
        {"SCHEMA_REGISTRY_USERNAME": "me"},
        "SCHEMA_REGISTRY_PASSWORD",
        None,
        "missing; SCHEMA_REGISTRY_USERNAME needs it",
    ),
    (
        REGISTRY,
        {"SCHEMA_REGISTRY_OAUTH_TOKEN_URL": "https://t", "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": "me"},
        "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET",
        None,
        "missing; SCHEMA_REGISTRY_OAUTH_TOKEN_URL needs it",
    ),
    (
        REGISTRY,
        {"SCHEMA_REGISTRY_SSL_KEY_LOCATION": "/k"},
        "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION",
        None,
        "missing; SCHEMA_REGISTRY_SSL_KEY_LOCATION needs it",
    ),
    (
        REGISTRY,
        {"SCHEMA_REGISTRY_TOKEN": "t", "SCHEMA_REGISTRY_TOKEN_FILE": "/t"},
        "SCHEMA_REGISTRY_TOKEN_FILE",
        "/t",
        "SCHEMA_REGISTRY_TOKEN is set too: the registry takes one login",
    ),
    (
        GOOD,
        {"EVENT_MAX_AGE_SECONDS": "60", "COALESCE_LINGER_SECONDS": "60"},
        "EVENT_MAX_AGE_SECONDS",
        "60",
        "it must be above COALESCE_LINGER_SECONDS, 60: else every change is too old when its linger ends",
    ),
    (
        GOOD,
        {"QUOTA_LOW_SHARE": "0.9", "QUOTA_NORMAL_SHARE": "0.8"},
        "QUOTA_LOW_SHARE",
        "0.9",
        "it is above QUOTA_NORMAL_SHARE, 0.8: low would be sent where normal waits",
    ),
    (GOOD, {"RETRY_INITIAL_SECONDS": "90"}, "RETRY_INITIAL_SECONDS", "90", "it is above RETRY_MAX_SECONDS, 60"),
    (
        GOOD,
        {"TARGET_AUTH_TOKEN": "t", "TARGET_AUTH_TOKEN_FILE": "/t"},
        "TARGET_AUTH_TOKEN",
        "***",
        "TARGET_AUTH_TOKEN_FILE is set too: set only one of them",
    ),
    (
        GOOD,
        {"KAFKA_DEAD_LETTER_TOPIC": "changes"},
        "KAFKA_DEAD_LETTER_TOPIC",
        "changes",
        "changes is also one of KAFKA_TOPICS: dead letters would be read again as events",
    ),
    (
        GOOD,
        {"KAFKA_GROUP_ID": "my group"},
        "KAFKA_DEAD_LETTER_TOPIC",
        None,
        'its default, "my group.dead-letter", is no topic name: set it, or another KAFKA_GROUP_ID',
    ),
    (
        GOOD,
        {"KAFKA_GROUP_PROTOCOL": "consumer", "KAFKA_PROPERTIES": '{"session.timeout.ms": 6000}'},
        "KAFKA_PROPERTIES",
        "***",
        '"session.timeout.ms" is the broker\'s to set when KAFKA_GROUP_PROTOCOL is consumer: remove it',
    ),
    (GOOD, {"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM", "PLAIN", NO_LOGIN),
    (GOOD, {"KAFKA_SASL_PASSWORD": "hush"}, "KAFKA_SASL_PASSWORD", "***", NO_LOGIN),
    (GOOD, {"KAFKA_SSL_CA_LOCATION": "/ca"}, "KAFKA_SSL_CA_LOCATION", "/ca", NO_TLS),
    (
        SASL,
        {},
        "KAFKA_SASL_MECHANISM",
        None,
        "missing; KAFKA_SECURITY_PROTOCOL is sasl_ssl, so say how to log in",
    ),
    (
        SASL,
        {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "me"},
        "KAFKA_SASL_PASSWORD",
        None,
        "missing; KAFKA_SASL_MECHANISM PLAIN needs it",
    ),
    (
        LOGIN,
        {"KAFKA_SSL_CERTIFICATE_LOCATION": "/c"},
        "KAFKA_SSL_KEY_LOCATION",
        None,
        "missing; KAFKA_SSL_CERTIFICATE_LOCATION needs it",
    ),
    (
        LOGIN,
        {"KAFKA_SSL_KEY_LOCATION": "/k"},
        "KAFKA_SSL_CERTIFICATE_LOCATION",
        None,
        "missing; KAFKA_SSL_KEY_LOCATION needs it",
    ),
    (
        LOGIN,
        {"KAFKA_SSL_KEY_PASSWORD": "hush"},
        "KAFKA_SSL_KEY_LOCATION",
        None,
        "missing; KAFKA_SSL_KEY_PASSWORD needs it",
    ),
]


@pytest.mark.parametrize(("base", "more", "variable", "was", "reason"), TOGETHER)
def test_conflicting_settings_are_reported(
    base: dict[str, str], more: dict[str, str], variable: str, was: str | None, reason: str
) -> None:
    """Each is valid alone; together they would fail late, or not do what was meant."""
    assert mistakes({**base, **more}) == [Mistake(variable, was=was, reason=reason)]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        *({**GOOD, variable: value} for variable, value, _ in SINGLE),
        *({**GOOD, name: "x"} for name, _ in UNKNOWN),
        *({**base, **more} for base, more, *_ in TOGETHER),
        *({**GOOD, name: "https://me:hush@a:1"} for name in ("KAFKA_BOOTSTRAP_SERVERS", "TARGET_BASE_URL")),
    ],
)
def test_the_log_shows_each_mistake_whole(environ: dict[str, str]) -> None:
    """After KAFKA_SASL_PASSWORD and a colon, the log's redaction would take "missing" for the password."""
    for mistake in mistakes(environ):
        ours = replace(mistake, was=None)  # The user's value may be masked.
        assert (as_logged(ours.setting), as_logged(ours.remedy)) == (ours.setting, ours.remedy)
        assert str(ours) == f"{ours.setting}: {ours.remedy}"


def test_a_conflict_is_one_line_too() -> None:
    """The same shape as any other mistake."""
    assert lines({**GOOD, "RETRY_INITIAL_SECONDS": "90"}) == [
        'RETRY_INITIAL_SECONDS: was "90": it is above RETRY_MAX_SECONDS, 60'
    ]


def test_all_mistakes_are_reported_at_once() -> None:
    """Missing, wrong, unknown and conflicting at once, so that a start needs one correction."""
    environ = {
        "KAFKA_TOPICS": "changes",
        "KAFKA_TOPIC": "changes",
        "KAFKA_DEAD_LETTER_TOPIC": "changes",
        "KAFKA_BOOTSTRAP_SERVERS": "a,b",
        "OPS_PORT": "http",
        "RETRY_INITIAL_SECONDS": "90",
    }
    assert [mistake.variable for mistake in mistakes(environ)] == [
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_BOOTSTRAP_SERVERS",
        "TARGET_CLIENT_CODE",
        "OPS_PORT",
        "RETRY_INITIAL_SECONDS",
        "KAFKA_DEAD_LETTER_TOPIC",
        "KAFKA_TOPIC",
    ]


def test_a_conflict_with_a_wrong_value_is_not_invented() -> None:
    """A comparison with a default in place of a wrong value is useless: only the wrong value is reported."""
    assert len(mistakes({**GOOD, "RETRY_INITIAL_SECONDS": "90", "RETRY_MAX_SECONDS": "soon"})) == 1
    assert len(mistakes({**GOOD, "KAFKA_TOPICS": "", "KAFKA_DEAD_LETTER_TOPIC": "profile-changes"})) == 1
    assert len(mistakes({**LOGIN, "KAFKA_SECURITY_PROTOCOL": "tls", "KAFKA_SSL_CA_LOCATION": "/ca"})) == 1
    assert len(mistakes({**GOOD, "SCHEMA_REGISTRY_URL": "registry", "SCHEMA_REGISTRY_TOKEN": "t"})) == 1


def test_addresses_with_a_password_are_masked() -> None:
    """A password is often put into an address by mistake, and must not be repeated."""
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "TARGET_BASE_URL", "SCHEMA_REGISTRY_URL"):
        (line,) = lines({**GOOD, variable: "https://me:hush@a:1/?x=1"})
        assert line.startswith(f"{variable}: was ***: ")
        assert "hush" not in line


def test_a_name_that_cannot_be_printed_stays_on_its_line() -> None:
    """An environment may hold any name; a log must not be forged by it."""
    (line,) = lines({**GOOD, "KAFKA_\nX": "1"})
    assert line.startswith('"KAFKA_\\nX": not a setting')
