"""An alert that can never fire, or that has no remedy, is worse than none: operators rely on it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.cli import COMMANDS
from connector.ops.events import EVENTS, FIELDS
from connector.ops.metrics import DEFINITIONS
from tests.support.promql import CHART_FILES, ROOT, mistakes

RULES = CHART_FILES / "alerts.yaml"
WORLDS = Path(__file__).parent / "alerts.test.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def test_prometheus_reads_the_rules(run_promtool: Callable[..., str]) -> None:
    """Prometheus refuses the whole file for one error: then there is no alert at all."""
    assert f"{len(ALERTS)} rules found" in run_promtool("check", "rules", RULES)


def test_each_alert_fires_in_its_world_and_not_in_the_one_beside_it(run_promtool: Callable[..., str]) -> None:
    """Evaluated by Prometheus over hours of series; reading a rule does not test it."""
    assert "SUCCESS" in run_promtool("test", "rules", WORLDS)


@each_alert
def test_each_alert_has_a_world_in_which_it_fires_and_one_in_which_it_does_not(alert: dict[str, Any]) -> None:
    """A new alert without them would pass the test above."""
    name = alert["alert"]
    worlds = yaml.safe_load(WORLDS.read_text(encoding="utf-8"))["tests"]
    fires = [world for world in worlds if world["name"].startswith(f"{name} fires: ")]
    silent = [world for world in worlds if world["name"].startswith(f"{name} silent: ")]
    assert fires
    assert silent
    for world in fires:
        assert any(f'alertname="{name}"' in sample["labels"] for sample in samples(world))
    for world in silent:
        assert samples(world) == []


def samples(world: dict[str, Any]) -> list[dict[str, Any]]:
    """The alerts that this world must have."""
    return [sample for query in world["promql_expr_test"] for sample in query["exp_samples"]]


@each_alert
def test_an_alert_asks_only_for_what_is_exported(alert: dict[str, Any]) -> None:
    """A renamed metric leaves an alert that never fires."""
    assert mistakes(alert["expr"]) == []


@each_alert
def test_an_alert_has_a_summary_a_severity_and_a_runbook(alert: dict[str, Any]) -> None:
    """The chart makes links of `runbook`; routing is by severity."""
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    assert "{{" not in alert["annotations"]["summary"]
    assert "$labels" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook"] == alert["alert"].lower()


@each_alert
def test_an_alert_has_a_section_in_the_runbook(alert: dict[str, Any]) -> None:
    """What it means, what to look at, what to do and what not to do, in this order."""
    parts = re.findall(r"^\*\*(It means|Look at|Do|Do not)\*\*", SECTIONS[alert["alert"]], re.MULTILINE)
    assert parts == ["It means", "Look at", "Do", "Do not"]


def test_the_runbook_has_no_section_without_an_alert_and_no_broken_link() -> None:
    """Sections of alerts that are gone mislead, and so do links to them."""
    assert list(SECTIONS) == [alert["alert"] for alert in ALERTS]
    anchors = set(re.findall(r"\(#([\w-]+)\)", RUNBOOK))
    assert anchors <= {head.lower().replace(" ", "-") for head in re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)}
    for link in re.findall(r"\]\(([^)#]+)\)", RUNBOOK):
        assert (ROOT / "docs" / link).exists()


def test_the_runbook_names_only_events_and_metrics_that_exist() -> None:
    """Operators search for these words during an incident."""
    metrics = {definition.name for definition in DEFINITIONS}
    words = {
        word for code in re.findall(r"`([^`\n]+)`", RUNBOOK) for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", code)
    }
    assert {word for word in words if word.startswith("target_connector_")} <= metrics
    ours = {word for word in words if not word.startswith(("target_connector_", "app_", "__"))}
    assert ours <= EVENTS.keys() | FIELDS.keys() | {"consumer_offsets"}


def test_the_runbook_s_queries_ask_only_for_what_is_exported() -> None:
    """An empty result looks like no lag."""
    queries = re.findall(r"^```promql\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert queries
    for query in queries:
        assert mistakes(query) == []


def test_a_command_of_the_runbook_can_be_typed_as_it_stands() -> None:
    """Without namespace, pod, container or broker a command queries the wrong target, or fails."""
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    for line in lines:
        if line.startswith("kubectl"):
            assert line.startswith("kubectl -n NAMESPACE ")
        if re.search(r" (logs|exec) ", line):
            assert re.search(r" POD -c (connector|check|token)\b", line)
        if line.startswith("kafka-"):
            assert "--bootstrap-server" in line
            assert "--command-config" in line
    asked = set(re.findall(r"(?:`|-- )connector ([a-z]+)", RUNBOOK))
    assert {"check", "quota", "dlq"} <= asked <= {command.name for command in COMMANDS}


def test_what_the_runbook_searches_the_log_by_keeps_plain_lines() -> None:
    """A refused setting and a traceback are no JSON: a search for levels alone drops what ended the process."""
    (pattern,) = re.findall(r"grep -vE '([^']+)'", RUNBOOK)
    plain, warning, info = "KAFKA_TOPICS: needed", '{"level":"warning","event":"e"}', '{"level":"info","event":"e"}'
    assert [line for line in (plain, warning, info) if not re.search(pattern, line)] == [plain, warning]


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("rate(target_connector_events_total[5m])", "nothing exports target_connector_events_total"),
        (
            'target_connector_requests_total{outcome="refused"}',
            "target_connector_requests_total has no outcome refused",
        ),
        ('target_connector_paused{outcome="accepted"}', "target_connector_paused has no label outcome"),
        ("sum by (topik) (target_connector_consumer_lag)", "nothing here has the label topik"),
        ("sum by (topic) (target_connector_paused)", "nothing here has the label topic"),
    ],
)
def test_a_query_for_what_nothing_exports_is_found(query: str, mistake: str) -> None:
    """All the other tests rest on this check."""
    assert mistakes(query) == [mistake]
