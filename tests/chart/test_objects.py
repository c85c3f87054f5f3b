"""What the chart renders behaves in a cluster as it must: rollouts, scaling, restarts, selectors, security."""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import __version__
from connector.cli import verify
from connector.service import ledger_topic, quota_policy
from connector.settings import load
from tests.support.chart import NAMED, Chart, Objects
from tests.support.chart_tools import CHART

OPTIONAL = {
    "keda": ["ScaledObject"],
    "networkPolicy": ["NetworkPolicy"],
    "podMonitor": ["PodMonitor"],
    "serviceMonitor": ["ServiceMonitor"],
    "podDisruptionBudget": ["PodDisruptionBudget"],
    "strimzi": ["KafkaTopic"],
    "tests": ["Pod"],
}
"""Part that a value switches to what it renders."""


def test_everything_on_renders_every_kind_that_there_is(chart: Chart) -> None:
    """No tool checks a part that no values file of `ci` enables."""
    rendered = chart.render("everything").kinds() | chart.render("statefulset").kinds()
    named = {
        line.split()[1]
        for path in (CHART / "templates").rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("kind: ") and "{{" not in line
    }
    assert named <= rendered
    assert {"Deployment", "StatefulSet", "TriggerAuthentication"} <= rendered


@pytest.mark.parametrize("part", OPTIONAL)
def test_a_part_is_there_only_when_it_is_switched_on(chart: Chart, part: str) -> None:
    """A custom resource without its operator's definitions fails the install."""
    needs = {"strimzi": {"cluster": "main"}}.get(part, {})
    on = chart.render("minimal", values={part: {"enabled": True, **needs}}).kinds()
    off = chart.render("minimal", values={part: {"enabled": False}}).kinds()
    assert on - off == set(OPTIONAL[part])


@pytest.mark.parametrize("named", NAMED)
def test_every_object_has_the_labels_of_the_release(chart: Chart, named: str) -> None:
    """Labels are how operators find and delete related objects; those of the values come on top."""
    values = {"commonLabels": {"cost-centre": "42", "app.kubernetes.io/instance": "stolen"}, "extraObjects": []}
    for one in chart.render(named, values=values):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "x", one["kind"]
        assert labels["cost-centre"] == "42", one["kind"]


@pytest.mark.parametrize("named", NAMED)
def test_nothing_immutable_follows_a_value(chart: Chart, tmp_path: Path, named: str) -> None:
    """A cluster refuses an upgrade that changes one of these; only a reinstall, with downtime, would help."""
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(re.sub(r"(?m)^(version|appVersion): .+", r'\1: "9.9.9"', text))
    values = {
        "commonLabels": {"a": "b"},
        "podLabels": {"app.kubernetes.io/name": "stolen"},
        "service": {"annotations": {"a": "b"}},
        "ops": {"port": 9999},
    }
    before, after = chart.render(named), chart.render(named, values=values, chart=newer)
    assert immutable(before) == immutable(after)
    assert after.workload["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "target-profile-connector",
        "app.kubernetes.io/instance": "x",
        "app.kubernetes.io/component": "connector",
    }
    wanted = after.workload["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= after.workload["spec"]["template"]["metadata"]["labels"].items()


def immutable(objects: Objects) -> Any:
    """What cannot be changed in a living object."""
    spec = objects.workload["spec"]
    return (
        [
            objects.workload["metadata"]["name"],
            spec["selector"],
            spec.get("serviceName"),
            spec.get("podManagementPolicy"),
        ],
        [objects.of("Service")["metadata"]["name"], objects.of("Service")["spec"]["clusterIP"]],
    )


def test_the_pod_of_helm_test_is_none_of_the_connectors(chart: Chart) -> None:
    """A selector that included it would scrape it, count it in the disruption budget, and route to it."""
    objects = chart.render("everything")
    tested = objects.of("Pod")["metadata"]["labels"].items()
    for selector in (
        objects.workload["spec"]["selector"]["matchLabels"],
        objects.of("Service")["spec"]["selector"],
        objects.of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        objects.of("PodMonitor")["spec"]["selector"]["matchLabels"],
    ):
        assert not selector.items() <= tested
    assert objects.of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= tested


def test_helm_test_and_the_init_check_run_as_the_connector_does(chart: Chart) -> None:
    """A check with other settings, rights or volumes says nothing about the connector."""
    objects = chart.render("everything")
    connector = objects.container()
    for check in (objects.container("check"), objects.of("Pod")["spec"]["containers"][0]):
        assert check["args"] == ["check"]
        for part in ("image", "env", "envFrom", "securityContext", "volumeMounts", "resources"):
            assert check[part] == connector[part], part
    assert objects.of("Pod")["spec"]["volumes"] == objects.pod["volumes"]
    assert objects.of("Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_a_rollout_never_has_one_pod_more(chart: Chart) -> None:
    """A surging pod gets its partitions only from the pod that it replaces: each would wait for the other."""
    strategy = chart.render("minimal").workload["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    recreate = chart.render("minimal", sets=["workload.strategy=Recreate"]).workload["spec"]["strategy"]
    assert recreate == {"type": "Recreate"}


@pytest.mark.parametrize("named", NAMED)
def test_a_rollout_waits_for_the_group(chart: Chart, named: str) -> None:
    """A pod is ready before it has partitions: the next one would have to commit in the middle of a rebalance."""
    assert chart.render(named).workload["spec"]["minReadySeconds"] == 10
    assert chart.render(named, sets=["workload.minReadySeconds=0"]).workload["spec"]["minReadySeconds"] == 0


def test_a_stateful_set_has_static_members_that_start_together(chart: Chart) -> None:
    """Without a name of its own each restart moves partitions twice; one after the other, three pods take minutes."""
    objects = chart.render("statefulset")
    spec = objects.workload["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["serviceName"] == objects.of("Service")["metadata"]["name"]
    assert objects.of("Service")["spec"]["clusterIP"] == "None"
    assert objects.environment(pod="x-7")["KAFKA_GROUP_INSTANCE_ID"] == "x-7"
    assert "strategy" not in spec


def test_static_membership_can_be_left_out(chart: Chart) -> None:
    """With static members, each scale-down waits for the session of the pods that went."""
    objects = chart.render("statefulset", sets=["workload.staticMembership=false"])
    assert "KAFKA_GROUP_INSTANCE_ID" not in objects.environment()
    assert "KAFKA_GROUP_INSTANCE_ID" not in chart.render("minimal").environment()


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_an_autoscaler_owns_the_number_of_replicas(chart: Chart, kind: str) -> None:
    """With the number in the manifest each upgrade would throw the autoscaler's own away."""
    sets = [f"workload.kind={kind}", "replicaCount=3"]
    assert chart.render("minimal", sets=sets).workload["spec"]["replicas"] == 3
    scaled = chart.render("minimal", sets=[*sets, "keda.enabled=true"])
    assert "replicas" not in scaled.workload["spec"]
    assert scaled.of("ScaledObject")["spec"]["scaleTargetRef"]["kind"] == kind


def test_keda_follows_each_topic_with_the_connectors_login(chart: Chart) -> None:
    """A trigger that cannot log in, or watches another group, scales by nothing and says so only in KEDA's log."""
    # Without an authority of its own, for which KEDA needs more than the connector's settings say.
    objects = chart.render("everything", values={"kafka": {"sslCaLocation": None}, "keda": {"authenticationRef": ""}})
    spec = objects.of("ScaledObject")["spec"]
    assert [trigger["metadata"]["topic"] for trigger in spec["triggers"]] == ["profile-changes", "till-changes"]
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["consumerGroup"] == objects.environment()["KAFKA_GROUP_ID"]
        assert trigger["metadata"]["bootstrapServers"] == objects.environment()["KAFKA_BOOTSTRAP_SERVERS"]
        assert trigger["metadata"] | {"sasl": "scram_sha512", "tls": "enable"} == trigger["metadata"]
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
    login = objects.of("TriggerAuthentication", "x-target-profile-connector")["spec"]
    assert login["configMapTargetRef"][0]["key"] in objects.of("ConfigMap", "x-target-profile-connector")["data"]
    (password,) = login["secretTargetRef"]
    assert password["key"] in objects.of("Secret", password["name"])["data"]
    assert spec["minReplicaCount"] >= 1
    assert (
        spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    )


def test_keda_finds_a_login_that_is_in_a_secret_of_yours(chart: Chart) -> None:
    """Then neither name nor password is in the values, and both come from the Secret's keys."""
    values = {
        "keda": {"enabled": True},
        "kafka": {"securityProtocol": "sasl_plaintext", "saslMechanism": "PLAIN"},
        "secret": {"existingSecret": "mine"},
    }
    login = chart.render("minimal", values=values).of("TriggerAuthentication")["spec"]
    assert "configMapTargetRef" not in login
    assert {(one["parameter"], one["name"], one["key"]) for one in login["secretTargetRef"]} == {
        ("username", "mine", "KAFKA_SASL_USERNAME"),
        ("password", "mine", "KAFKA_SASL_PASSWORD"),
    }


def test_keda_with_an_authority_of_its_own_takes_an_authentication_of_yours(chart: Chart) -> None:
    """The file to copy from must be one that connects: everything on means the brokers' authority too."""
    objects = chart.render("everything")
    names = {one["metadata"]["name"] for one in objects if one["kind"] == "TriggerAuthentication"}
    for trigger in objects.of("ScaledObject")["spec"]["triggers"]:
        assert {trigger["authenticationRef"]["name"]} == names
    parameters = {one["parameter"] for one in objects.of("TriggerAuthentication")["spec"]["secretTargetRef"]}
    assert parameters == {"username", "password", "ca"}


def test_the_pod_of_helm_test_is_what_the_connectors_is(chart: Chart) -> None:
    """A network policy by label, or a file from an init container: it must fail where the connector would."""
    objects = chart.render("everything")
    test, pod = objects.of("Pod"), objects.workload["spec"]["template"]
    assert test["metadata"]["labels"].items() >= {"tier": "backend", "app.kubernetes.io/component": "check"}.items()
    made = [one["name"] for one in pod["spec"]["initContainers"] if one["name"] != "check"]
    assert [one["name"] for one in test["spec"]["initContainers"]] == made == ["wait"]
    assert "hook-succeeded" not in test["metadata"]["annotations"]["helm.sh/hook-delete-policy"]


def test_keda_without_a_login_has_no_authentication(chart: Chart) -> None:
    """A reference to something that is not there stops the scaling."""
    objects = chart.render("minimal", sets=["keda.enabled=true"])
    (trigger,) = objects.of("ScaledObject")["spec"]["triggers"]
    assert "authenticationRef" not in trigger
    assert trigger["metadata"]["tls"] == "disable"
    own = ["keda.enabled=true", "kafka.securityProtocol=ssl", "keda.authenticationRef=mine"]
    (trigger,) = chart.render("minimal", sets=own).of("ScaledObject")["spec"]["triggers"]
    assert trigger["authenticationRef"] == {"name": "mine"}
    assert trigger["metadata"]["tls"] == "enable"


@pytest.mark.parametrize(
    "value", ["coalesce.lingerSeconds=7", "target.authToken=another", "kafka.properties.x\\.key=1"]
)
def test_a_changed_setting_makes_new_pods(chart: Chart, value: str) -> None:
    """A pod reads its variables once: without this an upgrade changes a ConfigMap and nothing else."""
    before, after = (
        objects.workload["spec"]["template"]["metadata"]["annotations"]
        for objects in (chart.render("minimal"), chart.render("minimal", sets=[value]))
    )
    assert before != after


def test_a_newer_chart_alone_makes_no_new_pods(chart: Chart, tmp_path: Path) -> None:
    """Every restart is a rebalance: an upgrade that changes nothing in a pod must not cause one."""
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(re.sub(r"\nversion: .+", "\nversion: 9.9.9", text))
    before, after = chart.render("minimal"), chart.render("minimal", chart=newer)
    assert before.workload["spec"]["template"] == after.workload["spec"]["template"]
    assert before.workload != after.workload


def test_probes_ask_for_what_they_are_for(chart: Chart) -> None:
    """Liveness is the heartbeat alone, since a restart causes a rebalance; readiness does not hold up a rollout."""
    container = chart.render("minimal", sets=["ops.port=9191"]).container()
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert all(container[f"{probe}Probe"]["timeoutSeconds"] == 5 for probe in ("startup", "liveness", "readiness"))
    assert container["ports"] == [{"name": "ops", "containerPort": 9191, "protocol": "TCP"}]


@pytest.mark.parametrize("named", NAMED)
def test_pods_meet_the_restricted_standard(chart: Chart, named: str) -> None:
    """What Pod Security admission asks for, of every container of every pod."""
    objects = chart.render(named)
    jobs = [one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in objects if one["kind"] == "CronJob"]
    for pod in (objects.pod, objects.of("Pod")["spec"], *jobs):
        # One job alone asks the API server: it writes the Secret of the token (`test_token.py`).
        assert pod["automountServiceAccountToken"] is pod["serviceAccountName"].endswith("-token")
        assert pod["enableServiceLinks"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 10_000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"]
        assert {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}} in pod["volumes"]


def test_the_job_of_verify_is_there_on_a_schedule_alone(chart: Chart) -> None:
    """One Pod at a time, with the release's settings and the command's own arguments; a finding is not tried again."""
    assert "CronJob" not in chart.render("minimal").kinds()
    values = {"verify": {"schedule": "0 6 * * *", "args": ["--hours", "72"]}}
    objects = chart.render("minimal", values=values)
    spec = objects.of("CronJob")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 6 * * *", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["verify", "--format", "json", "--publish", "--hours", "72"]
    parser = argparse.ArgumentParser()
    verify.add_parser(parser.add_subparsers())
    parser.parse_args(container["args"])
    assert container["envFrom"] == objects.container()["envFrom"]
    assert pod["restartPolicy"] == "Never"
    labels = job["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "verify", "the Service must not select it"


def test_a_cluster_that_chooses_the_user_can_be_left_to(chart: Chart) -> None:
    """OpenShift refuses a pod that names its user; null takes the default away, and the rest stays."""
    values = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
    context = chart.render("minimal", values=values).pod["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("sets", "ports"),
    [
        ([], [9092, 443]),
        (["kafka.bootstrapServers={a:9094,b:9094,c:9095}"], [9094, 9095, 443]),
        (["target.baseUrl=http://sandbox/"], [9092, 80]),
        (["target.baseUrl=https://proxy:8443/"], [9092, 8443]),
        (["networkPolicy.kafkaPorts={9093,9094}"], [9093, 9094, 443]),
    ],
)
def test_the_network_policy_lets_out_to_where_the_settings_point(
    chart: Chart, sets: list[str], ports: list[int]
) -> None:
    """A port that is not allowed looks like a broker that is down."""
    policy = chart.render("minimal", sets=["networkPolicy.enabled=true", *sets]).of("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    dns, *others = policy["egress"]
    assert [(rule["port"], rule["protocol"]) for rule in dns["ports"]] == [
        *((53, "UDP"), (53, "TCP")),
        *((5353, "UDP"), (5353, "TCP")),
    ]
    assert [rule["port"] for other in others for rule in other["ports"]] == ports


def test_the_topics_are_those_that_the_connector_uses(chart: Chart) -> None:
    """A topic of another name, or with a retention that deletes needed records, is worse than none."""
    values = {"strimzi": {"enabled": True, "cluster": "main"}, "kafka": {"groupId": "Profiles_1"}}
    topic = chart.render("minimal", values=values).of("KafkaTopic", "x-target-profile-connector-dead-letter")
    assert topic["spec"]["topicName"] == "Profiles_1.dead-letter"
    assert topic["metadata"]["labels"]["strimzi.io/cluster"] == "main"
    assert topic["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert topic["spec"]["config"]["retention.ms"] == str(30 * 86_400_000)
    stopping = values | {"kafka": {"deadLetterTopic": ""}, "quota": {"updates": 0}}
    assert "KafkaTopic" not in chart.render("minimal", values=stopping).kinds()


@pytest.mark.parametrize("window", [86_400, 3_600, 600, 10, 90.5, 2_678_400])
def test_the_topic_of_the_quota_is_one_that_the_connector_takes(chart: Chart, window: float) -> None:
    """The connector refuses a ledger with a short retention, and Strimzi would revert a manual correction."""
    values = {"strimzi": {"enabled": True, "cluster": "main"}, "quota": {"windowSeconds": window, "topic": "spent"}}
    objects = chart.render("minimal", values=values)
    topic = objects.of("KafkaTopic", "x-target-profile-connector-quota")["spec"]
    settings = load(objects.environment())
    terms = quota_policy(settings)
    assert terms is not None
    wanted = ledger_topic(settings.quota_topic or "", terms).configs
    assert (topic["topicName"], topic["partitions"]) == ("spent", 1)
    assert topic["config"] == {**wanted, "min.insync.replicas": "2"}


def test_only_one_release_makes_a_ledger_that_is_shared(chart: Chart) -> None:
    """Two KafkaTopics for one topic would overwrite each other for ever."""
    values = {"strimzi": {"enabled": True, "cluster": "main", "quota": {"enabled": False}}}
    objects = chart.render("minimal", values=values)
    assert [one["spec"]["topicName"] for one in objects if one["kind"] == "KafkaTopic"] == [
        "target-profile-connector.dead-letter"
    ]


def test_alerts_and_dashboard_go_in_as_they_are(chart: Chart, tmp_path: Path) -> None:
    """Their own templates, `{{ $labels.pod }}`, are for Prometheus and Grafana: helm must not touch them."""
    own = tmp_path / "own"
    shutil.copytree(CHART, own)
    group = {"name": "g", "rules": [{"alert": "A", "expr": "up == 0", "annotations": {"summary": "{{ $labels.pod }}"}}]}
    (own / "files" / "alerts.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    (own / "files" / "dashboard.json").write_text('{"title": "{{pod}}", "big": 1.0e9}')
    objects = chart.render("everything", values={"prometheusRule": {"runbookUrl": ""}}, chart=own)
    assert objects.of("PrometheusRule")["spec"] == {"groups": [group]}
    (text,) = objects.of("ConfigMap", "x-target-profile-connector-dashboard")["data"].values()
    assert json.loads(text) == {"title": "{{pod}}", "big": 1.0e9}


def test_each_alert_links_to_its_section_of_the_runbook(chart: Chart) -> None:
    """A missing anchor opens the top of the page."""
    page = (CHART.parents[1] / "docs" / "runbook.md").read_text()
    anchors = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    rules = [
        rule for group in chart.render("everything").of("PrometheusRule")["spec"]["groups"] for rule in group["rules"]
    ]
    links = [rule["annotations"]["runbook_url"].partition("#") for rule in rules if "alert" in rule]
    assert len(links) > 10
    assert {base for base, _, _ in links} == {"https://wiki.example.com/target-profile-connector/runbook"}
    assert {anchor for _, _, anchor in links} <= anchors


def test_extra_objects_are_templates(chart: Chart) -> None:
    """Related objects can be installed with the release, under its name."""
    values = {
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-a"}}]
    }
    assert chart.render("minimal", values=values).of("ConfigMap", "x-a")


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, f"target-profile-connector:{__version__}"),
        ({"image": {"repository": "r/c", "tag": "2"}}, "r/c:2"),
        ({"image": {"tag": "2", "digest": "sha256:" + "a" * 64}}, "target-profile-connector@sha256:" + "a" * 64),
    ],
)
def test_the_image_is_the_one_that_is_named(chart: Chart, values: dict[str, Any], image: str) -> None:
    """A digest pins what a tag only names."""
    assert chart.render("minimal", values=values).container()["image"] == image


@pytest.mark.parametrize("named", NAMED)
def test_a_long_name_of_a_release_fits(chart: Chart, named: str) -> None:
    """A Service's name has 63 letters at most, and a StatefulSet's pods add a revision to theirs in a label."""
    objects = chart.render(named, release="r" * 53)
    assert len(objects.of("Service")["metadata"]["name"]) <= 63
    assert len(objects.workload["metadata"]["name"]) <= 63 - len("-5d59d67564")
    assert all(len(one["metadata"]["name"]) <= 52 for one in objects if one["kind"] == "CronJob")
