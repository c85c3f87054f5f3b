"""A panel without data looks like a quiet system: the dashboard is checked against the exported metrics and Grafana."""

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import CHART_FILES, mistakes

DASHBOARD: dict[str, Any] = json.loads((CHART_FILES / "dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
UNITS = {"bytes", "cps", "none", "percentunit", "reqps", "s", "short"}
"""Grafana's names, as far as they are used here: it shows a misspelt one as a suffix."""

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def test_the_rows_follow_the_order_of_an_incident() -> None:
    """In the order of an incident: does it flow, to Target, within the quota, from Kafka, and what failed."""
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Flow", "Delivery", "Quota", "Group and lag", "Faults"]


@each_panel
def test_a_panel_asks_only_for_what_is_exported(panel: dict[str, Any]) -> None:
    """A typo gives an empty panel and no error."""
    assert panel["targets"]
    for target in panel["targets"]:
        assert mistakes(target["expr"]) == []
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = {label for found in re.findall(r" by \(([^)]*)\)", target["expr"]) for label in found.split(", ")}
        assert shown <= grouped, "a legend names a label that the query does not keep"


@each_panel
def test_a_panel_says_its_unit_and_what_it_is(panel: dict[str, Any]) -> None:
    """Seconds shown as a bare number are misread."""
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    asked = " ".join(target["expr"] for target in panel["targets"])
    if re.search(r"_seconds(?:_bucket)?\{", asked) and "start_time" not in asked and "cpu" not in asked:
        assert panel["fieldConfig"]["defaults"]["unit"] == "s"
    if "_bytes{" in asked:
        assert panel["fieldConfig"]["defaults"]["unit"] == "bytes"
    assert panel["description"].endswith(".")


def test_no_datasource_is_hard_coded() -> None:
    """Another Grafana has another one; `${datasource}` is what the reader chose."""
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"${datasource}", DASHBOARD["uid"]}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_every_query_follows_the_variables_and_every_variable_is_used() -> None:
    """Two installations in one Prometheus must not be added up; the quota is the group's, so it takes no pod."""
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "job", "pod"]
    for query in QUERIES:
        for selector in re.findall(r"\{([^}]*)\}", query):
            assert 'namespace=~"$namespace"' in selector
            assert 'job=~"$job"' in selector
            assert 'pod=~"$pod"' in selector or "quota" in query or "requests_total" in query
    for name in ("namespace", "job", "pod"):
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variables[name]["query"]["query"])
        assert asked
        assert asked[2] == name
        assert mistakes(asked[1]) == []
        assert variables[name]["allValue"] == ".*", "outside Kubernetes there is no such label, and All must match that"


def test_ids_are_unique_and_no_panel_lies_on_another() -> None:
    """Grafana accepts both without an error, and shows one of the two."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])


def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    """Whether two places on the grid share a cell."""
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def test_it_is_a_dashboard_of_a_current_grafana() -> None:
    """An old schema is migrated at every load; an id of one Grafana's database means nothing in another."""
    assert DASHBOARD["schemaVersion"] >= 41
    assert "id" not in DASHBOARD
    assert "__inputs" not in DASHBOARD


def test_prometheus_can_read_every_query(run_promtool: Callable[..., str], tmp_path: Path) -> None:
    """Syntax, functions and types, by Prometheus' own parser; Grafana's variables are filled in as it does."""
    filled = [query.replace("$__rate_interval", "5m").replace("$", "") for query in QUERIES]
    rules = [{"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(filled)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"{len(QUERIES)} rules found" in run_promtool("check", "rules", file)
