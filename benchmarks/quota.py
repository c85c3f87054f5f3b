"""`python -m benchmarks.quota`: what the quota costs: CPU for leases, waits for the ledger, a start with a full day.

Three questions, each with its verdict: does asking for leases take more than a hundredth of a core at full rate; does
an update ever wait for the ledger while something is free; does reading a day of the ledger take a second.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.events import TOPIC_PARTITIONS, one_each
from benchmarks.nginx import endpoint
from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.kafka.config import KafkaConfig
from connector.kafka.quota_log import KafkaQuotaLog
from connector.kafka.quota_topic import QuotaTopic, prepare
from connector.ops.logs import VisitorIds, configure
from connector.quota.lease_manager import Demand, LeaseManager
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.ports import Appended
from connector.quota.records import Reserve, Return, decode, encode
from connector.service.service import Service
from connector.settings import load
from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.prepare import obtain

DAY = QuotaPolicy(limit=1_000_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
RATE = 200
UPDATES = 4_000
REPLICAS = 16
DAY_RECORDS = REPLICAS * 1_440 * 2
"""A lease a minute for each of sixteen replicas, and its return."""
MOST_CPU = 0.01
MOST_START_SECONDS = 1.0
BOUNDS = (0.0, 0.001, 0.005, 0.02, 0.1, 1.0)


def main() -> int:
    """Exit code 1 when a bound is missed."""
    table = Table("question", "measured", "bound", "verdict")
    share = lease_cpu()
    table.add_row(
        "CPU of a core for leases at 200 updates/s, 16 replicas' ledger",
        f"{share:.3%}",
        f"{MOST_CPU:.0%}",
        _ok(share <= MOST_CPU),
    )
    with tempfile.TemporaryDirectory() as made, endpoint(Path(made)) as url:
        broker = KafkaBroker(obtain(), Path(made) / "kafka")
        broker.start()
        try:
            ours, bare = start(broker)
            measured = f"{ours:.2f} s ({ours / bare:.1f} x a bare consumer, {DAY_RECORDS:,} records)"
            table.add_row("start with a full day's ledger", measured, "1 s", _ok(ours <= MOST_START_SECONDS))
            waits = waited(broker, url)
        finally:
            broker.stop()
    late = sum(count for bound, count in waits.items() if bound > 0)
    shown = ", ".join(f"{count} waited {_under(bound)}" for bound, count in sorted(waits.items()))
    table.add_row(f"{UPDATES:,} updates that wait for the ledger, after the first", shown, "0", _ok(late == 0))
    Console(width=140).print(table)
    return int(share > MOST_CPU or ours > MOST_START_SECONDS or late > 0)


def lease_cpu() -> float:
    """The share of a core that an hour at full rate takes, with the ledger of a day of sixteen replicas in memory."""
    holder = LeaseManager(DAY, QuotaBudget(unlimited=False), random.Random(1), who="me", name="me", offset=0.0)
    for value, appended in day():
        holder.read(decode(value), appended, appended)
    holder.caught_up = True
    need = Demand(waiting=100, in_flight=10, partitions=4, per_second=RATE)
    now = day_end = 86_400.0
    began = time.process_time()
    while now < day_end + 3_600:
        for record in holder.decide(now, need):
            holder.read(decode(encode(record)), now + 0.003, now + 0.004)
        for grant in list(holder.allowance.grants):
            grant.left = max(0, grant.left - RATE)
        now += 1.0
    return (time.process_time() - began) / 3_600


def day() -> list[Appended]:
    """The ledger of a full day: a lease a minute for each replica, a part of it given back."""
    records: list[tuple[float, bytes]] = []
    for replica in range(REPLICAS):
        for minute in range(1_440):
            at = 60.0 * minute + replica
            reserve = Reserve(
                holder=f"{replica:016x}",
                lease=minute,
                updates=43,
                limit=10**6,
                counted=DAY.counted,
                held=60.0,
                name="pod",
            )
            records.append((at, encode(reserve)))
            records.append((at + 50, encode(Return(f"{replica:016x}", minute, 3))))
    records.sort(key=lambda record: record[0])
    return [(value, at) for at, value in records]


class _Reading:
    """Folds until the end is reached."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.done = asyncio.get_running_loop().create_future()

    def read(self, batch: Sequence[Appended]) -> None:
        for value, appended in batch:
            if (record := decode(value)) is not None:
                self.ledger.apply(record, appended)

    def caught_up(self) -> None:
        self.done.set_result(None)

    def delayed(self, reason: str) -> None:
        raise RuntimeError(reason)

    def shortened(self) -> None:
        msg = "records of the day were deleted"
        raise RuntimeError(msg)

    def failed(self, error: Exception) -> None:
        self.done.set_exception(error)


def start(broker: KafkaBroker) -> tuple[float, float]:
    """Seconds until the ledger of a day is read and folded, and until a bare consumer has read it."""
    config = KafkaConfig(bootstrap_servers=broker.bootstrap, topics=("none",), group_id="bench")
    topic = QuotaTopic("bench.quota", DAY.window, DAY.counted)
    prepare(config, topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 50})
    for value, _ in day():
        while True:
            try:
                producer.produce(topic.name, value, partition=0)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()

    async def ours() -> float:
        log, reading = KafkaQuotaLog(config, topic), _Reading()
        began = time.monotonic()
        log.start(reading)
        await reading.done
        seconds = time.monotonic() - began
        await log.close(5.0)
        return seconds

    def bare() -> float:
        began = time.monotonic()
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "bare"})
        consumer.assign([TopicPartition(topic.name, 0, 0)])
        left = DAY_RECORDS
        while left:
            left -= len(consumer.consume(min(left, 5_000), 1.0))
        seconds = time.monotonic() - began
        consumer.close()
        return seconds

    uvloop.run(ours())  # Warms the broker.
    return min(uvloop.run(ours()) for _ in range(3)), min(bare() for _ in range(3))


class _Watched(QuotaBudget):
    """Measures how long no quota was in hand while an update was due."""

    def __init__(self, real: QuotaBudget, service: Service) -> None:
        super().__init__(unlimited=False)
        self.grants = real.grants
        self.wanted = real.wanted
        self.waits: list[float] = []
        self._service = service
        self._since = 0.0
        self._first = True

    def current(self, boottime: float) -> QuotaGrant | None:
        grant = super().current(boottime)
        due = self._service.pipeline.state.coalescer.due_in(asyncio.get_running_loop().time()) <= 0
        if grant is None and due and not self._since:
            self._since = boottime
        elif grant is not None and self._since:
            if not self._first:
                self.waits.append(boottime - self._since)
            self._first, self._since = False, 0.0
        return grant


def waited(broker: KafkaBroker, url: str) -> Counter[float]:
    """Upper bound of how many updates at full rate found no quota in hand; the first lease is not counted."""
    topic = broker.unique_topic("waits", TOPIC_PARTITIONS)
    broker.produce(topic, ((key, value, None) for key, value in one_each(UPDATES, seed=1)))
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "KAFKA_TOPICS": topic,
            "KAFKA_GROUP_ID": topic,
            "TARGET_CLIENT_CODE": "bench",
            "TARGET_BASE_URL": url,
            "COALESCE_LINGER_SECONDS": "0",
            "OPS_PORT": "0",
        }
    )

    async def run() -> list[float]:
        configure("warning", "json", VisitorIds.HASH, sys.stderr, [])
        service = Service(settings)
        watched = service.pipeline.state.gate.allowance = _Watched(service.pipeline.state.gate.allowance, service)
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))
        while service.pipeline.state.counters.updates_accepted < UPDATES:  # noqa: ASYNC110 - the service rings no bell for us
            await asyncio.sleep(0.05)
        stop.set()
        await running
        return watched.waits

    waits = uvloop.run(run())
    found = Counter(next((bound for bound in BOUNDS if wait <= bound), float("inf")) for wait in waits)
    found[0.0] += UPDATES - len(waits)
    return found


def _under(bound: float) -> str:
    return "not at all" if not bound else f"up to {bound * 1_000:g} ms" if bound < float("inf") else "longer"


def _ok(good: bool) -> str:  # noqa: FBT001 - a verdict is one
    return "ok" if good else "not as promised"


if __name__ == "__main__":
    sys.exit(main())
