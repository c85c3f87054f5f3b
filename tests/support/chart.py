"""The chart as users see it: rendered by the real helm, and read as the objects that a cluster would get."""

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import yaml

from scripts.chart import SECTIONS, place
from tests.support.chart_tools import CHART, KUBERNETES, Tools

Manifest = dict[str, Any]

RELEASE = "x"
NAMED = ("minimal", "everything", "statefulset")
"""The values files of the chart's `ci` folder."""

PREVIOUS = Path(__file__).parents[1] / "chart" / "previous"
"""The package of the chart's previous version, and the values files it was tested with."""
(PACKAGE,) = PREVIOUS.glob("*.tgz")

NEEDED: Mapping[str, Any] = {
    "kafka": {"bootstrapServers": "kafka:9092", "topics": ["profile-changes"]},
    "target": {"clientCode": "acmeinc"},
}


def nested(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables as values of the chart."""
    values: dict[str, Any] = {section: {} for section in SECTIONS.values()}
    for name, value in variables.items():
        section, key = place(name)
        values[section][key] = value
    return values


class Refused(Exception):
    """Helm refused the values; the text is its message."""


class Objects(list[Manifest]):
    """Objects of one rendering."""

    def of(self, kind: str, name: str | None = None) -> Manifest:
        """The one object of this kind (and name)."""
        (found,) = [one for one in self if one["kind"] == kind and name in (None, one["metadata"]["name"])]
        return found

    def kinds(self) -> set[str]:
        """All kinds in it."""
        return {one["kind"] for one in self}

    @property
    def workload(self) -> Manifest:
        """The Deployment or StatefulSet."""
        (found,) = [one for one in self if one["kind"] in ("Deployment", "StatefulSet")]
        return found

    @property
    def pod(self) -> Manifest:
        """The spec of the connector's pods."""
        spec: Manifest = self.workload["spec"]["template"]["spec"]
        return spec

    @property
    def renewal(self) -> Manifest:
        """The spec of the pods that run `connector token`."""
        spec: Manifest = self.of("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        return spec

    def container(self, name: str = "connector") -> Manifest:
        """One container of the connector's pods, init containers included."""
        every = [*self.pod["containers"], *self.pod.get("initContainers", [])]
        found: list[Manifest] = [one for one in every if one["name"] == name]
        (only,) = found
        return only

    def environment(
        self, pod: str = "x-target-profile-connector-0", container: Manifest | None = None
    ) -> dict[str, str]:
        """The environment of a process, as the kubelet builds it: the connector's, or that of another container.

        Sources outside are left out.
        """
        found: dict[str, str] = {}
        container = container or self.container()
        for source in container["envFrom"]:
            ((kind, reference),) = source.items()
            for one in self:
                if one["metadata"]["name"] == reference["name"]:
                    if one["kind"] == "ConfigMap" and kind == "configMapRef":
                        found |= one["data"]
                    elif one["kind"] == "Secret" and kind == "secretRef":
                        encoded = one.get("data", {}).items()
                        found |= {name: base64.b64decode(text).decode() for name, text in encoded}
                        found |= one.get("stringData", {})
        for variable in container.get("env", []):
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            found[variable["name"]] = pod if field == "metadata.name" else variable.get("value", "")
        return found


class Rendering(TypedDict, total=False):
    """How a chart is rendered, where it differs from our chart as `RELEASE` on the newest Kubernetes without values."""

    values: Mapping[str, Any] | None
    sets: Iterable[str]
    kubernetes: str
    chart: Path
    release: str


class Chart:
    """The chart and the real helm. Nothing here needs a cluster."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        """`folder` takes values files."""
        self._helm = tools.helm
        self._values = folder / "values.yaml"

    def text(self, *named: str, **how: Unpack[Rendering]) -> str:
        """Render with the `ci` files of these names, then values, then `--set`. Raises `Refused`."""
        # JSON is YAML, and a number is parsed as in a values file.
        self._values.write_text(json.dumps(how.get("values") or {}))
        chart = how.get("chart", CHART)
        files = [*(str(chart / "ci" / f"{name}-values.yaml") for name in named), str(self._values)]
        arguments = [part for file in files for part in ("--values", file)]
        arguments += [part for text in how.get("sets", ()) for part in ("--set", text)]
        version = how.get("kubernetes", KUBERNETES[-1])
        return self.helm("template", how.get("release", RELEASE), str(chart), "--kube-version", version, *arguments)

    def render(self, *named: str, **how: Unpack[Rendering]) -> Objects:
        """As `text`, parsed."""
        return Objects(one for one in yaml.safe_load_all(self.text(*named, **how)) if one)

    def refusal(self, *sets: str) -> str:
        """Helm's refusal of these values, on top of the required ones; it must refuse."""
        try:
            self.text("minimal", sets=sets)
        except Refused as refused:
            return str(refused)
        message = f"helm took {sets}"
        raise AssertionError(message)

    def helm(self, *arguments: str) -> str:
        """Run it. Raises `Refused`."""
        done = subprocess.run(
            [self._helm, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout
