"""`connector plan` on a real broker: it must read everything once, and change nothing."""

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.plan import merge
from tests.support.fakes import event
from tests.support.kafka.client import Kafka
from tests.support.process import Command

HOUR_MS = 3_600_000
LINGERS = [0.0, 60.0, 600.0]
PARTITIONS = 32
"""Most of them empty: of many each may hold few records, so that few are enough to be ahead."""
OTHERS = re.compile(r"(?!plan)[a-z-]+-[0-9a-f]{8}")
"""The names that tests give to groups: other ones run on the same broker meanwhile."""
Log = list[tuple[int, str, bytes | None]]
"""(milliseconds since the epoch, visitor, value)."""


def produce(kafka: Kafka, topic: str, logs: Sequence[Log]) -> None:
    """Write records with timestamps of their own, a list for each partition."""
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            # A batch that is sent again, since a new topic has no leader yet, may not fall behind the next one.
            "enable.idempotence": True,
        }
    )
    for partition, log in enumerate(logs):
        for ms, visitor, value in log:
            producer.produce(topic, value, visitor, partition, timestamp=ms)
    assert producer.flush(60) == 0


def plan(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Command:
    """Run the command."""
    with Command(folder, ["plan", *arguments], environ) as program:
        program.wait(300)
    return program


def around(kafka: Kafka, topics: str, **others: str) -> dict[str, str]:
    """Its environment, without an account: it needs none."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA_TOPICS": topics, **others}


def report(program: Command) -> Any:
    """Its JSON, of a run that succeeded and printed nothing else."""
    assert (program.exit_code, program.stderr) == (0, "")
    return json.loads(program.stdout)


def updates(records: Iterable[tuple[int, str]], linger: float, request: float = 0.1) -> int:
    """A simple reference: an update merges all that comes before its linger ends and the previous one is answered."""
    goes: dict[str, float] = {}
    count = 0
    for ms, visitor in sorted(records):
        at = ms / 1_000
        if visitor in goes and at <= goes[visitor]:
            continue
        free = goes.get(visitor, 0.0) + request
        goes[visitor] = max(at + linger, free)
        count += 1
    return count


def test_partitions_of_different_times_are_read_whole_and_by_time(kafka: Kafka, tmp_path: Path) -> None:
    """Partitions that are ahead are paused, which drops fetched records: none may be lost, doubled, or out of order."""
    topic, other = kafka.unique_topic("plan", PARTITIONS - 1), kafka.unique_topic("plan-more", 1)
    now = int(time.time() * 1_000) - 1_000
    count = merge.WAITING_RECORDS // PARTITIONS * 3
    early = [(now - 10 * HOUR_MS + number * 4 * HOUR_MS // count, f"e{number % 500}") for number in range(count)]
    late = [(now - 5 * HOUR_MS + number * 4 * HOUR_MS // count, f"l{number % 500}") for number in range(count)]
    few = [(now - 9 * HOUR_MS + number * HOUR_MS, f"e{number}") for number in range(9)]
    more = [(now - 3 * HOUR_MS, "e1"), (now - 3 * HOUR_MS + 5_000, "l1")]
    value = event("x", n=1)

    def log(records: Iterable[tuple[int, str]]) -> Log:
        return [(ms, visitor, value.replace(b'"x"', f'"{visitor}"'.encode())) for ms, visitor in records]

    produce(kafka, topic, [log(early), log(late), log(few)])
    produce(kafka, other, [[*log(more), (now, "t", None), (now, "r", b"{}"), (now, "n", event("n", x=None))]])
    environ = around(kafka, f"{topic},{other}", TARGET_MAX_UPDATES_PER_SECOND="0", KAFKA_GROUP_ID=topic)
    before = groups(kafka)
    found = report(plan(tmp_path, ["--format", "json", "--linger", *map(str, LINGERS), "--quota", "100000"], environ))
    everything = [*early, *late, *few, *more]
    assert (found["records"], found["missing"]) == (len(everything) + 3, 0)
    assert (found["tombstones"], found["refused"], found["empty"], found["timeless"]) == (1, 1, 1, 0)
    assert found["first_refused"].startswith(f"{other}/0 offset 3: profile must ")
    expected = {linger: updates(everything, linger) for linger in LINGERS}
    assert {row["linger"]: row["updates"] for row in found["lingers"]} == expected
    # All values are the same, so only the first update of each visitor has anything new.
    visitors = len({visitor for _, visitor in everything})
    for row in found["lingers"]:
        changed = row["without_unchanged"]["updates_per_day"] * found["seconds"] / 86_400
        assert (round(changed), row["with_unchanged"]["updates_per_day"]) == (visitors, row["updates_per_day"])
    assert 10 * 3_600 <= found["seconds"] < 10 * 3_600 + 120
    assert found["lingers"][2]["quota_share"] == pytest.approx(expected[600.0] * 2.4 / 100_000, rel=0.01)
    assert any("hold only 10 h of the 24 h asked for" in line for line in found["advice"])
    assert not [group for group in groups(kafka) - before if not OTHERS.fullmatch(group)]
    assert kafka.committed(topic, topic) == {}


def groups(kafka: Kafka) -> set[str]:
    """The groups that the broker knows."""
    admin = kafka.admin()
    return {group.group_id for group in admin.list_consumer_groups().result(60).valid}


def test_only_the_hours_asked_for_are_read(kafka: Kafka, tmp_path: Path) -> None:
    """Older records only show that the time before the first record was quiet."""
    topic = kafka.unique_topic("plan-hours", 1)
    now = int(time.time() * 1_000)
    produce(kafka, topic, [[(now - hours * HOUR_MS, "a", event("a", n=1)) for hours in (30, 20, 10, 2)]])
    text = plan(tmp_path, ["--hours", "12"], around(kafka, topic, QUOTA_UPDATES="500000", QUOTA_WINDOW_SECONDS="3600"))
    assert (text.exit_code, text.stderr) == (0, "")
    assert text.stdout.startswith(f"{topic}: 2 records in 12 h (0 refused; 0 tombstones; 0 with nothing to send)\n")
    assert "COALESCE_LINGER_SECONDS=0: the shortest of these that fits 500,000 updates in 1 h" in text.stdout
    assert "hold only" not in text.stdout
    assert max(map(len, text.stdout.splitlines())) <= 100
    assert "…" not in text.stdout
    none = plan(tmp_path, ["--hours", "1"], around(kafka, topic))
    assert none.exit_code == 0
    assert none.stdout == (
        f"{topic}: no records\n"
        "- No record is of the last 1 h by its timestamp, so there is nothing to forecast; try more --hours.\n"
    )
    assert report(plan(tmp_path, ["--hours", "1", "--format", "json"], around(kafka, topic)))["lingers"] == []


def test_a_read_failure_is_reported_with_a_remedy(kafka: Kafka, tmp_path: Path) -> None:
    """One line and code 1: no traceback, no forecast of half a topic, no waiting for ever."""
    with ThreadPoolExecutor(3) as pool:
        missing, nobody, wrong = pool.map(
            lambda environ: plan(tmp_path, [], environ),
            (
                around(kafka, "not-there"),
                {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t"},
                around(kafka, "t", KAFKA_SECURITY_PROTOCOL="ssl"),
            ),
        )
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr == (
        "connector plan: Kafka cannot be read: the topic not-there does not exist; "
        "create the topic or correct KAFKA_TOPICS\n"
    )
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert "check KAFKA_BOOTSTRAP_SERVERS" in nobody.stderr
    assert nobody.stderr.count("\n") == 1
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    # The broker may close the connection before librdkafka knows why; the remedy is the same.
    assert "check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION against the listener" in wrong.stderr


def test_settings_and_unknown_visitors_change_the_forecast_as_it_is(kafka: Kafka, tmp_path: Path) -> None:
    """Wrong design: the forecast takes the defaults, or the option reaches the table and not the object."""
    topic = kafka.unique_topic("plan-savings", 1)
    now = int(time.time() * 1_000)
    old = event("old", n=1).replace(b"{", b'{"occurredAt":"2024-01-01T00:00:00Z","priority":"low",', 1)
    same: Log = [(now - 8 * HOUR_MS + number * 60_000, "a", event("a", n=1)) for number in range(9)]
    produce(kafka, topic, [[*same, (now, "old", old)]])
    environ = around(kafka, topic, TARGET_MAX_UPDATES_PER_SECOND="0")
    options = ["--hours", "24", "--linger", "1", "--unknown-share", "0.1"]
    text = plan(tmp_path, options, environ)
    assert (text.exit_code, text.stderr) == (0, "")
    assert max(map(len, text.stdout.splitlines())) <= 100
    for name in (
        "COALESCE_UNCHANGED_SECONDS",
        "EVENT_MAX_AGE_SECONDS",
        "QUOTA_LOW_SHARE",
        "TARGET_UNKNOWN_VISITOR_WAIT",
    ):
        assert f"- {name}" in text.stdout
    (row,) = report(plan(tmp_path, [*options, "--format", "json"], environ))["lingers"]
    assert (row["updates"], row["updates_per_day_by_class"]["low"]) == (10, pytest.approx(row["updates_per_day"] / 10))
    assert row["updates_per_day_older_than"]["604800"] == pytest.approx(row["updates_per_day"] / 10)
    limits = {"COALESCE_UNCHANGED_SECONDS": "3600", "EVENT_MAX_AGE_SECONDS": "86400"}
    found = report(plan(tmp_path, [*options, "--format", "json"], environ | limits))
    (row,) = found["lingers"]
    assert (found["unchanged_seconds"], found["calls_per_update"], row["updates"]) == (3_600, 1.2, 1)
    assert row["updates_per_day"] == pytest.approx(1.2 * 86_400 / found["seconds"])
    environ |= {"TARGET_UNKNOWN_VISITOR_WAIT_SECONDS": "0"}
    assert report(plan(tmp_path, [*options, "--format", "json"], environ))["calls_per_update"] == 1
