"""The one world of all steps; `make test-cluster` runs them in order and stops at the first that fails."""

import os
from collections.abc import Iterator

import pytest
import yaml

from tests.support import chart_tools, image
from tests.support.chart import PACKAGE
from tests.support.chart_tools import CHART
from tests.support.kafka.fetch import Distribution
from tests.support.kubernetes.build import Programs, Unavailable, installed
from tests.support.kubernetes.node import Node
from tests.support.kubernetes.report import Report
from tests.support.kubernetes.world import NAMESPACE, World

REPORT = pytest.StashKey[Report]()
FURTHER = ("kafka",)
"""Namespaces that the values name, beside the release's own."""


@pytest.fixture(scope="session")
def tools() -> tuple[Programs, chart_tools.Tools]:
    """Kubernetes and helm; without them the steps are skipped, and in CI the run fails."""
    try:
        return installed(), chart_tools.installed()
    except (Unavailable, chart_tools.Unavailable) as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN, no cluster: {problem}")


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """What the steps saw."""
    return request.config.stash.setdefault(REPORT, Report())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show it, also of a run that failed: its numbers are for docs/kubernetes.md."""
    if REPORT in config.stash:
        terminalreporter.section("what was seen")
        terminalreporter.write_line(str(config.stash[REPORT]))


@pytest.fixture(scope="session")
def world(
    tools: tuple[Programs, chart_tools.Tools],
    distribution: Distribution,
    report: Report,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """A cluster with the image in it, the definitions of the custom resources, and a namespace that is restricted."""
    programs, chart = tools
    folder = tmp_path_factory.mktemp("cluster")
    archives = folder / "image.tar", folder / "previous.tar"
    with report.step("image built from the Dockerfile"):
        try:
            image.build(folder)
            version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
            # Under the previous version's name too, which its chart asks for: it is the charts that are compared.
            for archive, tag in zip(archives, (version, PACKAGE.stem.rpartition("-")[2]), strict=True):
                name = f"docker.io/library/{CHART.name}:{tag}"
                image.run("buildah", "push", "--quiet", image.NAME, f"docker-archive:{archive}:{name}")
        finally:
            image.discard()
    with report.step("control plane and node started") as step, Node(programs, folder / "node") as node:
        for archive in archives:
            node.load(archive)
            archive.unlink()
        for path in chart.definitions:
            node.kubectl("create", "-f", str(path))
        node.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all")
        for namespace in (NAMESPACE, *FURTHER):
            node.kubectl("create", "namespace", namespace)
        node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        world = World(node, chart.helm, distribution, folder)
        with world.running():
            report.versions = world.versions()
            step.saw = f"{len(chart.definitions)} definitions of custom resources; the broker and the sandbox beside it"
            step.close()
            yield world
