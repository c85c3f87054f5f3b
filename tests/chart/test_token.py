"""The CronJob of `connector token`: off unless asked for, alone in its work, with no right beyond its own Secret."""

import re
from typing import Any

import pytest
import yaml

from tests.support.chart import Chart, Objects
from tests.support.chart_tools import CHART

VALUES: dict[str, Any] = {
    "token": {"schedule": "17 3 * * *"},
    "target": {"tenant": "acme", "tokenClientId": "0a1b2c", "tokenClientSecret": "p8e-hidden"},
}
NAME = "x-target-profile-connector-token"


def rendered(chart: Chart, **more: Any) -> Objects:
    """With the CronJob, and these values on top."""
    return chart.render("minimal", values={**VALUES, **more})


def test_without_a_schedule_there_is_nothing_of_it(chart: Chart) -> None:
    """A chart that asks for rights in a namespace that nobody needs is refused there."""
    assert not {"CronJob", "Job", "Role", "RoleBinding", "Secret"} & chart.render("minimal").kinds()
    assert "TARGET_TOKEN_URL" not in chart.text("minimal")


def test_it_runs_alone_at_its_time_and_at_once_after_an_install(chart: Chart) -> None:
    """Two at once would each have a token made, and each end the other's; without a first token no pod starts."""
    objects = rendered(chart, token={**VALUES["token"], "renewBeforeSeconds": 86_400, "timeZone": "Etc/UTC"})
    cron, job = objects.of("CronJob")["spec"], objects.of("Job")["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"]) == ("17 3 * * *", "Etc/UTC", "Forbid")
    assert cron["jobTemplate"]["spec"] == job
    (container,) = job["template"]["spec"]["containers"]
    assert container["args"] == ["token", "--secret", NAME, "--renew-before", "86400"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_it_may_change_its_own_secret_and_nothing_else(chart: Chart) -> None:
    """A stolen token of its service account reads one Secret; the connector's own account still has no right."""
    objects = rendered(chart)
    (rule,) = objects.of("Role")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["get", "patch"]}
    binding = objects.of("RoleBinding")
    assert binding["roleRef"]["name"] == objects.of("Role")["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = objects.renewal["serviceAccountName"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", account)
    assert account not in (objects.pod["serviceAccountName"], "default")
    assert objects.renewal["automountServiceAccountToken"] is True
    assert objects.pod["automountServiceAccountToken"] is False


def test_an_upgrade_leaves_the_token_in_its_secret(chart: Chart) -> None:
    """A key that the chart names, it also overwrites: the token would be gone until the next run."""
    assert rendered(chart).of("Secret", NAME).keys() == {"apiVersion", "kind", "metadata", "type"}


def test_the_connector_reads_what_it_writes(chart: Chart) -> None:
    """The key is the file's name; a mount by subPath would never change."""
    objects = rendered(chart, tests={"enabled": True}, initCheck={"enabled": True})
    folder, _, key = objects.environment()["TARGET_AUTH_TOKEN_FILE"].rpartition("/")
    assert key == "token"
    for pod in (objects.pod, objects.of("Pod")["spec"]):
        (volume,) = [one for one in pod["volumes"] if one.get("secret", {}).get("secretName") == NAME]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            (mount,) = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
            assert mount == {"name": volume["name"], "mountPath": folder, "readOnly": True}


def test_the_client_secret_is_in_no_pod_of_the_connector(chart: Chart) -> None:
    """Nor is Kafka's password in the pod that renews."""
    objects = rendered(chart, kafka={"securityProtocol": "sasl_ssl", "saslMechanism": "PLAIN", "saslUsername": "me",
                                     "saslPassword": "hush"})  # fmt: skip
    (container,) = objects.renewal["containers"]
    assert "TARGET_TOKEN_CLIENT_SECRET" not in objects.environment()
    assert "KAFKA_SASL_PASSWORD" not in objects.environment(container=container)
    assert objects.environment(container=container)["TARGET_TOKEN_CLIENT_SECRET"] == "p8e-hidden"
    own = rendered(chart, target={}, token={**VALUES["token"], "existingSecret": "mine"})
    (container,) = own.renewal["containers"]
    assert container["envFrom"][-1] == {"secretRef": {"name": "mine"}}
    assert [one["metadata"]["name"] for one in own if one["kind"] == "Secret"] == [NAME]


def test_its_pods_are_none_of_the_connector_s_and_as_restricted(chart: Chart) -> None:
    """A selector that included them would route to them, and count them in the disruption budget."""
    objects = rendered(chart)
    template = objects.of("CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    for selector in (
        objects.workload["spec"]["selector"]["matchLabels"],
        objects.of("Service")["spec"]["selector"],
        objects.of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert not selector.items() <= template["metadata"]["labels"].items()
    assert objects.renewal["securityContext"] == objects.pod["securityContext"]
    (container,) = objects.renewal["containers"]
    assert container["securityContext"] == objects.container()["securityContext"]
    assert "memory" in container["resources"]["limits"]


def test_a_changed_setting_makes_another_job_and_a_newer_chart_does_not(chart: Chart) -> None:
    """A Job cannot be changed in place; one that is the same need not run again."""
    before = rendered(chart).of("Job")["metadata"]["name"]
    other = {**VALUES["target"], "tokenClientSecret": "another"}
    assert rendered(chart, target=other).of("Job")["metadata"]["name"] != before
    assert rendered(chart, keda={"maxReplicas": 9}).of("Job")["metadata"]["name"] == before


def test_names_fit_also_of_a_long_release(chart: Chart) -> None:
    """A CronJob's name has 52 letters at most, to which it adds eleven for each Job."""
    objects = chart.render("minimal", values=VALUES, release="r" * 53)
    assert len(objects.of("CronJob")["metadata"]["name"]) <= 52
    assert len(objects.of("Job")["metadata"]["name"]) <= 63


def test_it_is_let_out_to_adobe_and_to_the_api_server(chart: Chart) -> None:
    """By a policy of its own: the connector needs neither."""
    target = {**VALUES["target"], "tokenImsUrl": "https://ims.example:8443/t", "tokenUrl": "http://proxy/{tenant}:9/t"}
    objects = rendered(chart, target=target, networkPolicy={"enabled": True, "apiServerPorts": [6443]})
    policy = objects.of("NetworkPolicy", NAME)["spec"]
    assert [port["port"] for port in policy["egress"][0]["ports"]] == [8443, 80, 6443]
    template = objects.of("CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    connector = objects.workload["spec"]["template"]["metadata"]["labels"]
    assert not policy["podSelector"]["matchLabels"].items() <= connector.items()


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["target.tenant=null"], "target.tenant: needed with token.schedule"),
        (["target.tokenClientId=null"], "target.tokenClientId: needed with token.schedule"),
        (["target.tokenClientSecret=null"], "token.existingSecret: needed with token.schedule"),
        (["target.tokenClientSecretFile=/x"], "target.tokenClientSecret: target.tokenClientSecretFile is set too"),
        (["target.authTokenFile=/x"], "token.schedule: target.authTokenFile is set too"),
        (["target.authToken=x"], "token.schedule: target.authToken is set too"),
        (["token.schedule="], "it has no effect without token.schedule"),
        (["token.renewBeforeSeconds=-1"], "/token/renewBeforeSeconds'"),
        (["token.schedul=x"], "'schedul' not allowed"),
    ],
)
def test_values_that_cannot_work_are_refused(chart: Chart, sets: list[str], said: str) -> None:
    """Found at the first run of the CronJob, it would be a night later."""
    wanted = ["token.schedule=17 3 * * *", *(f"target.{key}={value}" for key, value in VALUES["target"].items())]
    assert said in chart.refusal(*wanted, *sets)


def test_the_values_of_the_docs_are_enough(chart: Chart) -> None:
    """They are copied as they stand."""
    page = (CHART.parents[1] / "docs" / "kubernetes.md").read_text()
    (block,) = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "schedule:" in text]
    assert chart.render("minimal", values=yaml.safe_load(block)).of("CronJob")
