"""From the previous version of the chart to this one: values stay good, objects stay in place, no cluster refuses."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.test_objects import immutable
from tests.support.chart import NAMED, PACKAGE, PREVIOUS, Chart, Objects
from tests.support.chart_tools import CHART

KEDA = {"authenticationRef": "kafka-for-keda"}
"""What 0.2.0 asks for beside a private authority: with 0.1.0 the autoscaler was installed and could not connect."""


def values(named: str) -> dict[str, Any]:
    """What a user of the previous version has."""
    found: dict[str, Any] = yaml.safe_load((PREVIOUS / f"{named}-values.yaml").read_text())
    return found


def upgraded(named: str) -> dict[str, Any]:
    """The same with what the changelog says to add."""
    kept = values(named)
    return {**kept, "keda": {**kept.get("keda", {}), **KEDA}} if named == "everything" else kept


def test_it_is_another_version() -> None:
    """A repository keeps the first chart of a version: a changed chart needs a new version."""
    before = packaged()
    now = {name: (CHART / name).read_bytes() for name in before if (CHART / name).exists()}
    version = yaml.safe_load(now["Chart.yaml"])["version"]
    former = yaml.safe_load(before["Chart.yaml"])["version"]
    assert tuple(map(int, version.split("."))) > tuple(map(int, former.split(".")))
    assert any(now[name] != before[name] for name in now if name != "Chart.yaml")


def packaged() -> dict[str, bytes]:
    """The files of the previous version."""
    with tarfile.open(PACKAGE) as package:
        files = {name.partition("/")[2]: package.extractfile(name) for name in package.getnames()}
        return {name: file.read() for name, file in files.items() if file is not None}


@pytest.mark.parametrize("named", ["minimal", "statefulset"])
def test_values_of_the_previous_version_are_good_still(chart: Chart, named: str) -> None:
    """An upgrade with the same values must work without the release notes."""
    assert chart.render(values=values(named)).workload


def test_a_value_that_is_missing_now_is_asked_for_by_name(chart: Chart) -> None:
    """The one that 0.2.0 needs; otherwise the autoscaler could not read the lag, unnoticed."""
    with pytest.raises(Exception, match=r"keda\.authenticationRef"):
        chart.render(values=values("everything"))
    assert chart.render(values=upgraded("everything")).of("ScaledObject")


@pytest.mark.parametrize("named", NAMED)
def test_objects_are_changed_in_place(chart: Chart, named: str) -> None:
    """A renamed object is created anew and the old one deleted; a changed immutable field makes the cluster refuse."""
    before = chart.render(values=values(named), chart=PACKAGE)
    after = chart.render(values=upgraded(named))
    assert {kind for kind, _ in names(before) - names(after)} <= {
        "TriggerAuthentication"
    }  # The user's takes its place.
    assert immutable(before) == immutable(after)


@pytest.mark.parametrize("named", NAMED)
def test_it_renders_without_the_defaults_that_are_new(chart: Chart, tmp_path: Path, named: str) -> None:
    """`helm upgrade --reuse-values` takes the former defaults; a template that needs a newer one would fail on nil."""
    mixed = tmp_path / "mixed"
    shutil.copytree(CHART, mixed)
    (mixed / "values.yaml").write_bytes(packaged()["values.yaml"])
    reused = chart.render(values=upgraded(named), chart=mixed)
    assert names(reused) == names(chart.render(values=upgraded(named)))


def names(objects: Objects) -> set[tuple[str, str]]:
    """How a cluster tells objects apart."""
    return {(one["kind"], one["metadata"]["name"]) for one in objects}
