"""The numbers of `/metrics`: read from the pipeline's own counts at the moment of a scrape, never kept twice.

To add a metric: one `Definition` in `DEFINITIONS` and the table in `docs/metrics.md` again; a test holds them together.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from connector.delivery.counters import Histogram
from connector.events.concerns import WHY
from connector.ops.snapshot import Snapshot

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Label values, in the order of the definition's labels, and the number."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric: its name as scraped, what it counts and in which unit, and where its numbers come from."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    unit: str
    help: str
    read: Callable[[Snapshot], Samples | Histogram]


def _plain(number: float) -> Samples:
    return [((), number)]


def _known(number: float | None) -> Samples:
    """Absent, where 0 would be a false statement."""
    return [] if number is None else _plain(number)


DEFINITIONS: Final = (
    Definition(
        "target_connector_events_consumed_total", "counter", (), "records",
        "Records taken from Kafka; one that carries several changes (`each` of a mapping) counts as one for each.",
        lambda now: _plain(now.tally.events_consumed),
    ),
    Definition(
        "target_connector_events_done_total", "counter", ("outcome",), "records",
        "Records that ended, each in exactly one outcome: accepted, dead_lettered, skipped, unchanged (Target has all "
        "of their update already, so no call was made), expired (too old, by EVENT_MAX_AGE_SECONDS), already_done "
        "(settled before a restart, and read once more), or handed_over (given up at a revoke, the next owner reads it "
        "again).",
        lambda now: [((done.value,), count) for done, count in now.tally.events_done.items()],
    ),
    Definition(
        "target_connector_events_pending", "gauge", (), "records",
        "Records whose update is not settled; consumed = done + pending, always.",
        lambda now: _plain(now.events_pending),
    ),
    Definition(
        "target_connector_records_missed_total", "counter", ("reason",), "records",
        "Records that were gone from the log before they could be read: by retention, or by truncation, where the end "
        "of the log was cut (those may have been sent before).",
        lambda now: [((reason.value,), count) for reason, count in now.tally.records_missed.items()],
    ),
    Definition(
        "target_connector_events_skipped_total", "counter", ("source", "condition"), "records",
        "Events that a mapping skips, by its source and the condition that did not hold.",
        lambda now: list(now.tally.events_skipped.items()),
    ),
    Definition(
        "target_connector_schema_waits", "gauge", (), "partitions",
        "Partitions that wait for a schema of the Schema Registry.",
        lambda now: _plain(now.schema_waits),
    ),
    Definition(
        "target_connector_updates_total", "counter", ("outcome",), "updates",
        "Settled updates; what was saved is in target_connector_calls_saved_total.",
        lambda now: [
            (("accepted",), now.tally.updates_accepted),
            (("dead_lettered",), now.tally.updates_dead_lettered),
        ],
    ),
    Definition(
        "target_connector_updates_pending", "gauge", (), "visitors",
        "Visitors whose update waits to be sent.",
        lambda now: _plain(now.updates_pending),
    ),
    Definition(
        "target_connector_updates_waiting", "gauge", ("priority",), "visitors",
        "Visitors whose update waits, by the highest class of its events.",
        lambda now: [((priority.word,), waiting) for priority, (waiting, _) in now.waiting.items()],
    ),
    Definition(
        "target_connector_updates_overdue_seconds", "gauge", ("priority",), "seconds",
        "How long the update of a class that is due longest has waited for its turn; 0: none is due. A class that the "
        "quota's shares hold back waits on purpose.",
        lambda now: [((priority.word,), overdue) for priority, (_, overdue) in now.waiting.items()],
    ),
    Definition(
        "target_connector_calls_saved_total", "counter", ("by",), "requests",
        "Calls that were not made: by merging, since an update stands for several events, or unchanged, since Target "
        "had all values of an update.",
        lambda now: [(("merging",), now.tally.saved_by_merging), (("unchanged",), now.tally.updates_unchanged)],
    ),
    Definition(
        "target_connector_updates_unknown_visitor", "gauge", (), "visitors",
        "Visitors that Target does not know, yet; their updates wait, and are tried again twice.",
        lambda now: _plain(now.updates_unknown),
    ),
    Definition(
        "target_connector_updates_in_flight", "gauge", (), "requests",
        "Requests on the wire.",
        lambda now: _plain(now.updates_in_flight),
    ),
    Definition(
        "target_connector_questionable_updates_total", "counter", ("concern",), "updates",
        "Updates that were sent although Target may not do with them what was meant: " +
        ", ".join(WHY) + ".",
        lambda now: [((concern.value,), count) for concern, count in now.tally.concerns.items()],
    ),
    Definition(
        "target_connector_requests_total", "counter", ("outcome",), "requests",
        "Every attempt, by what came of it; unconfirmed is a 2xx whose body is in no known form.",
        lambda now: [((verdict.value,), count) for verdict, count in now.tally.requests.items()],
    ),
    Definition(
        "target_connector_request_duration_seconds", "histogram", (), "seconds",
        "Duration of one attempt.",
        lambda now: now.tally.request_seconds,
    ),
    Definition(
        "target_connector_event_age_seconds", "histogram", (), "seconds",
        "From the record's timestamp to accepted, for the oldest record of the update.",
        lambda now: now.tally.event_age_seconds,
    ),
    Definition(
        "target_connector_quota_limit", "gauge", (), "updates",
        "Updates that the whole group may send in the rolling window; 0: no quota.",
        lambda now: _plain(now.quota_limit),
    ),
    Definition(
        "target_connector_quota_used", "gauge", (), "updates",
        "Updates of the rolling window that the whole group has used; absent until the ledger has been read.",
        lambda now: _known(now.quota_used),
    ),
    Definition(
        "target_connector_quota_slowed_seconds", "gauge", (), "seconds",
        "In how many seconds the quota's pace (what is free over QUOTA_HORIZON_SECONDS) is below the current rate, so "
        "that updates wait; absent: not within a window.",
        lambda now: _known(now.quota_slowed_seconds),
    ),
    Definition(
        "target_connector_quota_used_up_seconds", "gauge", (), "seconds",
        "In how many seconds nothing of the quota is free, at the current rate and that pace; absent: not within a "
        "window.",
        lambda now: _known(now.quota_used_up_seconds),
    ),
    Definition(
        "target_connector_consumer_lag", "gauge", ("topic", "partition"), "records",
        "Records behind the end of the log, for each partition that this replica owns; 0 when nothing is left to read, "
        "transaction markers and aborted records included.",
        lambda now: [((topic, str(partition)), lag) for (topic, partition), lag in now.consumer_lag.items()],
    ),
    Definition(
        "target_connector_oldest_pending_seconds", "gauge", ("topic",), "seconds",
        "Age of the oldest record that this replica has read and not settled, by the record's timestamp; 0: there is "
        "none. What it has not read yet of the same partition is younger.",
        lambda now: [((topic,), age) for topic, age in now.oldest_pending.items()],
    ),
    Definition(
        "target_connector_retention_seconds", "gauge", ("topic",), "seconds",
        "How long the topic keeps a record (retention.ms), asked every ten minutes; absent without the right "
        "DESCRIBE_CONFIGS on the topic, or where records are kept for ever.",
        lambda now: [((topic,), seconds) for topic, seconds in now.retention.items()],
    ),
    Definition(
        "target_connector_partitions_assigned", "gauge", (), "partitions",
        "Partitions that this replica owns.",
        lambda now: _plain(now.partitions_assigned),
    ),
    Definition(
        "target_connector_circuit_open", "gauge", (), "0 or 1",
        "1 while the endpoint as a whole fails and only probes are sent.",
        lambda now: _plain(now.circuit_open),
    ),
    Definition(
        "target_connector_paused", "gauge", (), "0 or 1",
        "1 while nothing is read from Kafka because too much is pending.",
        lambda now: _plain(now.paused),
    ),
    Definition(
        "target_connector_concurrency_slots", "gauge", (), "requests",
        "Requests that may be on the wire at once; fewer when the endpoint is overloaded.",
        lambda now: _plain(now.slots),
    ),
    Definition(
        "target_connector_pending_bytes", "gauge", (), "bytes",
        "Memory that pending updates and dead letters take, about; at COALESCE_MAX_BYTES consumption pauses.",
        lambda now: _plain(now.bytes_pending),
    ),
    Definition(
        "target_connector_dead_letters_pending", "gauge", (), "records",
        "Refused records whose dead letter is not acknowledged yet; their offsets wait.",
        lambda now: _plain(now.letters_pending),
    ),
    Definition(
        "target_connector_overdue_seconds", "gauge", (), "seconds",
        "How long the update that is due longest has waited for rate, quota, circuit or a slot; 0: none is due.",
        lambda now: _plain(now.overdue_seconds),
    ),
    Definition(
        "target_connector_commit_age_seconds", "gauge", (), "seconds",
        "Since the group last acknowledged a commit; 0 while no partition is owned. Sending stops with the session.",
        lambda now: _plain(now.commit_age_seconds),
    ),
    Definition(
        "target_connector_token_expires_seconds", "gauge", (), "seconds",
        "In how many seconds the token of TARGET_AUTH_TOKEN_FILE ends, below 0 once it has; absent where that is not "
        "known: `connector token` notes it beside the file.",
        lambda now: _known(now.token_expires_seconds),
    ),
    Definition(
        "target_connector_start_time_seconds", "gauge", (), "seconds",
        "When the process started, in seconds since the epoch.",
        lambda now: _plain(now.start_time_seconds),
    ),
    Definition(
        "target_connector_build_info", "gauge", ("version",), "1",
        "Always 1; the label says which version runs.",
        lambda now: [((now.version,), 1)],
    ),
)  # fmt: skip
"""The closed list. Never a key, an offset, a URL or a raw error as a label: each would be a series without end."""


class Metrics:
    """Renders the metrics of one process; `read` is called once for each scrape, in the thread that scrapes."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(read))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type: OpenMetrics if the Accept header asks for it, else text format 0.0.4."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Collector(Collector):
    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Names without numbers, so that registering reads nothing."""
        return (Metric(definition.name, definition.help, definition.kind) for definition in DEFINITIONS)

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        return (_family(definition, definition.read(now)) for definition in DEFINITIONS)


def _family(definition: Definition, samples: Samples | Histogram) -> Metric:
    if isinstance(samples, Histogram):
        bounds = (*map(floatToGoString, samples.bounds), "+Inf")
        buckets = list(zip(bounds, accumulate(samples.counts), strict=True))
        histogram = HistogramMetricFamily(definition.name, definition.help, unit=definition.unit)
        histogram.add_metric((), buckets, samples.sum)
        return histogram
    make = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    family = make(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def markdown() -> str:
    """The table of `docs/metrics.md`."""
    lines = ["| name | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    for each in DEFINITIONS:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.name}` | {each.kind} | {labels} | {each.unit} | {each.help} |")
    return "\n".join(lines) + "\n"
