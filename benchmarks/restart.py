"""How long nothing is sent when a replica ends and another one takes its place at once: four kinds of end.

One replica, defaults throughout, and Kafka's own defaults for groups. Events of new visitors arrive all the time.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.prepare import obtain
from tests.support.oracle import event
from tests.support.process import ColdConnector, Sandbox, until

DEFAULTS: Final = {
    "group.initial.rebalance.delay.ms": "3000",
    "group.min.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "5000",
    "group.consumer.heartbeat.interval.ms": "5000",
    "group.consumer.min.session.timeout.ms": "45000",
    "group.consumer.session.timeout.ms": "45000",
}
"""Kafka's own, which the tests' broker shortens."""
PARTITIONS = 4
EVENTS_A_SECOND = 20
ANSWER_DELAY = "delay=0.05"
SETTLED_UPDATES = 40
"""Updates that are delivered before a replica ends."""
LONGEST_SECONDS = 120.0
POLL_SECONDS = 0.01


class Case(NamedTuple):
    """One kind of end."""

    name: str
    is_static: bool
    is_killed: bool
    target: float
    """Seconds from the end of a replica to the next request, at most."""


CASES: Final = (
    Case("clean, static", is_static=True, is_killed=False, target=3.0),
    Case("killed, static", is_static=True, is_killed=True, target=4.0),
    Case("clean, dynamic", is_static=False, is_killed=False, target=5.0),
    Case("killed, dynamic", is_static=False, is_killed=True, target=20.0),
)


class Flow:
    """Produces events of new visitors over all partitions, until the context ends."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 0})
        self._topic = topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(10)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(1 / EVENTS_A_SECOND):
            key, value = event(f"visitor-{number}", n=number)
            self._producer.produce(self._topic, value, key, number % PARTITIONS)
            self._producer.poll(0)
            number += 1


def gaps(broker: KafkaBroker, folder: Path, case: Case, protocol: str, rounds: int) -> list[float]:
    """Seconds without a request, once for each round."""
    topic = broker.unique_topic("restart", PARTITIONS)
    found = []
    with Sandbox(folder, "--fault", ANSWER_DELAY) as sandbox, Flow(broker.bootstrap, topic):
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "KAFKA_TOPICS": topic,
            "KAFKA_GROUP_ID": topic,
            "KAFKA_GROUP_PROTOCOL": protocol,
            "TARGET_CLIENT_CODE": "bench",
            "TARGET_BASE_URL": sandbox.url,
            "QUOTA_UPDATES": "0",
            "OPS_HOST": "127.0.0.1",
            "OPS_PORT": "0",
            **({"KAFKA_GROUP_INSTANCE_ID": "replica-0"} if case.is_static else {}),
        }
        replica = ColdConnector(folder, settings)
        try:
            for _ in range(rounds):
                wanted = sandbox.stats()["applied"] + SETTLED_UPDATES
                replica.until(lambda: sandbox.stats()["applied"] >= wanted, "it sends", LONGEST_SECONDS)  # noqa: B023 - called in this round
                if case.is_killed:
                    replica.kill9()
                else:
                    replica.stop()
                ended = time.monotonic()
                replica = ColdConnector(folder, settings)
                found.append(_first_request(sandbox, ended) - ended)
            replica.stop()
        finally:
            with suppress(ProcessLookupError):
                replica.kill9()
    return found


def _first_request(sandbox: Sandbox, ended: float) -> float:
    """When the first request began that came after the end of the last replica."""

    def began() -> float | None:
        return min((line["start"] for line in sandbox.log() if line["start"] > ended), default=None)

    return until(began, LONGEST_SECONDS, "the next replica sends") or 0.0


def main() -> int:
    """Run the cases; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restart", description=__doc__)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument("--rounds", type=int, default=3, help="ends of each kind")
    args = parser.parse_args()
    table = Table("the replica ends", "seconds to the next request (median)", "each", "target", "verdict")
    failed = False
    with tempfile.TemporaryDirectory() as made:
        broker = KafkaBroker(obtain(), Path(made) / "kafka", properties=DEFAULTS)
        broker.start()
        try:
            for case in CASES:
                found = gaps(broker, Path(made), case, args.protocol, args.rounds)
                median = statistics.median(found)
                failed |= median > case.target
                each = ", ".join(f"{seconds:.1f}" for seconds in sorted(found))
                verdict = "ok" if median <= case.target else "too long"
                table.add_row(case.name, f"{median:.1f}", each, f"{case.target:.0f}", verdict)
        finally:
            broker.stop()
    Console(width=120).print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
