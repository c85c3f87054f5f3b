"""The numbers under load: calls are saved, and no record is unaccounted for at any moment."""

import json
import random
import re
import time
from pathlib import Path

from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, fold, plain_events
from tests.support.process import Connector, Sandbox, environment


def test_a_backlog_of_100000_events_needs_few_requests_and_adds_up_at_every_scrape(
    kafka: Kafka, tmp_path: Path
) -> None:
    """1,000 visitors need about 1,000 calls; consumed = done + pending throughout, not only at the end."""
    topic = kafka.unique_topic("backlog", 4)
    events = plain_events(random.Random(5), 100_000, 1_000)
    kafka.produce(topic, [(key, value, None) for key, value in events])
    scrapes: list[dict[str, float]] = []
    with Sandbox(tmp_path, "--fault", "status=503,p=0.02") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, COALESCE_LINGER_SECONDS=1)
        with Connector(tmp_path, settings) as connector:

            def all_accepted() -> bool:
                scrapes.append(connector.metrics())
                return scrapes[-1]['target_connector_events_done_total{outcome="accepted"}'] >= len(events)

            connector.until(all_accepted, "all is accepted", 150)
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            assert connector.ready()
            assert connector.get("/livez")[0] == 200
            assert connector.get("/nothing")[0] == 404
            assert re.search(rb"<h1>", connector.get("/")[1])
            status = connector.status()
            last = connector.metrics()
            assert connector.stop() == 0
        assert differences(fold(value for _, value in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
        requests = sandbox.stats()["requests"]
    assert 1_000 <= requests < 5_000
    for numbers in scrapes:
        done = sum(number for name, number in numbers.items() if name.startswith("target_connector_events_done_total"))
        pending = numbers["target_connector_events_pending"]
        assert numbers["target_connector_events_consumed_total"] == done + pending
    assert any(numbers["target_connector_events_pending"] > 0 for numbers in scrapes)
    sent = {name: number for name, number in last.items() if name.startswith("target_connector_requests_total")}
    assert sum(sent.values()) == requests
    assert (
        last['target_connector_updates_total{outcome="accepted"}']
        == sent['target_connector_requests_total{outcome="accepted"}']
    )
    assert last["target_connector_partitions_assigned"] == 4
    assert last["target_connector_paused"] == last["target_connector_updates_in_flight"] == 0
    assert status["events"]["consumed"] == status["events"]["accepted"] == len(events)
    assert {(part["partition"], part["committed"]) for part in status["partitions"]} == set(
        kafka.end_offsets(topic).items()
    )
    assert json.dumps(status)


def test_the_rate_of_the_group_is_held_and_memory_is_bounded(kafka: Kafka, tmp_path: Path) -> None:
    """With 100 updates a second and 50 visitors pending at most, consumption pauses, and all arrives in the end."""
    topic = kafka.unique_topic("bounded", 4)
    events = plain_events(random.Random(6), 6_000, 400)
    kafka.produce(topic, [(key, value, None) for key, value in events])
    most = 0.0
    with Sandbox(tmp_path) as sandbox:
        settings = environment(
            kafka.bootstrap,
            topic,
            sandbox.url,
            COALESCE_MAX_VISITORS=50,
            TARGET_MAX_UPDATES_PER_SECOND=100,
            COALESCE_LINGER_SECONDS=0,
        )
        with Connector(tmp_path, settings) as connector:
            connector.until_said("consumption_paused")
            began, before = time.monotonic(), sandbox.stats()["requests"]

            def ended() -> bool:
                nonlocal most
                most = max(most, connector.metrics()["target_connector_updates_pending"])
                return caught_up(kafka, topic)

            connector.until(ended, "all is committed", 150)
            seconds, requests = time.monotonic() - began, sandbox.stats()["requests"] - before
            assert connector.said("consumption_resumed")
            assert connector.stop() == 0
        assert differences(fold(value for _, value in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
    assert requests <= 100 * seconds + 10
    # The bound is checked between batches, so the batches of the two credits may come on top.
    assert most <= 50 + 400
