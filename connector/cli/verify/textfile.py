"""The last report as a file for node_exporter's textfile collector, replaced as a whole."""

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from connector.cli.verify.view import Report
from connector.verify.judge import Verdict

PREFIX: Final = "target_connector_verify_"
METRICS: Final = {
    f"{PREFIX}attributes": "Attributes of the visitors that were fetched, by verdict.",
    f"{PREFIX}visitors": "Visitors by how far they came: drawn, fetched, unknown, judged, harmed.",
    f"{PREFIX}harmed_ratio_upper": "At most this share of all visitors has a lost, replaced or cut value, at 95 %.",
    f"{PREFIX}applied_seconds": "From an event to its value at Target, by quantile of the matches.",
    f"{PREFIX}exit_code": "0 nothing harmed, 1 something, 3 too few could be judged.",
    f"{PREFIX}timestamp_seconds": "When the report was made, in seconds since the epoch.",
}
"""Every metric and what it means; docs/verify.md has the same list."""
QUANTILES: Final = (0.5, 0.95)


def write(path: Path, report: Report, exit_code: int, now: float) -> None:
    """Raise OSError when it cannot be written; then the old file stays."""
    registry = CollectorRegistry()
    attributes, visitors, upper, applied, code, timestamp = (
        Gauge(name, text, labels, registry=registry)
        for (name, text), labels in zip(
            METRICS.items(), (["verdict"], ["state"], [], ["quantile"], [], []), strict=True
        )
    )
    tally = report.tally
    for verdict in Verdict:
        attributes.labels(verdict.value).set(tally.attributes[verdict])
    for state in ("drawn", "fetched", "unknown", "judged", "harmed"):
        visitors.labels(state).set(getattr(tally, state))
    upper.set(tally.bounds[1])
    for quantile in QUANTILES:
        if (delay := tally.delay(quantile)) is not None:
            applied.labels(f"{quantile}").set(delay)
    code.set(exit_code)
    timestamp.set(now)
    write_to_textfile(str(path), registry)
