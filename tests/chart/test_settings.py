"""Every setting of the connector can be set by a value, and arrives as meant: checked by the real `load`."""

import itertools
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.cli.token import NAMES
from connector.settings import Settings, describe, json_schema, load, load_part
from connector.settings.properties import is_secret
from scripts.chart import NO_VALUE
from tests.support.chart import NEEDED, Chart, Objects, nested
from tests.support.chart_tools import CHART, ROOT

SAMPLES: Mapping[str, Any] = {
    "KAFKA_BOOTSTRAP_SERVERS": ["one:9092", "[2001:db8::1]:9093"],
    "KAFKA_TOPICS": ["a.b", "c_d-1"],
    "KAFKA_GROUP_ID": "another_group",
    "KAFKA_SASL_USERNAME": 'user "#1"',
    "KAFKA_SASL_PASSWORD": "p'a\"s\\s$(HOME) {{ .Values }} #é",
    "KAFKA_SSL_CA_LOCATION": "/etc/ca 1.pem",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "/etc/certificate.pem",
    "KAFKA_SSL_KEY_LOCATION": "/etc/key.pem",
    "KAFKA_SSL_KEY_PASSWORD": "007",
    "KAFKA_PROPERTIES": {"fetch.max.bytes": 104857600, "client.rack": "a<b>&", "socket.keepalive.enable": True},
    "KAFKA_DEAD_LETTER_TOPIC": "letters",
    "TARGET_CLIENT_CODE": "1234",
    "TARGET_BASE_URL": "https://proxy.example.com:8443/{client_code}",
    "TARGET_UPDATE_PATH": "/m2/{client_code}/profile/update",
    "TARGET_AUTH_TOKEN": "abc.def-ghi~1==",
    "TARGET_AUTH_TOKEN_FILE": "/etc/token",
    "EVENT_MAPPING_FILE": "/etc/mapping.yaml",
    "SCHEMA_REGISTRY_URL": "https://me:p%40ss@one:8081/apis, http://two",
    "SCHEMA_REGISTRY_USERNAME": "user: one",
    "SCHEMA_REGISTRY_PASSWORD": "p'a\"s\\s$(HOME) {{ .Values }} #é",
    "SCHEMA_REGISTRY_TOKEN": "abc.def-ghi~1==",
    "SCHEMA_REGISTRY_TOKEN_FILE": "/etc/registry/token",
    "SCHEMA_REGISTRY_OAUTH_TOKEN_URL": "https://login.example.com/token",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": "connector",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET": "008",
    "SCHEMA_REGISTRY_OAUTH_SCOPE": "read write",
    "SCHEMA_REGISTRY_HEADERS": {"target-sr-cluster": "lsrc-1 <&>"},
    "SCHEMA_REGISTRY_SSL_CA_LOCATION": "/etc/ca 1.pem",
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "/etc/certificate.pem",
    "SCHEMA_REGISTRY_SSL_KEY_LOCATION": "/etc/key.pem",
    "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": "009",
    "TARGET_STATUS_VERDICTS": {"404": "unknown_visitor", "418": "rejected"},
    "TARGET_TENANT": "acme_1",
    "TARGET_TOKEN_CLIENT_ID": "007",
    "TARGET_TOKEN_CLIENT_SECRET": "p8e-'x\"$(HOME)#",
    "TARGET_TOKEN_CLIENT_SECRET_FILE": "/etc/client/secret",
    "TARGET_TOKEN_SCOPE": "openid,AdobeID",
    "TARGET_TOKEN_IMS_URL": "https://ims.example.com:8443/ims/token/v3",
    "TARGET_TOKEN_URL": "https://proxy.example.com/{tenant}/token?scope=profile_api",
    "QUOTA_TOPIC": "spent",
    "QUOTA_WINDOW_SECONDS": 60,
    "QUOTA_HORIZON_SECONDS": 90_000.5,
    "OPS_HOST": "::",
}
"""A value other than the default for each setting that is a text, or that a bound alone does not test well."""

SECRET = "TARGET_TOKEN_CLIENT_SECRET"
TOKEN = frozenset(name for name in NAMES if name.startswith(("TARGET_TOKEN_", "TARGET_TENANT")))
"""What only `connector token` reads."""

AS_TEXT: Mapping[str, str] = {
    "KAFKA_BOOTSTRAP_SERVERS": "one:9092,[2001:db8::1]:9093",
    "KAFKA_TOPICS": "a.b,c_d-1",
    "KAFKA_PROPERTIES": '{"fetch.max.bytes": 104857600, "client.rack": "a<b>&", "socket.keepalive.enable": true}',
    "TARGET_STATUS_VERDICTS": '{"404": "unknown_visitor", "418": "rejected"}',
    "SCHEMA_REGISTRY_HEADERS": '{"target-sr-cluster": "lsrc-1 <&>"}',
}
"""Those of them that are no text in values.yaml, as the variable is written."""

RENEWAL = {"token": {"schedule": "17 3 * * *"}}

COMPANIONS: Mapping[str, Any] = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "somebody",
    "KAFKA_SASL_PASSWORD": "password",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "/etc/certificate.pem",
    "KAFKA_SSL_KEY_LOCATION": "/etc/key.pem",
    "RETRY_MAX_SECONDS": 3600,
    "SCHEMA_REGISTRY_URL": "https://registry:8081",
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "/etc/certificate.pem",
}
"""Settings that others require beside them."""

_USER = ("SCHEMA_REGISTRY_USERNAME", "SCHEMA_REGISTRY_PASSWORD")
_CLIENT = tuple(f"SCHEMA_REGISTRY_OAUTH_{part}" for part in ("TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET"))
LOGINS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_USER, _USER),
    **dict.fromkeys((*_CLIENT, "SCHEMA_REGISTRY_OAUTH_SCOPE"), _CLIENT),
}
"""Of the registry's logins, of which there is one, the settings that make each of them."""

SECRET_BY_VALUE = ("SCHEMA_REGISTRY_URL", "SCHEMA_REGISTRY_HEADERS")
"""An address that holds a password, and headers, any of which may be a login."""

SECRETS = [doc.name for doc in describe() if doc.secret and doc.name not in TOKEN]
"""Of the connector's own pods."""

VARIABLES = [doc.name for doc in describe() if doc.name not in {*NO_VALUE, *TOKEN, "EVENT_MAPPING"}]
"""The mapping arrives as a file: `test_mapping.py`."""


def sample(variable: str) -> Any:
    """Another value than the default, as a values file would have it."""
    if variable in SAMPLES:
        return SAMPLES[variable]
    field = json_schema()["properties"][variable]
    kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
    if choice := [value for value in field.get("enum", []) if value not in (None, field.get("default"))]:
        return choice[-1]
    if kind in ("integer", "number"):
        # The largest is also the one most likely to be written as 1e+12.
        return field["maximum"]
    assert "const" in field or len(field.get("enum", [])) == 1, f"{variable} has no sample: add one"
    return field.get("const", field.get("default"))


def needed_by(variable: str) -> dict[str, Any]:
    """What a setting requires beside it."""
    return {**COMPANIONS, **{name: sample(name) for name in LOGINS.get(variable, ())}}


def loaded(objects: Objects) -> Settings:
    """The settings of the rendered environment, by the connector's own reading."""
    return load(objects.environment())


def effective(settings: Settings) -> dict[str, Any]:
    """Every setting, and what follows from several of them or from whether they are set."""
    follows = [name for name, member in vars(Settings).items() if isinstance(member, property)]
    return {name: getattr(settings, name) for name in (*Settings.model_fields, *follows)}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_value_arrives_as_the_setting_that_it_names(chart: Chart, variable: str) -> None:
    """A key misspelt in the template, a number written as 1e+08, a list joined wrongly, a text that YAML bends."""
    value = sample(variable)
    wanted = {**needed_by(variable), **SAMPLES_NEEDED, variable: value}
    objects = chart.render(values=nested(wanted) | {"resources": {"limits": {"memory": "2000Gi"}}})
    direct = {name: AS_TEXT.get(name, str(given)) for name, given in wanted.items()}
    direct["KAFKA_BOOTSTRAP_SERVERS"] = ",".join(as_list(wanted["KAFKA_BOOTSTRAP_SERVERS"]))
    direct["KAFKA_TOPICS"] = ",".join(wanted["KAFKA_TOPICS"])
    assert effective(loaded(objects)) == effective(load(direct))


@pytest.mark.parametrize("variable", sorted(TOKEN))
def test_a_value_for_the_token_arrives_where_it_is_renewed_and_nowhere_else(chart: Chart, variable: str) -> None:
    """The client secret opens more than profiles: the connector's own pods must not have it."""
    wanted = {**SAMPLES_NEEDED, "TARGET_TENANT": "acme", "TARGET_TOKEN_CLIENT_ID": "id"}
    wanted |= {} if variable == f"{SECRET}_FILE" else {SECRET: "secret"}
    wanted[variable] = sample(variable)
    objects = chart.render(values=nested(wanted) | RENEWAL)
    (container,) = objects.renewal["containers"]
    environment = objects.environment(container=container)
    assert environment.keys() <= TOKEN
    direct = {name: str(value) for name, value in wanted.items() if name in TOKEN}
    assert effective(load_part(environment, NAMES, [])) == effective(load_part(direct, NAMES, []))
    assert not TOKEN & objects.environment().keys()


SAMPLES_NEEDED: Mapping[str, Any] = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "KAFKA_TOPICS": ["profile-changes"],
    "TARGET_CLIENT_CODE": "acmeinc",
}


def as_list(value: Any) -> list[str]:
    """One server or several."""
    return [value] if isinstance(value, str) else value


def test_without_values_the_connectors_own_defaults_hold(chart: Chart) -> None:
    """A default written twice would diverge, and docs/settings.md would be wrong in a cluster."""
    objects = chart.render("minimal")
    needed = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "KAFKA_TOPICS": "profile-changes",
        "TARGET_CLIENT_CODE": "acmeinc",
    }
    assert effective(loaded(objects)) == effective(load(needed))


def test_what_the_issue_promises_is_enough(chart: Chart) -> None:
    """Three `--set` and no file: the first command of a new user."""
    sets = ["kafka.bootstrapServers=broker-1:9092", "kafka.topics={one,two}", "target.clientCode=acmeinc"]
    assert loaded(chart.render(sets=sets)).kafka_topics == ("one", "two")


@pytest.mark.parametrize("page", [ROOT / "docs" / "kubernetes.md", CHART / "README.md"], ids=lambda page: page.name)
def test_the_install_command_of_the_docs_is_enough(chart: Chart, page: Path) -> None:
    """It is copied as it stands, into a shell that interprets braces."""
    (command,) = re.findall(r"^helm install (?:.*\\\n)*.*$", page.read_text(), re.MULTILINE)
    words = shlex.split(command)
    sets = [word for before, word in itertools.pairwise(words) if before == "--set"]
    assert words[:4] == ["helm", "install", "profiles", "helm/target-profile-connector"]
    assert loaded(chart.render(sets=sets)).kafka_topics == ("profile-changes",)
    assert all("'" in line for line in command.splitlines() if "{" in line)


@pytest.mark.parametrize("number", ["104857600", "1099511627776", "1048576"])
def test_a_large_number_stays_a_number_however_it_is_given(chart: Chart, number: str) -> None:
    """`--set` brings an integer and a file a float, which a template that only quotes writes as 1.048576e+08."""
    room = "resources.limits.memory=2000Gi"
    for objects in (
        chart.render("minimal", sets=[room, f"coalesce.maxBytes={number}"]),
        chart.render("minimal", sets=[room], values={"coalesce": {"maxBytes": int(number)}}),
    ):
        assert objects.environment()["COALESCE_MAX_BYTES"] == number


@pytest.mark.parametrize("number", ["0.25", "11.57", "3600"])
def test_a_number_with_a_fraction_can_be_set(chart: Chart, number: str) -> None:
    """`--set` makes a text of it; a schema of numbers alone would force a values file."""
    settings = loaded(chart.render("minimal", sets=[f"coalesce.lingerSeconds={number}"]))
    assert settings.coalesce_linger_seconds == float(number)


@pytest.mark.parametrize(
    "variable", [*(doc.name for doc in describe() if doc.secret and doc.name not in TOKEN), *SECRET_BY_VALUE]
)
def test_secrets_go_into_the_secret_and_nowhere_else(chart: Chart, variable: str) -> None:
    """A ConfigMap is readable by everybody who may list it; the settings model says what is secret."""
    beside = needed_by(variable)
    objects = chart.render(values=nested({**SAMPLES_NEEDED, **beside, variable: sample(variable)}))
    assert variable in objects.of("Secret")["data"]
    assert set(objects.of("Secret")["data"]) <= {"KAFKA_SASL_PASSWORD", variable, *LOGINS.get(variable, ())}
    assert variable not in objects.of("ConfigMap")["data"]
    text = json.dumps([one for one in objects if one["kind"] != "Secret"])
    assert json.dumps(AS_TEXT.get(variable, sample(variable))) not in text


@pytest.mark.parametrize("name", ["client.secret", "ssl.key.pem", "sasl.jaas.config", "x.PASSWORD", "bearer.token"])
def test_further_properties_are_secret_when_one_of_them_is(chart: Chart, name: str) -> None:
    """Names that the connector masks in its log must not be readable in a ConfigMap."""
    assert is_secret(name)
    objects = chart.render("minimal", values={"kafka": {"properties": {name: "hidden", "linger.ms": 5}}})
    assert "KAFKA_PROPERTIES" not in objects.of("ConfigMap")["data"]
    assert json.loads(objects.environment()["KAFKA_PROPERTIES"]) == {name: "hidden", "linger.ms": 5}


def test_nothing_secret_makes_no_secret(chart: Chart) -> None:
    """An empty Secret would be a needless object."""
    assert "Secret" not in chart.render("minimal").kinds()


@pytest.mark.parametrize("named", ["minimal", "everything", "statefulset"])
def test_the_values_of_ci_are_settings_that_the_connector_takes(chart: Chart, named: str) -> None:
    """Users copy from them."""
    assert loaded(chart.render(named)).target_client_code == NEEDED["target"]["clientCode"]


def test_null_leaves_a_setting_to_the_connector(chart: Chart) -> None:
    """`--set logging.format=null` must remove the variable, and not set it to a text."""
    values = {"logging": {"format": "console"}}
    assert chart.render("minimal", values=values).environment()["LOG_FORMAT"] == "console"
    assert "LOG_FORMAT" not in chart.render("minimal", values=values, sets=["logging.format=null"]).environment()
