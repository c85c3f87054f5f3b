"""`make bench`: comparisons in pairs A B A B, judged by the median ratio, so that a noisy machine matters little."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.events import TOPIC_PARTITIONS, one_each, zipf
from benchmarks.nginx import endpoint
from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.prepare import obtain

INTAKE_BOUND = 1.6
UNCHANGED_BOUND = INTAKE_BOUND + 0.15
AGE_BOUND = 2 * INTAKE_BOUND
"""An age needs the time of every value, and parses it where an event says it."""
WIRE_BOUND = 1.4


def main() -> int:
    """Run both comparisons; exit code 1 when a bound is passed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--events", type=int, default=500_000, help="records of the intake comparison")
    parser.add_argument("--visitors", type=int, default=40_000, help="visitors among them, Zipf-like")
    parser.add_argument("--requests", type=int, default=40_000, help="records, and so requests, of the wire comparison")
    parser.add_argument("--pairs", type=int, default=5, help="how often each pair is run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, endpoint(Path(made)) as url:
        broker = KafkaBroker(obtain(), Path(made) / "kafka")
        broker.start()
        try:
            return _compare(broker, url, args)
        finally:
            broker.stop()


def _compare(broker: KafkaBroker, url: str, args: argparse.Namespace) -> int:
    many = _fill(broker, "intake", zipf(args.events, args.visitors, seed=1))
    single = _fill(broker, "wire", one_each(args.requests, seed=1))
    kafka = {"bootstrap": broker.bootstrap}
    intake = _pairs(args.pairs, "intake", "bare-intake", args.events, {**kafka, "topic": many})
    unchanged = _pairs(args.pairs, "intake-unchanged", "bare-intake", args.events, {**kafka, "topic": many})
    age = _pairs(args.pairs, "intake-age", "bare-intake", args.events, {**kafka, "topic": many})
    wire = _pairs(args.pairs, "wire", "bare-wire", args.requests, {**kafka, "topic": single, "endpoint": url})
    table = Table("comparison", "ours, µs each", "bare, µs each", "ratio (median)", "range", "bound", "verdict")
    failed = False
    for name, pairs, count, bound in (
        ("intake: consume, decode, coalesce", intake, args.events, INTAKE_BOUND),
        ("intake, with unchanged values left out", unchanged, args.events, UNCHANGED_BOUND),
        ("intake, with a greatest age", age, args.events, AGE_BOUND),
        ("wire: consume to commit, a request an event", wire, args.requests, WIRE_BOUND),
    ):
        ratios = sorted(ours / bare for ours, bare in pairs)
        median = statistics.median(ratios)
        failed |= median > bound
        ours, bare = (statistics.median(side) / count * 1e6 for side in zip(*pairs, strict=True))
        verdict = "ok" if median <= bound else "too slow"
        spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        table.add_row(name, f"{ours:.1f}", f"{bare:.1f}", f"{median:.2f}", spread, f"{bound}", verdict)
    Console(width=140).print(table)
    return int(failed)


def _fill(broker: KafkaBroker, prefix: str, events: Iterable[tuple[bytes, bytes]]) -> str:
    topic = broker.unique_topic(prefix, TOPIC_PARTITIONS)
    broker.produce(topic, ((key, value, None) for key, value in events))
    return topic


def _pairs(pairs: int, ours: str, bare: str, count: int, given: dict[str, str]) -> list[tuple[float, float]]:
    words = [f"count={count}", *(f"{name}={value}" for name, value in given.items())]
    _side(ours, words)  # Warms the broker's page cache and the bytecode.
    return [(_side(ours, words), _side(bare, words)) for _ in range(pairs)]


def _side(side: str, words: list[str]) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.side", side, *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.stderr.write(ran.stdout + ran.stderr)
        msg = f"{side} failed"
        raise RuntimeError(msg)
    seconds: float = json.loads(ran.stdout.splitlines()[-1])["cpu_seconds"]
    return seconds


if __name__ == "__main__":
    sys.exit(main())
