"""Installs the tools that check the chart once: Go programs, and the schemas of what it renders.

`make test-chart` does it ahead of its tests. Programs and custom resources come as Go modules; Kubernetes' own schemas
come with a Python package. None of it is needed to use the chart.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "target-profile-connector"

PROGRAMS: Final = {
    "helm": "helm.sh/helm/v4/cmd/helm@v4.3.1",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
}
"""The variable HELM can name another helm: the chart is for version 3 too."""

KUBERNETES: Final = ("1.27.0", "1.32.0", "1.37.0")
"""The oldest that Chart.yaml allows, one between, the newest."""

DEFINITIONS: Final = {
    "github.com/kedacore/keda/v2@v2.21.0": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}
"""Custom resource definitions, by the module that ships them. Strimzi's is no Go module: ours is in the tests."""

OWN_DEFINITIONS: Final = ROOT / "tests" / "chart" / "definitions"
BUILD_SECONDS: Final = 1800.0


class Unavailable(Exception):
    """The chart cannot be checked here; the text names the missing part and how to get it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that the chart's tests start or read."""

    helm: str
    kubeconform: str
    kube_score: str
    hadolint: str
    schemas: Path
    """For each version of Kubernetes a folder, and `custom`."""
    definitions: tuple[Path, ...]
    """The custom resource definitions, as for `kubectl apply`."""


def cache() -> Path:
    """Where it is kept: in the project, or where `CHART_TEST_CACHE` says."""
    return Path(os.environ.get("CHART_TEST_CACHE") or ROOT / ".cache" / "chart").absolute()


def installed() -> Tools:
    """Find installed parts. Raises `Unavailable` when one is missing."""
    programs = {name: _program(name, module) for name, module in PROGRAMS.items()}
    helm = os.environ.get("HELM", str(programs.pop("helm")))
    hadolint = Path(sys.executable).with_name("hadolint")
    schemas = cache() / f"schemas-{_version_of_schemas()}"
    missing = [str(path) for path in (*programs.values(), hadolint, schemas) if not path.exists()]
    if shutil.which(helm) is None:
        missing.append(helm)
    if missing:
        message = f"{', '.join(missing)} missing: run `make test-chart`, which installs what it needs"
        raise Unavailable(message)
    return Tools(
        helm=helm,
        kubeconform=str(programs["kubeconform"]),
        kube_score=str(programs["kube-score"]),
        hadolint=str(hadolint),
        schemas=schemas,
        definitions=tuple(sorted((schemas / "definitions").glob("*.yaml"))),
    )


def install() -> None:
    """Install what is missing. Raises `Unavailable` with the reason."""
    if shutil.which("go") is None:
        message = "Go is needed to build the chart's tools: https://go.dev/doc/install"
        raise Unavailable(message)
    for name, module in PROGRAMS.items():
        program = _program(name, module)
        if not program.exists() and not (name == "helm" and "HELM" in os.environ):
            sys.stderr.write(f"building {module}, once\n")
            # Beside the version, so that a newer one is another file; helm takes minutes.
            _go("install", "-trimpath", "-ldflags=-s -w", module, GOBIN=str(program.parent))
    schemas = cache() / f"schemas-{_version_of_schemas()}"
    if not schemas.exists():
        unfinished = schemas.with_name(f"{schemas.name}.{os.getpid()}")
        _write_schemas(unfinished)
        unfinished.rename(schemas)


def main() -> int:
    """Install; a missing part is one line, and an error."""
    try:
        install()
    except Unavailable as problem:
        sys.stderr.write(f"the chart cannot be tested: {problem}\n")
        return 1
    return 0


def _program(name: str, module: str) -> Path:
    version = module.partition("@")[2]
    return cache() / f"{name}-{version}" / name


def _version_of_schemas() -> str:
    """A name that changes with its inputs."""
    own = "".join(path.read_text() for path in sorted(OWN_DEFINITIONS.glob("*.yaml")))
    text = json.dumps([KUBERNETES, sorted(DEFINITIONS.items()), own, Path(__file__).read_text()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _go(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["go", *arguments],
        env={**os.environ, "CGO_ENABLED": "0", **environment},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        message = f"`go {' '.join(arguments)}` failed: {done.stderr.strip()[-2_000:] or done.stdout.strip()[-2_000:]}"
        raise Unavailable(message)
    return done.stdout


def _write_schemas(folder: Path) -> None:
    package = find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        message = "the Python package kubernetes-validate is missing: `make test-chart` installs it"
        raise Unavailable(message)
    shipped = Path(package.origin).parent / "kubernetes-json-schema"
    for version in KUBERNETES:
        target = folder / version
        target.mkdir(parents=True)
        for path in (shipped / f"v{version}-local-strict").glob("*.json"):
            # Their ids and references would be fetched from a server; here all are in one folder.
            schema = json.loads(path.read_text().replace('"/api/_definitions.json', '"_definitions.json'))
            schema.pop("$id", None)
            (target / path.name).write_text(json.dumps(schema))
    (folder / "definitions").mkdir()
    (folder / "custom").mkdir()
    sources = list(OWN_DEFINITIONS.glob("*.yaml"))
    for module, paths in DEFINITIONS.items():
        home = Path(json.loads(_go("mod", "download", "-json", module))["Dir"])
        sources += [home / path for path in paths]
    for source in sources:
        # A module's files are read-only, and copies with that mode could not be removed.
        shutil.copyfile(source, folder / "definitions" / source.name)
        for name, schema in _schemas_of(yaml.safe_load(source.read_text())):
            (folder / "custom" / name).write_text(json.dumps(schema))


def _schemas_of(definition: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each version's schema, under the name that kubeconform looks for."""
    spec = definition["spec"]
    group, kind = spec["group"], spec["names"]["kind"].lower()
    return [
        (f"{group}_{kind}_{version['name']}.json", _closed(version["schema"]["openAPIV3Schema"]))
        for version in spec["versions"]
        if version["served"]
    ]


def _closed(schema: Any) -> Any:
    """The schema without unknown fields: a cluster would drop misspelt ones silently."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        closed["type"] = ["integer", "string"]
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed["additionalProperties"] = False
        # The metadata of any object is for Kubernetes to check.
        if {"apiVersion", "kind", "metadata"} <= schema["properties"].keys():
            closed["properties"]["metadata"] = {"type": "object"}
    return closed


if __name__ == "__main__":
    sys.exit(main())
