"""A wrong value is refused before the install, with its name and the remedy."""

import json
import re
from typing import Any

import pytest

from connector.settings import BadSettings, load
from connector.settings.conflicts import CLASSIC_ONLY
from connector.settings.properties import OWN_VARIABLE, REFUSED
from scripts.chart import NO_VALUE, place
from tests.support.chart import NEEDED, Chart, Refused, nested

LEAST = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_TOPICS": "profile-changes", "TARGET_CLIENT_CODE": "acmeinc"}
LOGIN = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "PLAIN"}
REGISTRY = {"SCHEMA_REGISTRY_URL": "https://registry"}
TLS = {"KAFKA_SECURITY_PROTOCOL": "ssl"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("kafka.tpoics={a}", ["/kafka'", "'tpoics' not allowed"]),
        ("kafak.topics={a}", ["'kafak' not allowed"]),
        ("replicas=2", ["'replicas' not allowed"]),
        ("kafka.topics=a", ["/kafka/topics'", "got string, want array"]),
        ("kafka.topics={}", ["/kafka/topics/0'", "minLength"]),
        ("kafka.topics={a,b,a}", ["/kafka/topics'", "items at 0 and 2 are equal"]),
        (r"kafka.properties.session\.timeout\.ms=10 s", ["/kafka/properties/session.timeout.ms'", "not match pattern"]),
        (r"kafka.properties.max\.poll\.interval\.ms=true", ["/kafka/properties/max.poll.interval.ms'", "want integer"]),
        (r"kafka.properties.isolation\.level=dirty", ["/kafka/properties/isolation.level'", "'read_committed'"]),
        ("kafka.properties.client.id=mine", ["/kafka/properties/client'", "got object"]),
        ("kafka.bootstrapServers=", ["/kafka/bootstrapServers'", "minLength"]),
        ("kafka.topics={a b}", ["/kafka/topics/0'", "does not match pattern"]),
        ("kafka.bootstrapServers=kafka", ["/kafka/bootstrapServers'", "does not match pattern"]),
        ("target.clientCode=a_b", ["/target/clientCode'", "does not match pattern"]),
        ("target.baseUrl=proxy", ["/target/baseUrl'", "does not match pattern"]),
        ("kafka.groupId=null", ["/kafka'", "missing property 'groupId'"]),
        ("kafka.securityProtocol=tls", ["/kafka/securityProtocol'", "'sasl_ssl'"]),
        ("target.clientCode=5", ["/target/clientCode'", "got number, want string"]),
        ("retry.maxAttempts=many", ["/retry/maxAttempts'", "got string, want integer"]),
        ("retry.maxAttempts=0", ["/retry/maxAttempts'", "want 1"]),
        ("coalesce.lingerSeconds=long", ["/coalesce/lingerSeconds'", "does not match pattern"]),
        ("coalesce.lingerSeconds=86400", ["/coalesce/lingerSeconds'", "want 3,600"]),
        ("logging.level=loud", ["/logging/level'", "'debug', 'info', 'warning', 'error'"]),
        ("ops.port=0", ["/ops/port'", "want 1"]),
        ("event.mapping.version=1", ["/event/mapping'", "missing property 'sources'"]),
        ("event.format=csv", ["/event/format'", "'cloudevents'"]),
        ("schemaRegistry.headers=a", ["/schemaRegistry/headers'", "want object"]),
        ("image.digest=sha256:1", ["/image/digest'"]),
        ("workload.kind=DaemonSet", ["/workload/kind'", "'Deployment', 'StatefulSet'"]),
        ("keda.minReplicas=0", ["/keda/minReplicas'", "want 1"]),
        ("livenessProbe.httpGet=x", ["/livenessProbe'", "'httpGet' not allowed"]),
        ("podDisruptionBudget.minAvailable=1", ["'minAvailable' not allowed"]),
    ],
)
def test_a_value_outside_the_schema_is_refused_by_its_place(chart: Chart, given: str, said: list[str]) -> None:
    """A typo that passes becomes a pod that runs with a default, unnoticed for weeks."""
    message = chart.refusal(given).replace("3600", "3,600")
    assert all(part in message for part in said), message


def test_what_is_needed_is_named_together(chart: Chart) -> None:
    """One install names all missing values, not one at a time."""
    with pytest.raises(Refused) as refused:
        chart.text()
    for name in ("bootstrapServers", "topics", "clientCode"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["coalesce.maxBytes=2147483648"],
            "resources.limits.memory: 768Mi is less than coalesce.maxBytes, 2147483648, and the 150 MB",
        ),
        (
            ["coalesce.unchangedSeconds=86400", "coalesce.unchangedMaxVisitors=1000000"],
            "1,000 bytes for each of coalesce.unchangedMaxVisitors, 1000000, and the 150 MB",
        ),
        (["resources.limits.memory=0.4G"], "resources.limits.memory: 0.4G is less than coalesce.maxBytes"),
        (
            ["keda.enabled=true", "kafka.securityProtocol=ssl", "kafka.sslCaLocation=/ca"],
            "keda.authenticationRef: needed with kafka.sslCaLocation",
        ),
        (["workload.staticMembership=true"], "workload.staticMembership: needs workload.kind StatefulSet"),
        (["terminationGracePeriodSeconds=29"], "terminationGracePeriodSeconds: 29 is less than"),
        (["terminationGracePeriodSeconds=60", "shutdown.graceSeconds=55.5"], "and 5 more, 61"),
        (["ops.host=127.0.0.1"], "ops.host: at 127.0.0.1 no probe reaches"),
        (
            ["event.mapping=x", "event.existingMappingConfigMap=y"],
            "event.mapping: event.existingMappingConf",
        ),
        (
            ["event.mappingFile=x", "event.existingMappingConfigMap=y"],
            "event.mappingFile: event.existing",
        ),
        (["keda.enabled=true", "keda.minReplicas=5"], "keda.minReplicas: 5 is above keda.maxReplicas, 4"),
        (["strimzi.enabled=true"], "strimzi.cluster: needed with strimzi.enabled"),
        (["strimzi.enabled=true", "strimzi.cluster=a", "strimzi.replicas=1"], "strimzi.minInSyncReplicas: above"),
        (["podMonitor.enabled=true", "serviceMonitor.enabled=true"], "serviceMonitor.enabled: podMonitor.enabled is"),
        (
            [
                *("keda.enabled=true", "kafka.securityProtocol=sasl_ssl", "kafka.saslMechanism=PLAIN"),
                "extraEnvFrom[0].secretRef.name=mine",
            ],
            "keda.authenticationRef: needed, since the password is neither",
        ),
        (
            ["keda.enabled=true", "kafka.securityProtocol=sasl_ssl", "kafka.saslMechanism=OAUTHBEARER"],
            "keda.authenticationRef: needed with kafka.saslMechanism OAUTHBEARER",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_the_reason(chart: Chart, given: list[str], said: str) -> None:
    """Each of them renders and fails in the cluster, some only at the first rollout or the first SIGKILL."""
    assert said in chart.refusal(*given)


def test_the_shortest_grace_time_that_is_taken_is_taken(chart: Chart) -> None:
    """The bound is inclusive: 30 is Kubernetes' own default, and fits the connector's 25."""
    assert chart.render("minimal", sets=["terminationGracePeriodSeconds=30"]).pod["terminationGracePeriodSeconds"] == 30
    assert chart.render(values=dict(NEEDED)).pod["terminationGracePeriodSeconds"] == 40


@pytest.mark.parametrize(
    "sets", [["resources.limits.memory=1.5Gi"], ["resources.limits=null"], ["resources.limits.memory=1000000000"]]
)
def test_a_memory_limit_that_holds_or_is_not_there_is_taken(chart: Chart, sets: list[str]) -> None:
    """Kubernetes writes a quantity in many ways; one that is read wrongly would refuse a good release."""
    assert chart.render("minimal", sets=sets).workload


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"EVENT_MAX_AGE_SECONDS": 1}, "event.maxAgeSeconds: it must be above coalesce.lingerSeconds, 1"),
        ({"QUOTA_LOW_SHARE": 0.9, "QUOTA_NORMAL_SHARE": 0.8}, "quota.lowShare: it is above quota.normalShare, 0.8"),
        ({"RETRY_INITIAL_SECONDS": 100}, "retry.initialSeconds: 100 is above retry.maxSeconds, 60"),
        (
            {"TARGET_AUTH_TOKEN": "a", "TARGET_AUTH_TOKEN_FILE": "/b"},
            "target.authToken: target.authTokenFile is set too",
        ),
        ({"KAFKA_DEAD_LETTER_TOPIC": "profile-changes"}, "kafka.deadLetterTopic: it is also one of kafka.topics"),
        ({"QUOTA_TOPIC": "profile-changes"}, "quota.topic: it is also one of kafka.topics"),
        ({"QUOTA_TOPIC": "a", "KAFKA_DEAD_LETTER_TOPIC": "a"}, "quota.topic: it is also kafka.deadLetterTopic"),
        ({"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}, "kafka.saslMechanism: needed with kafka.securityProtocol sasl_ssl"),
        ({**LOGIN, "KAFKA_SASL_PASSWORD": "hush"}, "kafka.saslUsername: needed with kafka.saslMechanism PLAIN"),
        ({**LOGIN, "KAFKA_SASL_USERNAME": "me"}, "kafka.saslPassword: needed with kafka.saslMechanism PLAIN"),
        ({**TLS, "KAFKA_SSL_KEY_LOCATION": "/k"}, "kafka.sslCertificateLocation: needed with kafka.sslKeyLocation"),
        ({**TLS, "KAFKA_SSL_CERTIFICATE_LOCATION": "/c"}, "kafka.sslKeyLocation: needed with kafka.sslCertificateLoc"),
        ({**TLS, "KAFKA_SSL_KEY_PASSWORD": "hush"}, "kafka.sslKeyLocation: needed with kafka.sslKeyPassword"),
        (
            {"KAFKA_GROUP_ID": "my group"},
            'kafka.deadLetterTopic: its default, "my group.dead-letter", is no topic name',
        ),
        (
            {"KAFKA_GROUP_ID": "my group", "KAFKA_DEAD_LETTER_TOPIC": "letters"},
            'quota.topic: its default, "my group.quota", is no topic name: set it, or another kafka.groupId',
        ),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "kafka.saslMechanism: it has no effect while kafka.securityProtocol is"),
        ({"KAFKA_SASL_USERNAME": "me"}, "kafka.saslUsername: it has no effect"),
        ({"KAFKA_SSL_CA_LOCATION": "/ca"}, "kafka.sslCaLocation: it has no effect"),
        ({"EVENT_MAPPING": "x", "EVENT_MAPPING_FILE": "/m"}, "event.mapping: event.mappingFile is set too"),
        ({"EVENT_FORMAT": "avro"}, "schemaRegistry.url: needed with event.format avro"),
        ({"SCHEMA_REGISTRY_TOKEN": "t"}, "schemaRegistry.token: it has no effect without schemaRegistry.url"),
        (
            {**REGISTRY, "SCHEMA_REGISTRY_USERNAME": "me"},
            "schemaRegistry.password: needed with schemaRegistry.u",
        ),
        ({**REGISTRY, "SCHEMA_REGISTRY_OAUTH_SCOPE": "a"}, "schemaRegistry.oauthTokenUrl: needed with schemaRegistry."),
        (
            {**REGISTRY, "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": "hush"},
            "schemaRegistry.sslCertificateLocation: needed with schemaRegistry.sslKeyPassword",
        ),
        (
            {**REGISTRY, "SCHEMA_REGISTRY_TOKEN": "t", "SCHEMA_REGISTRY_TOKEN_FILE": "/t"},
            "schemaRegistry.tokenFile: schemaRegistry.token is set too: the registry takes one login",
        ),
    ],
)
def test_settings_that_the_connector_would_refuse_together_are_refused_before(
    chart: Chart, variables: dict[str, Any], said: str
) -> None:
    """Otherwise the upgrade passes and its pods do not start. What the connector would take is not refused here."""
    with pytest.raises(Refused, match=re.escape(said)):
        chart.text("minimal", values=nested(variables))
    with pytest.raises(BadSettings):
        load({**LEAST, **{name: str(value) for name, value in variables.items()}})


@pytest.mark.parametrize("name", [*OWN_VARIABLE, *REFUSED, "error_cb", "logger", "test.mock.num.brokers"])
def test_a_property_that_the_connector_would_refuse_is_refused_before(chart: Chart, name: str) -> None:
    """The reason is the connector's own, with the value to set in the place of the variable."""
    with pytest.raises(BadSettings):
        load({**LEAST, "KAFKA_PROPERTIES": json.dumps({name: "true"})})
    said = chart.refusal(rf"kafka.properties.{name.replace('.', chr(92) + '.')}=true")
    assert f"kafka.properties: {name} " in said
    if variable := OWN_VARIABLE.get(name):
        assert NO_VALUE.get(variable, ".".join(place(variable))) in said
    else:
        assert f"{name} is refused: " in said
        assert REFUSED.get(name, "") in said


@pytest.mark.parametrize("name", CLASSIC_ONLY)
def test_a_property_of_the_classic_protocol_is_refused_with_the_other(chart: Chart, name: str) -> None:
    """With it the brokers decide, and librdkafka would not even make a consumer."""
    value = chart.refusal("kafka.groupProtocol=consumer", rf"kafka.properties.{name.replace('.', chr(92) + '.')}=6000")
    assert f"kafka.properties: {name} is the broker's to set when kafka.groupProtocol is consumer" in value


@pytest.mark.parametrize(
    "values",
    [
        {"groupId": "my group", "deadLetterTopic": "letters", "quota": {"topic": "spent"}},
        {"groupId": "my group", "deadLetterTopic": "", "quota": {"updates": 0}},
        {"properties": {"session.timeout.ms": 6000, "max.poll.interval.ms": "60000", "client.id": "mine"}},
        {"properties": {"isolation.level": "read_committed", "linger.ms": 100, "compression.type": "none"}},
    ],
)
def test_what_the_connector_takes_is_not_refused(chart: Chart, values: dict[str, Any]) -> None:
    """A rule that is stricter here than in the connector would refuse a valid setting."""
    kafka = dict(values)
    objects = chart.render("minimal", values={"quota": kafka.pop("quota", {}), "kafka": kafka})
    assert load(objects.environment()).kafka_topics == ("profile-changes",)


def test_what_may_come_from_elsewhere_is_not_missed(chart: Chart) -> None:
    """A login whose mechanism is in the user's own Secret is complete."""
    sets = ["kafka.securityProtocol=sasl_ssl", "secret.existingSecret=mine"]
    assert chart.render("minimal", sets=sets).workload
