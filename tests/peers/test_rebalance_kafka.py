"""How peers lost records in a cooperative rebalance, each as a test on the real broker."""

import asyncio
import ctypes
import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from connector.decoding import EventReader
from connector.delivery.answer import Answer
from connector.delivery.retry import RetryPolicy
from connector.events import JsonDecoder
from connector.kafka.config import KafkaConfig
from connector.kafka.consumer import ConsumerThread
from connector.pipeline import Pipeline, PipelineConfig
from connector.pipeline.ports import Clocks, Ports
from connector.target.render import Renderer, Request
from tests.support.bench import quiet
from tests.support.fakes import FakeDeadLetters, FakeSender, event, parse
from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, fold
from tests.support.process import START_SECONDS, Connector, Sandbox, environment
from tests.support.process import until as wait_until
from tests.support.scene import PROTOCOLS, at_once

SETTLE_SECONDS = 90.0
HELD = 10
"""Of each partition, the record whose answer is held back: the commit stands there."""
WAVE = 300
"""Events of as many visitors, to eight partitions."""


class Holding(FakeSender):
    """An endpoint whose answers to one visitor of each partition wait for `release`."""

    def __init__(self, *, free: bool) -> None:
        super().__init__()
        self.release = asyncio.Event()
        if free:
            self.release.set()

    async def send(self, request: Request) -> Answer:
        visitor, _ = parse(request)
        if int(visitor.partition(".")[2]) == HELD:
            await self.release.wait()
        return await super().send(request)


class Member:
    """The pipeline on the real consumer thread, in this process. Leaving the context is its SIGTERM."""

    def __init__(self, kafka: Kafka, topic: str, protocol: str, *, free: bool) -> None:
        quick = {"max.poll.interval.ms": "1000"}  # The least that is kept: 60 s and the request's timeout.
        if protocol == "classic":
            quick |= {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}
        self.sender = Holding(free=free)
        self.pipeline = Pipeline(
            PipelineConfig(
                RetryPolicy(0.5, 60.0, 10),
                linger=0.0,
                updates_per_second=0.0,
                commit_interval=0.05,
                request_timeout=1.0,
            ),
            Ports(
                ConsumerThread(
                    KafkaConfig(kafka.bootstrap, (topic,), topic, protocol, properties=quick, request_timeout=1.0)
                ),
                self.sender,
                FakeDeadLetters(),
            ),
            reader=EventReader(JsonDecoder(), {}, ""),
            render=Renderer("/u"),
            rng=random.Random(0),
            clocks=Clocks(time.monotonic),
        )
        self._stop = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self.pipeline.run(self._stop))

    @property
    def owned(self) -> set[int]:
        """Numbers of its partitions."""
        return {name.partition for name in self.pipeline.state.partitions}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is not None:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SETTLE_SECONDS:.0f} s: {what}"
        await asyncio.sleep(0.02)


async def _append(kafka: Kafka, topic: str, numbers: range) -> None:
    records = [(None, event(f"{p}.{n}", a=n), p) for n in numbers for p in range(4)]
    await asyncio.to_thread(kafka.produce, topic, records)


def _offsets(kafka: Kafka, topic: str) -> dict[int, int]:
    return {partition: where.offset for partition, where in kafka.committed(topic, topic).items()}


def _done(partitions: Iterable[int]) -> set[str]:
    """Visitors of these partitions' first fifty records, without those that are held."""
    return {f"{p}.{n}" for p in partitions for n in range(50) if n != HELD}


async def _until_committed(kafka: Kafka, topic: str, wanted: dict[int, int]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := await asyncio.to_thread(_offsets, kafka, topic)) != found | wanted:
        assert time.monotonic() < deadline, f"committed is {found}, and should become {wanted}"
        await asyncio.sleep(0.05)


def test_connect_4010_pending_updates_of_a_revoked_partition_reach_its_next_owner(kafka: Kafka, tmp_path: Path) -> None:
    """Issue redpanda-data/connect #4010: each revoked partition lost the pending records of its batch, 10,433 in all.

    Catches a design that commits the polled position at a revoke, or drops at a revoke what is in its linger. The
    linger is long and each visitor has one event, so each revoke finds a full window, and nothing hides a loss.
    """

    def case(protocol: str) -> None:
        topic = kafka.unique_topic("window", 8)
        events = [(f"v{number}".encode(), event(f"v{number}", a=number)) for number in range(4 * WAVE)]
        with ExitStack() as stack:
            sandbox = stack.enter_context(Sandbox(tmp_path))
            settings = environment(
                kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol, COALESCE_LINGER_SECONDS=12
            )

            def start() -> Connector:
                return stack.enter_context(Connector(tmp_path, settings))

            def sample(name: str, *replicas: Connector) -> list[int]:
                return [int(replica.metrics()[f"target_connector_{name}"]) for replica in replicas]

            def wave(number: int, *replicas: Connector) -> None:
                """Fill the window; returns as soon as it is consumed."""
                before = sum(sample("events_consumed_total", *replicas))
                kafka.produce(topic, [(*pair, None) for pair in events[number * WAVE : (number + 1) * WAVE]])
                wait_until(
                    lambda: sum(sample("events_consumed_total", *replicas)) >= before + WAVE,
                    START_SECONDS,
                    "it is taken",
                )

            def owned(*replicas: Connector) -> list[int]:
                return sample("partitions_assigned", *replicas)

            first, second = start(), start()
            wait_until(lambda: owned(first, second) == [4, 4], START_SECONDS, "each has four")
            handed_over = 0
            wave(0, first, second)
            third, fourth = start(), start()
            while owned(first, second, third, fourth) != [2, 2, 2, 2]:
                time.sleep(0.05)
            wave(1, first, second, third, fourth)
            handed_over += sum(sample('events_done_total{outcome="handed_over"}', first, second))
            assert second.stop() == 0
            wait_until(lambda: sum(owned(first, third, fourth)) == 8, START_SECONDS, "three have all")
            wave(2, first, third, fourth)
            fifth = start()
            wait_until(lambda: owned(first, third, fourth, fifth) == [2, 2, 2, 2], START_SECONDS, "four have all")
            wave(3, first, third, fourth, fifth)
            first.until(lambda: caught_up(kafka, topic), "all is committed")
            for replica in (first, third, fourth, fifth):
                handed_over += sum(sample('events_done_total{outcome="handed_over"}', replica))
                assert replica.stop() == 0
            assert handed_over > 0, "no revoke found a pending update, so this proved nothing"
            assert differences(fold(value for _, value in events), sandbox.profiles()) == []
            assert sandbox.stats()["requests"] <= len(events) + 40, "a handed-over update is sent by one owner only"
            sandbox.assert_no_rule_was_broken()
        assert kafka.read_all(f"{topic}.dead-letter") == []

    at_once(case, [(protocol,) for protocol in PROTOCOLS])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connect_4009_an_answer_after_the_revoke_commits_nothing_for_the_next_owner(
    kafka: Kafka, protocol: str
) -> None:
    """Pull request redpanda-data/connect #4009: state that outlived a cooperative revoke was committed after it.

    Catches a design that settles by partition and offset and not by assignment: late answers would move the commit
    of a partition that another member owns, past unsettled records, or back behind settled ones.
    """
    topic = kafka.unique_topic("late", 4)

    async def main() -> None:
        await _append(kafka, topic, range(50))
        async with Member(kafka, topic, protocol, free=False) as first:
            await _until_committed(kafka, topic, dict.fromkeys(range(4), HELD))
            async with Member(kafka, topic, protocol, free=True) as second:
                await _until(lambda: len(first.owned) == len(second.owned) == 2, "each has two")
                await _append(kafka, topic, range(50, 60))
                theirs = dict.fromkeys(second.owned, 60)
                await _until_committed(kafka, topic, theirs)
                needed = {f"{p}.{n}" for p in theirs for n in (HELD, *range(50, 60))}
                assert second.sender.profiles.keys() >= needed
                assert first.sender.profiles.keys() | second.sender.profiles.keys() >= needed | _done(theirs)
                first.sender.release.set()
                await _until_committed(kafka, topic, dict.fromkeys(range(4), 60))
                await asyncio.sleep(1)  # Twenty more rounds of its committer.
                assert await asyncio.to_thread(_offsets, kafka, topic) == dict.fromkeys(range(4), 60)
                assert first.owned.isdisjoint(second.owned)

    with quiet():
        asyncio.run(main())


def test_librdkafka_5604_a_poll_interval_that_expires_in_a_rebalance_commits_nothing_lost(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Pull request confluentinc/librdkafka #5604: the poll interval expired in a rebalance, "lost" was not reported.

    The client then revokes as if it still owned its partitions, and what is committed there overwrites the commits of
    the new owner. Catches a design that trusts that callback, or commits without checking ownership; the stuck
    member must come back by itself. The interval is 61 s, so this takes longer than that.
    """
    topic = kafka.unique_topic("expired", 4)

    async def main(sandbox: Sandbox, stack: ExitStack) -> None:
        await _append(kafka, topic, range(50))
        async with Member(kafka, topic, "classic", free=False) as stuck:
            await _until_committed(kafka, topic, dict.fromkeys(range(4), HELD))
            other = stack.enter_context(Connector(tmp_path, environment(kafka.bootstrap, topic, sandbox.url)))
            # Holds the GIL: the consumer's thread cannot poll, and librdkafka's own
            # threads keep sending heartbeats, which is what a starved process looks like from outside.
            ctypes.PyDLL(None).sleep(75)
            await _until_committed(kafka, topic, dict.fromkeys(range(4), 50))
            deadline = time.monotonic() + SETTLE_SECONDS
            while [len(stuck.owned), int(other.metrics()["target_connector_partitions_assigned"])] != [2, 2]:
                assert time.monotonic() < deadline, "the stuck member did not come back"
                found = await asyncio.to_thread(_offsets, kafka, topic)
                assert found == dict.fromkeys(range(4), 50), "a commit went back"
                await asyncio.sleep(0.05)
            stuck.sender.release.set()
            await _append(kafka, topic, range(50, 60))
            await _until_committed(kafka, topic, dict.fromkeys(range(4), 60))
            sent = {key.partition(":")[2] for key in await asyncio.to_thread(sandbox.profiles)}
            assert sent >= {f"{p}.{HELD}" for p in range(4)}, "the other member sent what it had not settled"
            assert sent | stuck.sender.profiles.keys() == {f"{p}.{n}" for p in range(4) for n in range(60)}
        assert await asyncio.to_thread(other.stop) == 0

    with quiet(), ExitStack() as stack:
        asyncio.run(main(stack.enter_context(Sandbox(tmp_path)), stack))
