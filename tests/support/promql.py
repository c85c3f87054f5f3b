"""Finds mistakes in PromQL that Prometheus accepts: a metric, a label or a label value that nothing exports.

Such a query is valid and always empty: an alert that never fires, a panel that says "No data".
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from connector.delivery.counters import Counters
from connector.ops.metrics import DEFINITIONS, Metrics
from connector.ops.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
CHART_FILES = ROOT / "helm" / "target-profile-connector" / "files"

TARGET_LABELS = {"namespace", "job", "pod", "instance"}
"""Labels that Prometheus itself adds to a series."""
KUBERNETES = ("kube_pod_container_status_restarts_total", "kube_pod_init_container_status_restarts_total")
"""Metrics of kube-state-metrics, which may be present; a query must be right without them."""
WORDS = {
    *("and", "or", "unless", "by", "on", "ignoring", "offset", "time", "round", "clamp_min"),
    *("sum", "min", "max", "avg", "count", "group", "histogram_quantile"),
    *("rate", "increase", "changes", "deriv", "label_replace"),
    *("min_over_time", "max_over_time", "avg_over_time", "last_over_time"),
}
"""PromQL's words, as far as we use them."""

_STRINGS = re.compile(r'"[^"]*"|\'[^\']*\'')
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
_MADE = re.compile(r'"(\w+)",\s*"[^"]*\$1[^"]*"')
"""The label that a label_replace creates."""
_NAME = re.compile(r"(?<![\w.$])[a-zA-Z_:][\w:]*")


def exported() -> Mapping[str, Mapping[str, set[str]]]:
    """Each sample name as scraped, with its labels and the values that exist from the start (if any)."""
    snapshot = Snapshot(
        tally=Counters(), events_pending=0, updates_pending=0, updates_in_flight=0, partitions_assigned=0,
        circuit_open=False, paused=False, version="1",
    )  # fmt: skip
    body, _ = Metrics(lambda: snapshot).render("")
    names: dict[str, dict[str, set[str]]] = {"up": {}, **{name: {"container": set()} for name in KUBERNETES}}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = names.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    for definition in DEFINITIONS:
        if definition.kind != "histogram":
            labels = names.setdefault(definition.name, {})
            for label in definition.labels:
                labels.setdefault(label, set())
    # Missing outside Linux; their names are those of every Prometheus client.
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"):
        names.setdefault(name, {})
    return names


def mistakes(query: str) -> list[str]:
    """List each name, label and label value of the query that nothing exports."""
    known = exported()
    wrong = []
    labels = TARGET_LABELS | set(_MADE.findall(query))
    for name, matchers in _SELECTOR.findall(query):
        allowed = known.get(name, {})
        for label, how, value in _MATCHER.findall(matchers):
            if label not in allowed and label not in TARGET_LABELS:
                wrong.append(f"{name} has no label {label}")
            elif label == "outcome":
                asked = set(value.split("|")) if "~" in how else {value}
                wrong += [f"{name} has no outcome {each}" for each in sorted(asked - allowed[label])]
    bare = _RANGE.sub("", _STRINGS.sub("", query))
    bare = re.sub(r"\{[^}]*\}", "", bare)
    names = set(_NAME.findall(_GROUPING.sub(" ", bare))) - WORDS
    wrong += [f"nothing exports {name}" for name in sorted(names - set(known))]
    for name in names:
        labels |= set(known.get(name, {}))
    grouped = {label.strip() for group in _GROUPING.findall(bare) for label in group.split(",") if label.strip()}
    return wrong + [f"nothing here has the label {label}" for label in sorted(grouped - labels)]


class NoPromtool(Exception):
    """Promtool is missing and cannot be fetched; the text names the remedy."""


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return its output; fails with that when it finds a mistake."""
    found = subprocess.run([ROOT / "scripts" / "promtool"], check=False, capture_output=True, text=True)
    if found.returncode != 0:
        raise NoPromtool(found.stderr.strip())
    # Go's collector takes a fifth of its time otherwise.
    around = {**os.environ, "GOGC": "400"}
    done = subprocess.run([found.stdout.strip(), *arguments], check=False, capture_output=True, text=True, env=around)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
