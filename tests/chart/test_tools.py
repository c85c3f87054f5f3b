"""The chart and the Dockerfile before common tools: lint, schemas, policies."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from connector import __version__
from scripts import chart as generator
from tests.support.chart import NAMED, Chart
from tests.support.chart_tools import CHART, KUBERNETES, ROOT, Tools

ACCEPTED = {
    "container-image-pull-policy": "a tag of ours is never moved; Always would need the registry at every restart",
    "pod-networkpolicy": "off by default: only their owner knows which ports brokers advertise",
}
"""Findings of the policy scan that are decisions."""


@pytest.mark.parametrize("named", NAMED)
def test_helm_lint_finds_nothing(chart: Chart, named: str) -> None:
    """Strict: a warning fails."""
    said = chart.helm("lint", "--strict", str(CHART), "--values", str(CHART / "ci" / f"{named}-values.yaml"))
    assert "0 chart(s) failed" in said


def test_the_package_holds_what_is_rendered_from_it(chart: Chart, tmp_path: Path) -> None:
    """An ignore file without a leading slash drops templates/tests too, which only a package shows."""
    chart.helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / CHART.name
    inside = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    listed = [str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file()]
    assert inside == {name for name in listed if not name.startswith("ci/")}
    values = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text())
    assert chart.render(values=values, chart=unpacked) == chart.render(values=values)


def test_the_chart_is_for_the_connector_beside_it() -> None:
    """The image's tag is the chart's appVersion unless somebody says otherwise."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("named", NAMED)
def test_every_object_is_valid_for_kubernetes_and_the_operators(
    chart: Chart, tools: Tools, named: str, kubernetes: str
) -> None:
    """A field that a version does not know is dropped without a word: schemas that are closed find it before."""
    objects = chart.render(named, kubernetes=kubernetes)
    report = conform(tools, chart.text(named, kubernetes=kubernetes), kubernetes)
    assert report["summary"] == {"valid": len(objects), "invalid": 0, "errors": 0, "skipped": 0}, report


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("unhealthyPodEvictionPolicy:", "unhealthyPodEvictionPolice:"),
        ("minReplicaCount: 1", "minReplicaCount: one"),
        ("podMetricsEndpoints:", "podMetricEndpoints:"),
        ("topicName:", "topic:"),
        ("secretTargetRef:", "secretTargetRefs:"),
        ("readinessProbe:", "readynessProbe:"),
    ],
)
def test_the_schemas_find_a_misspelt_field(chart: Chart, tools: Tools, right: str, wrong: str) -> None:
    """A check that lets everything pass is useless: built-in kinds and custom resources."""
    text = chart.text("everything")
    assert right in text
    assert conform(tools, text.replace(right, wrong), KUBERNETES[-1])["summary"]["invalid"] >= 1


@pytest.mark.parametrize("named", NAMED)
def test_the_policy_scan_finds_only_what_is_decided(chart: Chart, tools: Tools, named: str) -> None:
    """Common advice, by an independent tool. A CPU limit would throttle the loop past its probes."""
    done = subprocess.run(
        [tools.kube_score, "score", "--kubernetes-version", "v1.27", "--ignore-container-cpu-limit", "-o", "json", "-"],
        input=chart.text(named),
        capture_output=True,
        text=True,
        check=False,
    )
    critical = 1
    found = {
        (check["check"]["id"], comment["summary"])
        for scored in json.loads(done.stdout)
        for check in scored["checks"]
        if check["grade"] <= critical and not check["skipped"]
        for comment in check["comments"] or [{"summary": ""}]
        if check["check"]["id"] not in ACCEPTED
    }
    assert found == set()


def test_what_follows_from_the_settings_is_fresh() -> None:
    """Values, schema and README of the chart are those of the settings model of this very tree."""
    for path, text in generator.made(CHART).items():
        assert path.read_text() == text, f"{path.name} is behind: run `make chart`"
    assert generator.uncommented((CHART / "values.yaml").read_text()) == []


def test_the_schema_names_every_value_and_lets_in_no_other() -> None:
    """A level that is left open is where a typo passes; those that are Kubernetes' own to judge are listed here."""
    open_ended = set(open_levels(json.loads((CHART / "values.schema.json").read_text()), ""))
    assert open_ended == {
        "affinity",
        "dnsConfig",
        "global",
        "podSecurityContext",
        "resources.limits",
        "resources.requests",
        "securityContext",
    }


def open_levels(schema: dict[str, object], path: str) -> list[str]:
    """Objects that take any key and any value."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        # Of kafka.properties the names are librdkafka's to judge.
        closed = schema.get("additionalProperties") is False or path == "kafka.properties"
        assert closed, f"{path or 'the top'} takes any value"
        return [one for key, inner in properties.items() for one in open_levels(inner, f"{path}.{key}".lstrip("."))]
    return [path] if schema.get("type") == "object" and "additionalProperties" not in schema else []


def test_nothing_that_the_chart_refuses_is_offered_beside_the_value() -> None:
    """The connector alone may listen on any free port, or on loopback; a probe reaches neither."""
    values = generator.read_values((CHART / "values.yaml").read_text())
    host, port = (value.about for value in values if value.path in ("ops.host", "ops.port"))
    assert "127.0.0.1" not in host
    assert "any free one" not in port
    assert "a whole number from 1 to 65535" in port


def test_the_dockerfile_is_clean(tools: Tools) -> None:
    """Hadolint, without an exception."""
    done = subprocess.run([tools.hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def conform(tools: Tools, manifests: str, kubernetes: str) -> dict[str, dict[str, int]]:
    """What kubeconform says, with closed schemas; an unknown kind is an error."""
    built_in = tools.schemas / kubernetes / "{{ .ResourceKind }}{{ .KindSuffix }}.json"
    custom = tools.schemas / "custom" / "{{ .Group }}_{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"
    done = subprocess.run(
        [
            tools.kubeconform,
            "-strict",
            "-summary",
            "-output=json",
            f"-schema-location={built_in}",
            f"-schema-location={custom}",
            "-",
        ],
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, dict[str, int]] = json.loads(done.stdout)
    return report


def test_the_definitions_can_be_installed_in_a_cluster(tools: Tools) -> None:
    """They are for `kubectl apply` where there is no operator."""
    assert {Path(path).name for path in tools.definitions} >= {"kafkatopics.yaml", "keda.sh_scaledobjects.yaml"}
