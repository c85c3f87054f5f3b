"""The quota of the whole group on a real broker, judged by the endpoint's own log of requests."""

import json
import random
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.kafka.client import Kafka
from tests.support.oracle import plain_events
from tests.support.process import ColdConnector, Program, Sandbox, environment

LIMIT, WINDOW = 600, 30.0
SECONDS = 90.0
REPLICAS = 3
LEAST_USE = 0.8
"""In a short window lease and margin weigh more, and each kill leaves its lease counted."""


def test_three_replicas_keep_the_quota_through_kill_9(kafka: Kafka, tmp_path: Path) -> None:
    """Limits per replica would send three times as much, and one that a restart forgets sends it again."""
    topic = kafka.unique_topic("quota", 6)
    rng = random.Random(1)
    events = plain_events(rng, 4_000, 4_000)  # More than the windows of the test hold.
    kafka.produce(topic, [(event.key, event.value, None) for event in events])
    with ExitStack() as running:
        sandbox = running.enter_context(Sandbox(tmp_path, "--fault", "status=503,p=0.02"))
        settings = environment(
            kafka.bootstrap, topic, sandbox.url, QUOTA_UPDATES=LIMIT, QUOTA_WINDOW_SECONDS=WINDOW, KAFKA_GROUP_ID=topic
        )
        replicas = [running.enter_context(ColdConnector(tmp_path, settings)) for _ in range(REPLICAS)]
        replicas[0].until(lambda: sandbox.stats()["requests"] > 0, "the first request")
        began = time.monotonic()
        kill_at = began + rng.uniform(8, 15)
        while (now := time.monotonic()) < began + SECONDS:
            if now >= kill_at:
                victim = rng.randrange(REPLICAS)
                replicas[victim].kill9()
                replicas[victim] = running.enter_context(ColdConnector(tmp_path, settings))
                kill_at = now + rng.uniform(15, 25)
            time.sleep(0.2)  # Real time is under test: the window moves.
        # The last killed replica may be this one: it reports usage once the ledger has been read.
        replicas[0].until(lambda: "target_connector_quota_used" in replicas[0].metrics(), "it knows what is used")
        metrics, at = replicas[0].metrics(), time.monotonic()
        for replica in replicas:
            replica.terminate()
        for replica in replicas:
            assert replica.wait() == 0
        with Program(tmp_path, ["quota", "--format", "json"], settings) as command:
            assert command.wait() == 0
            told, told_at = json.loads(command.stdout), time.monotonic()
        # The sandbox and this process have the same monotonic clock.
        times = sorted(entry["start"] for entry in sandbox.log())
    fullest = max(bisect_left(times, at + WINDOW) - number for number, at in enumerate(times))
    assert fullest <= LIMIT
    most = LIMIT * (int((times[-1] - times[0]) / WINDOW) + 1)
    assert len(times) >= LEAST_USE * most, f"{len(times)} of {most}"
    assert metrics["target_connector_quota_limit"] == LIMIT
    assert _within(times, at) <= metrics["target_connector_quota_used"] <= LIMIT
    assert _within(times, told_at) <= told["used"] <= LIMIT
    assert told["leases"] == [], "an orderly stop returns its leases"


def _within(times: Sequence[float], now: float) -> int:
    """Requests of the window that ends now."""
    return bisect_left(times, now) - bisect_left(times, now - WINDOW)
