"""Dashboards, alerts and autoscalers read these names: they are checked against the contract, as scraped."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from connector.delivery.answer import Verdict
from connector.delivery.counters import Counters, Done
from connector.delivery.start_position import MissedReason
from connector.ops.metrics import DEFINITIONS, Metrics
from connector.ops.snapshot import Snapshot

Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]

CONTRACT: dict[str, list[dict[str, str]]] = {
    "target_connector_events_consumed_total": [{}],
    "target_connector_events_done_total": [
        {"outcome": outcome}
        for outcome in ("accepted", "dead_lettered", "skipped", "unchanged", "expired", "already_done", "handed_over")
    ],
    "target_connector_records_missed_total": [{"reason": reason} for reason in ("retention", "truncation")],
    "target_connector_events_skipped_total": [],
    "target_connector_schema_waits": [{}],
    "target_connector_updates_waiting": [{"priority": word} for word in ("high", "normal", "low")],
    "target_connector_updates_overdue_seconds": [{"priority": word} for word in ("high", "normal", "low")],
    "target_connector_calls_saved_total": [{"by": "merging"}, {"by": "unchanged"}],
    "target_connector_events_pending": [{}],
    "target_connector_updates_total": [{"outcome": outcome} for outcome in ("accepted", "dead_lettered")],
    "target_connector_updates_pending": [{}],
    "target_connector_updates_in_flight": [{}],
    "target_connector_requests_total": [
        {"outcome": outcome}
        for outcome in (
            "accepted", "rejected", "unauthorized", "throttled", "unavailable", "timeout", "unconfirmed",
            "unknown_visitor",
        )
    ],
    "target_connector_updates_unknown_visitor": [{}],
    "target_connector_questionable_updates_total": [
        {"concern": concern}
        for concern in (
            "long_id", "id_characters", "prefixed_name", "system_name", "long_name", "long_value",
        )
    ],
    "target_connector_request_duration_seconds_count": [{}],
    "target_connector_request_duration_seconds_sum": [{}],
    "target_connector_event_age_seconds_count": [{}],
    "target_connector_event_age_seconds_sum": [{}],
    "target_connector_quota_limit": [{}],
    "target_connector_quota_used": [{}],
    "target_connector_partitions_assigned": [{}],
    "target_connector_circuit_open": [{}],
    "target_connector_paused": [{}],
    "target_connector_concurrency_slots": [{}],
    "target_connector_pending_bytes": [{}],
    "target_connector_dead_letters_pending": [{}],
    "target_connector_overdue_seconds": [{}],
    "target_connector_commit_age_seconds": [{}],
    "target_connector_start_time_seconds": [{}],
}  # fmt: skip
"""Written out, not taken from the code: the series of the first scrape. The contract's names, then our own."""

LABELS = {"outcome", "reason", "topic", "partition", "version", "source", "condition", "concern", "priority", "by"}
"""Each has a bounded number of values."""

AT_START = Snapshot(
    tally=Counters(),
    events_pending=0,
    updates_pending=0,
    updates_in_flight=0,
    partitions_assigned=0,
    circuit_open=False,
    paused=False,
)


def scrape(snapshot: Snapshot, accept: str = "text/plain") -> Series:
    """The text form, parsed."""
    body, _ = Metrics(lambda: snapshot).render(accept)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(body.decode())
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A series as `scrape` keys it."""
    return name, tuple(sorted(labels.items()))


def test_every_name_and_label_value_of_the_contract_is_there_at_the_start_at_zero() -> None:
    """A series that appears at its first failure has no rate then, and the alert does not fire."""
    scraped = scrape(AT_START)
    expected = {series(name, **labels) for name, all_labels in CONTRACT.items() for labels in all_labels}
    ours = {key for key in scraped if key[0].startswith("target_connector_") and not key[0].endswith("_bucket")}
    assert ours == expected | {series("target_connector_build_info", version="")}
    assert all(scraped[key] == 0.0 for key in expected)


def test_the_process_itself_is_shown() -> None:
    """Memory and CPU of the process belong on the same dashboard."""
    names = {name for name, _ in scrape(AT_START)}
    assert {"python_info", "python_gc_collections_total"} <= names


def test_an_unknown_usage_is_no_sample() -> None:
    """As a 0 it would be an empty window, and its later growth a false alarm of the forecast."""
    assert series("target_connector_quota_used") in scrape(AT_START)
    assert series("target_connector_quota_used") not in scrape(replace(AT_START, quota_used=None))


def test_numbers_are_read_at_the_scrape_and_reconcile() -> None:
    """Consumed = done + pending, in each scrape."""
    tally = Counters(events_consumed=10, updates_accepted=2, updates_dead_lettered=1)
    tally.events_done.update({Done.ACCEPTED: 4, Done.DEAD_LETTERED: 1, Done.SKIPPED: 1, Done.HANDED_OVER: 1})
    tally.requests[Verdict.THROTTLED] = 5
    tally.records_missed[MissedReason.RETENTION] = 40
    snapshot = replace(
        AT_START, tally=tally, events_pending=3, updates_pending=2, updates_in_flight=1, partitions_assigned=4,
        circuit_open=True, paused=True, quota_limit=1_000_000, quota_used=17, slots=8, bytes_pending=4_000,
        letters_pending=6, overdue_seconds=1.5, commit_age_seconds=2.5, start_time_seconds=1.7e9, version="1.2.3",
    )  # fmt: skip
    scraped = scrape(snapshot)
    done = sum(value for (name, _), value in scraped.items() if name == "target_connector_events_done_total")
    pending = scraped[series("target_connector_events_pending")]
    assert scraped[series("target_connector_events_consumed_total")] == done + pending == 10
    assert scraped[series("target_connector_records_missed_total", reason="retention")] == 40
    assert scraped[series("target_connector_records_missed_total", reason="truncation")] == 0
    assert scraped[series("target_connector_updates_total", outcome="accepted")] == 2
    assert scraped[series("target_connector_updates_total", outcome="dead_lettered")] == 1
    assert scraped[series("target_connector_requests_total", outcome="throttled")] == 5
    assert scraped[series("target_connector_updates_pending")] == 2
    assert scraped[series("target_connector_updates_in_flight")] == 1
    assert scraped[series("target_connector_partitions_assigned")] == 4
    assert scraped[series("target_connector_circuit_open")] == 1
    assert scraped[series("target_connector_paused")] == 1
    assert scraped[series("target_connector_quota_limit")] == 1_000_000
    assert scraped[series("target_connector_quota_used")] == 17
    assert scraped[series("target_connector_concurrency_slots")] == 8
    assert scraped[series("target_connector_pending_bytes")] == 4_000
    assert scraped[series("target_connector_dead_letters_pending")] == 6
    assert scraped[series("target_connector_overdue_seconds")] == 1.5
    assert scraped[series("target_connector_commit_age_seconds")] == 2.5
    assert scraped[series("target_connector_start_time_seconds")] == 1.7e9
    assert scraped[series("target_connector_build_info", version="1.2.3")] == 1


def test_lag_has_a_series_a_partition_with_any_topic_name() -> None:
    """Topic names contain dots and dashes; the label is the unchanged name."""
    scraped = scrape(replace(AT_START, consumer_lag={("a.b-c_d", 0): 7, ("a.b-c_d", 11): 0}))
    assert scraped[series("target_connector_consumer_lag", topic="a.b-c_d", partition="0")] == 7
    assert scraped[series("target_connector_consumer_lag", topic="a.b-c_d", partition="11")] == 0


def test_skips_have_a_series_for_each_condition_of_the_mapping_from_the_start() -> None:
    """A rate needs the 0 before the first skip; source and condition are texts of the mapping, never of an event."""
    tally = Counters()
    tally.expect_skips("crm", ["op is c", 'app is "shop"'])
    tally.skipped("crm", "op is c")
    scraped = scrape(replace(AT_START, tally=tally, schema_waits=2))
    name = "target_connector_events_skipped_total"
    assert scraped[series(name, source="crm", condition="op is c")] == 1
    assert scraped[series(name, source="crm", condition='app is "shop"')] == 0
    assert scraped[series("target_connector_schema_waits")] == 2


def test_the_age_of_pending_updates_and_the_retention_have_a_series_a_topic() -> None:
    """The alert before a loss divides one by the other: their labels must be equal."""
    scraped = scrape(replace(AT_START, oldest_pending={"a.b": 0.0, "c": 7.5}, retention={"c": 604_800.0}))
    ages = [value for (name, _), value in scraped.items() if name == "target_connector_oldest_pending_seconds"]
    assert ages == [0.0, 7.5]
    assert scraped[series("target_connector_retention_seconds", topic="c")] == 604_800
    assert series("target_connector_retention_seconds", topic="a.b") not in scraped, "0 would be wrong"


def test_the_token_s_end_is_a_sample_only_where_it_is_known() -> None:
    """A 0 for an unknown one would fire the alert for each token by hand; one that has ended is below."""
    name = series("target_connector_token_expires_seconds")
    assert name not in scrape(AT_START)
    assert scrape(replace(AT_START, token_expires_seconds=-60.0))[name] == -60


def test_histograms_are_cumulative_and_in_seconds() -> None:
    """Quantiles are computed from cumulative buckets; a wrong bucket gives no error."""
    tally = Counters()
    for seconds in (0.001, 0.005, 0.03, 99.0):
        tally.request_seconds.observe(seconds)
    for _ in range(3):
        tally.event_age_seconds.observe(2.0)
    scraped = scrape(replace(AT_START, tally=tally))
    name = "target_connector_request_duration_seconds"
    assert scraped[series(name + "_bucket", le="0.005")] == 2
    assert scraped[series(name + "_bucket", le="0.05")] == 3
    assert scraped[series(name + "_bucket", le="30.0")] == 3
    assert scraped[series(name + "_bucket", le="+Inf")] == scraped[series(name + "_count")] == 4
    assert scraped[series(name + "_sum")] == pytest.approx(99.036)
    assert scraped[series("target_connector_event_age_seconds_count")] == 3
    assert scraped[series("target_connector_event_age_seconds_sum")] == 6


def test_the_form_follows_the_accept_header() -> None:
    """Prometheus asks for OpenMetrics; curl gets text 0.0.4."""
    metrics = Metrics(lambda: AT_START)
    _, plain = metrics.render("")
    body, fancy = metrics.render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert plain.startswith("text/plain; version=0.0.4")
    assert fancy.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert families["target_connector_events_done"].type == "counter"
    assert families["target_connector_request_duration_seconds"].unit == "seconds"


def test_two_processes_in_one_interpreter_do_not_share() -> None:
    """The demo and the tests run several; a process-wide registry would refuse the second."""
    first, second = Metrics(lambda: AT_START), Metrics(lambda: replace(AT_START, updates_pending=5))
    assert b"target_connector_updates_pending 0.0" in first.render("")[0]
    assert b"target_connector_updates_pending 5.0" in second.render("")[0]


def test_a_scrape_reads_once_and_making_the_metrics_reads_nothing() -> None:
    """One snapshot per scrape makes the numbers reconcile; before the start there is none to read."""
    reads: list[int] = []

    def read() -> Snapshot:
        reads.append(1)
        return AT_START

    metrics = Metrics(read)
    assert reads == []
    metrics.render("")
    assert reads == [1]


def test_definitions_follow_the_naming_rules() -> None:
    """Prefix, `_total` on counters alone, base units, a help sentence, and no unbounded label."""
    for each in DEFINITIONS:
        assert each.name.startswith("target_connector_")
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.name.endswith("_seconds") == (each.unit == "seconds")
        assert each.help.endswith(".")
        assert set(each.labels) <= {
            "outcome",
            "reason",
            "topic",
            "partition",
            "version",
            "source",
            "condition",
            "concern",
            "priority",
            "by",
        }
    assert len({each.name for each in DEFINITIONS}) == len(DEFINITIONS)
