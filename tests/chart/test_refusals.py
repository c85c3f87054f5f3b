"""A wrong value is refused before anything is installed, by its name and with what would be right."""

import pytest

from tests.support.chart import NEEDED, Chart, Refused


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("kafka.tpoics={a}", ["/kafka'", "'tpoics' not allowed"]),
        ("kafak.topics={a}", ["'kafak' not allowed"]),
        ("replicas=2", ["'replicas' not allowed"]),
        ("kafka.topics=a", ["/kafka/topics'", "got string, want array"]),
        ("kafka.topics={}", ["/kafka/topics/0'", "minLength"]),
        ("kafka.bootstrapServers=", ["/kafka/bootstrapServers'", "minLength"]),
        ("kafka.groupId=null", ["/kafka'", "missing property 'groupId'"]),
        ("kafka.securityProtocol=tls", ["/kafka/securityProtocol'", "'sasl_ssl'"]),
        ("target.clientCode=5", ["/target/clientCode'", "got number, want string"]),
        ("retry.maxAttempts=many", ["/retry/maxAttempts'", "got string, want integer"]),
        ("retry.maxAttempts=0", ["/retry/maxAttempts'", "want 1"]),
        ("coalesce.lingerSeconds=long", ["/coalesce/lingerSeconds'", "does not match pattern"]),
        ("coalesce.lingerSeconds=86400", ["/coalesce/lingerSeconds'", "want 3,600"]),
        ("logging.level=loud", ["/logging/level'", "'debug', 'info', 'warning', 'error'"]),
        ("ops.port=0", ["/ops/port'", "want 1"]),
        ("image.digest=sha256:1", ["/image/digest'"]),
        ("workload.kind=DaemonSet", ["/workload/kind'", "'Deployment', 'StatefulSet'"]),
        ("keda.minReplicas=0", ["/keda/minReplicas'", "want 1"]),
        ("livenessProbe.httpGet=x", ["/livenessProbe'", "'httpGet' not allowed"]),
        ("podDisruptionBudget.minAvailable=1", ["'minAvailable' not allowed"]),
    ],
)
def test_a_value_outside_the_schema_is_refused_by_its_place(chart: Chart, given: str, said: list[str]) -> None:
    """A typo that passes becomes a pod that runs with a default, which nobody notices for weeks."""
    message = chart.refusal(given).replace("3600", "3,600")
    assert all(part in message for part in said), message


def test_what_is_needed_is_named_together(chart: Chart) -> None:
    """One install, one correction: not one for each of them."""
    with pytest.raises(Refused) as refused:
        chart.text()
    for name in ("bootstrapServers", "topics", "clientCode"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["workload.staticMembership=true"], "workload.staticMembership: needs workload.kind StatefulSet"),
        (["terminationGracePeriodSeconds=29"], "terminationGracePeriodSeconds: 29 is less than"),
        (["terminationGracePeriodSeconds=60", "shutdown.graceSeconds=55.5"], "and 5 more, 61"),
        (["ops.host=127.0.0.1"], "ops.host: at 127.0.0.1 no probe reaches"),
        (["keda.enabled=true", "keda.minReplicas=5"], "keda.minReplicas: 5 is above keda.maxReplicas, 4"),
        (["strimzi.enabled=true"], "strimzi.cluster: needed with strimzi.enabled"),
        (["strimzi.enabled=true", "strimzi.cluster=a", "strimzi.replicas=1"], "strimzi.minInSyncReplicas: above"),
        (["podMonitor.enabled=true", "serviceMonitor.enabled=true"], "serviceMonitor.enabled: podMonitor.enabled is"),
        (
            ["keda.enabled=true", "kafka.securityProtocol=sasl_ssl", "kafka.saslMechanism=PLAIN"],
            "keda.authenticationRef: needed, since the password is neither",
        ),
        (
            ["keda.enabled=true", "kafka.securityProtocol=sasl_ssl", "kafka.saslMechanism=OAUTHBEARER"],
            "keda.authenticationRef: needed with kafka.saslMechanism OAUTHBEARER",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_the_reason(chart: Chart, given: list[str], said: str) -> None:
    """Each of them renders well and fails in the cluster, some only at the first rollout or the first SIGKILL."""
    assert said in chart.refusal(*given)


def test_the_shortest_grace_time_that_is_taken_is_taken(chart: Chart) -> None:
    """The bound is inclusive: 30 is Kubernetes' own default, and fits the connector's 25."""
    assert chart.render("minimal", sets=["terminationGracePeriodSeconds=30"]).pod["terminationGracePeriodSeconds"] == 30
    assert chart.render(values=dict(NEEDED)).pod["terminationGracePeriodSeconds"] == 40
