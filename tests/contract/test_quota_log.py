"""What every quota log promises its reader; run on the fake and on the thread with a real broker.

If the fake promised more than Kafka keeps, the quota's tests would prove nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from connector.errors import Fatal
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaUnavailable
from connector.kafka.quota_log import KafkaQuotaLog
from connector.kafka.quota_topic import MISSING, QuotaTopic, prepare
from connector.quota.ports import Appended, LedgerLog
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import Kafka
from tests.support.kafka.logs import delete_before
from tests.support.ledger import FakeLedgerLog, FakeLedgerTopic

SETTLE_SECONDS = 90.0
CLOSE_SECONDS = 10.0


class Recorder:
    """A reader that records all its calls."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Appended]] = []
        self.ends: list[int] = []
        """How many records had come when the end was reached."""
        self.reasons: list[str] = []
        self.errors: list[Exception] = []
        self.shortenings = 0

    def read(self, batch: Sequence[Appended]) -> None:
        self.batches.append(batch)

    def caught_up(self) -> None:
        self.ends.append(len(self.records))

    def delayed(self, reason: str) -> None:
        self.reasons.append(reason)

    def shortened(self) -> None:
        self.shortenings += 1

    def failed(self, error: Exception) -> None:
        self.errors.append(error)

    @property
    def records(self) -> list[Appended]:
        return [record for batch in self.batches for record in batch]

    @property
    def values(self) -> list[bytes | None]:
        return [value for value, _ in self.records]


async def until(condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Poll until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.01)


class World(Protocol):
    """A topic with several logs."""

    def log(self) -> LedgerLog:
        """One more log, not started."""
        ...


class FakeWorld:
    """The topic in memory."""

    def __init__(self) -> None:
        self._topic = FakeLedgerTopic()

    def log(self) -> LedgerLog:
        return FakeLedgerLog(self._topic)


class RealWorld:
    """A topic that is not there yet."""

    def __init__(self, bootstrap: str, name: str, window: float = 3_600.0) -> None:
        self.config = KafkaConfig(bootstrap, ("t",), name)
        self.topic = QuotaTopic(f"{name}.quota", window, window + 20)

    def log(self) -> LedgerLog:
        return KafkaQuotaLog(self.config, self.topic)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind; the broker is only started for the real one."""
    if request.param == "fake":
        yield FakeWorld()
    else:
        broker: KafkaBroker = request.getfixturevalue("kafka")
        yield RealWorld(broker.bootstrap, broker.unique_topic("ledger"))


@asynccontextmanager
async def reading(log: LedgerLog) -> AsyncIterator[Recorder]:
    """Start it, and close it in any case."""
    recorder = Recorder()
    log.start(recorder)
    try:
        yield recorder
    finally:
        await log.close(CLOSE_SECONDS)


def _unexpected() -> None:
    msg = "an append failed that should not"
    raise AssertionError(msg)


def test_all_read_the_same_in_the_same_order_with_the_same_times(world: World) -> None:
    """The replicated state machine depends on it: two orders, or two times for a record, give two quotas."""

    async def main() -> None:
        one, two = world.log(), world.log()
        async with reading(one) as first, reading(two) as second:
            await until(lambda: first.ends and second.ends, "both read to the end")
            for number in range(200):
                one.append(b"one %d" % number, _unexpected)
                two.append(b"two %d" % number, _unexpected)
                if number % 20 == 0:
                    await asyncio.sleep(0.01)
            await until(lambda: len(first.records) == len(second.records) == 400, "all came")
            assert first.records == second.records
            for name in (b"one", b"two"):
                mine = [value for value in first.values if value is not None and value.startswith(name)]
                assert mine == [b"%s %d" % (name, number) for number in range(200)]
            times = [appended for _, appended in first.records]
            assert times == sorted(times)
            assert first.ends == second.ends == [0]

    asyncio.run(main())


def test_a_late_starter_reads_from_the_beginning_and_is_told_the_end(world: World) -> None:
    """Told too early it would ask by a partial ledger; never told, it would send nothing."""

    async def main() -> None:
        early, late = world.log(), world.log()
        async with reading(early) as first:
            await until(lambda: first.ends, "it read to the end")
            for number in range(6_000):
                early.append(b"%d" % number, _unexpected)
            await until(lambda: len(first.records) == 6_000, "all were appended")
            async with reading(late) as second:
                await until(lambda: second.ends, "it caught up")
                assert second.ends == [6_000]
                assert second.records == first.records

    asyncio.run(main())


def test_an_append_before_it_is_ready_fails(world: World) -> None:
    """Kept for later it would ask for a lease that has expired when it lands."""

    async def main() -> None:
        log, failures = world.log(), [0]

        def failed() -> None:
            failures[0] += 1

        log.append(b"early", failed)
        await until(lambda: failures == [1], "it is told")
        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            assert recorder.records == []

    asyncio.run(main())


def test_what_was_appended_before_the_end_is_written(world: World) -> None:
    """A drained replica returns its leases by its last records."""

    async def main() -> None:
        first, second = world.log(), world.log()
        async with reading(first) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            first.append(b"the last", _unexpected)
        async with reading(second) as recorder:
            await until(lambda: recorder.records, "it is there")
            assert recorder.values == [b"the last"]

    asyncio.run(main())


def test_one_that_was_never_started_can_be_closed(world: World) -> None:
    """A process may be stopped before it began."""
    asyncio.run(world.log().close(1.0))


# The real log alone.


def _real(kafka: Kafka) -> RealWorld:
    return RealWorld(kafka.bootstrap, kafka.unique_topic("ledger"))


def test_the_topic_is_made_as_it_must_be(kafka: Kafka) -> None:
    """With a topic of the broker's defaults each replica's clock would decide what counts."""

    async def main() -> None:
        world = _real(kafka)
        with pytest.raises(KafkaUnavailable, match="does not exist") as missing:
            await asyncio.to_thread(prepare, world.config, world.topic, make=False)
        assert missing.value.failure.code == MISSING
        async with reading(world.log()) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
        assert await asyncio.to_thread(prepare, world.config, world.topic, make=False) == ""
        assert recorder.errors == []

    asyncio.run(main())


def test_append_times_are_those_of_the_broker(kafka: Kafka) -> None:
    """In seconds since the epoch, whatever the producer's timestamp."""

    async def main() -> None:
        log = _real(kafka).log()
        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            before = time.time()
            log.append(b"now", _unexpected)
            await until(lambda: recorder.records, "it came")
            assert before - 0.1 <= recorder.records[0][1] <= time.time() + 0.1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("partitions", "options", "reason"),
    [
        (1, {"message_timestamp_type": "CreateTime"}, "message.timestamp.type is CreateTime"),
        (1, {"message_timestamp_type": "LogAppendTime", "retention_ms": 1_000}, "retention.ms is 1000"),
        (2, {"message_timestamp_type": "LogAppendTime"}, "has 2 partitions"),
        (1, {"message_timestamp_type": "LogAppendTime", "cleanup_policy": "compact"}, "cleanup.policy is compact"),
        (1, {"message_timestamp_type": "LogAppendTime", "retention_bytes": 1_000}, "retention.bytes is 1000"),
    ],
)
def test_a_topic_that_is_no_ledger_is_refused(
    kafka: Kafka, partitions: int, options: dict[str, str | int], reason: str
) -> None:
    """Each of these would lose or misdate what counts, unnoticed until the account is locked."""

    async def main() -> None:
        world = _real(kafka)
        kafka.create_topic(world.topic.name, partitions, **options)
        async with reading(world.log()) as recorder:
            await until(lambda: recorder.errors, "it is refused")
        (error,) = recorder.errors
        assert isinstance(error, Fatal)
        assert error.failure.event == "quota_ledger_unusable"
        assert reason in str(error)
        assert recorder.ends == []
        if partitions == 1:
            assert "kafka-configs.sh" in str(error)
            assert world.topic.name in str(error)

    asyncio.run(main())


def test_a_topic_made_by_hand_with_more_than_enough_is_taken(kafka: Kafka) -> None:
    """An administrator may create the topic, often with a longer retention."""

    async def main() -> None:
        world = _real(kafka)
        kafka.create_topic(world.topic.name, 1, message_timestamp_type="LogAppendTime", retention_ms=-1)
        async with reading(world.log()) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
        assert recorder.errors == []

    asyncio.run(main())


def test_a_topic_that_is_deleted_ends_the_process(kafka: Kafka) -> None:
    """The used quota is lost with it: continuing from zero would send a quota twice."""

    async def main() -> None:
        world = _real(kafka)
        log = world.log()
        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            log.append(b"one", _unexpected)
            await until(lambda: recorder.records, "it came")
            admin = kafka.admin()
            await asyncio.to_thread(admin.delete_topics([world.topic.name])[world.topic.name].result, 30)

            def told() -> bool:
                # The first appends wait for the topic until they expire; only later ones fail at once.
                log.append(b"two", lambda: None)
                return bool(recorder.errors)

            await until(told, "it is told")
        assert isinstance(recorder.errors[0], Fatal)
        assert "deleted or truncated" in str(recorder.errors[0])

    asyncio.run(main())


def test_without_a_broker_it_reports_so_and_can_be_closed(kafka: Kafka) -> None:
    """Starting before Kafka is no error, and a stop then takes no minutes."""
    del kafka  # Only for the marker: librdkafka waits in real time.

    async def main() -> None:
        log = RealWorld(f"127.0.0.1:{free_ports(1)[0]}", "nobody").log()
        async with reading(log) as recorder:
            await until(lambda: recorder.reasons, "it is told")
            assert recorder.errors == []
            began = time.monotonic()
        assert time.monotonic() - began < CLOSE_SECONDS + 5

    asyncio.run(main())


def test_it_resumes_after_the_broker_was_away(broker: KafkaBroker) -> None:
    """Appends of the meantime fail or are in the log; no record is read twice or left out."""

    async def main() -> None:
        world = RealWorld(broker.bootstrap, "outage")
        log, failures = world.log(), [0]

        def failed() -> None:
            failures[0] += 1

        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            # It may be read before its append is acknowledged: then the crash makes that append an unknown one.
            log.append(b"before", lambda: None)
            await until(lambda: recorder.records, "it came")
            await asyncio.to_thread(broker.kill9)
            log.append(b"meanwhile", failed)
            await until(lambda: failures == [1], "the append failed", 120)
            assert any("not appended" in reason for reason in recorder.reasons)
            await asyncio.to_thread(broker.start)
            log.append(b"after", failed)
            await until(lambda: b"after" in recorder.values, "it resumes", 120)
            assert recorder.values[0] == b"before"
            assert recorder.values[-1] == b"after"
            assert len(recorder.values) == len(set(recorder.values))
            assert recorder.errors == []

    asyncio.run(main())


def _records(bootstrap: str, topic: str, values: Sequence[bytes], **options: str) -> Producer:
    """Another producer writes into it."""
    producer = Producer({"bootstrap.servers": bootstrap, **options})
    if "transactional.id" in options:
        producer.init_transactions(30)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0
    return producer


def _configure(kafka: Kafka, topic: str, name: str, value: str) -> None:
    change = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    admin = kafka.admin()
    admin.incremental_alter_configs([resource])[resource].result(30)


def test_a_record_without_append_time_does_not_count_and_stops_no_replica(kafka: Kafka) -> None:
    """A short time with a wrong setting must not end every start until the record is deleted, two windows later."""

    async def main() -> None:
        world = _real(kafka)
        log = world.log()
        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            await asyncio.to_thread(_configure, kafka, world.topic.name, "message.timestamp.type", "CreateTime")
            await asyncio.to_thread(_records, kafka.bootstrap, world.topic.name, [b"misdated"])
            await until(lambda: recorder.reasons, "it is told")
            assert "kafka-configs.sh" in recorder.reasons[0]
            await asyncio.to_thread(_configure, kafka, world.topic.name, "message.timestamp.type", "LogAppendTime")
            await asyncio.to_thread(_records, kafka.bootstrap, world.topic.name, [b"dated"])
            await until(lambda: recorder.records, "it reads on")
            async with reading(world.log()) as late:
                await until(lambda: late.ends and late.records, "a start reads it too")
        assert recorder.values == late.values == [b"dated"]
        assert recorder.errors == late.errors == []

    asyncio.run(main())


def test_an_open_foreign_transaction_hides_nothing(kafka: Kafka) -> None:
    """Readers with isolation read_committed would stall behind it, and keep asking."""

    async def main() -> None:
        world = _real(kafka)
        async with reading(world.log()) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            foreign = await asyncio.to_thread(
                partial(_records, kafka.bootstrap, world.topic.name, [b"open"], **{"transactional.id": "somebody"})
            )
            await asyncio.to_thread(_records, kafka.bootstrap, world.topic.name, [b"behind it"])
            await until(lambda: len(recorder.records) == 2, "both came")
            await asyncio.to_thread(foreign.abort_transaction, 30)

    asyncio.run(main())


def test_records_that_are_deleted_while_they_count_are_noticed(kafka: Kafka) -> None:
    """A replica that starts later takes the window for empty; those that know must report it."""

    async def main() -> None:
        world = RealWorld(kafka.bootstrap, kafka.unique_topic("purged"), window=8.0)
        log = world.log()
        async with reading(log) as recorder:
            await until(lambda: recorder.ends, "it read to the end")
            log.append(b"counts", _unexpected)
            await until(lambda: recorder.records, "it came")
            await asyncio.sleep(8.0)  # The check for deletions ran meanwhile.
            assert recorder.shortenings == 0
            await asyncio.to_thread(delete_before, kafka, world.topic.name, 1)
            log.append(b"counts too", _unexpected)
            await until(lambda: recorder.shortenings, "it is noticed")
        assert recorder.errors == []

    asyncio.run(main())


def test_it_hands_over_a_batch_at_a_time(kafka: Kafka) -> None:
    """A ledger full of foreign records would block the loop for seconds: no probe answered, no lease renewed."""

    class Slow(Recorder):
        seen_at_once = 0

        def read(self, batch: Sequence[Appended]) -> None:
            super().read(batch)
            if len(self.batches) == 1:
                asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, self.note)
                time.sleep(1.0)  # The thread could queue all the others meanwhile.

        def note(self) -> None:
            self.seen_at_once = len(self.batches)

    async def main() -> None:
        world = _real(kafka)
        await asyncio.to_thread(prepare, world.config, world.topic)
        await asyncio.to_thread(_records, kafka.bootstrap, world.topic.name, [b"x" * 100] * 30_000)
        log, recorder = world.log(), Slow()
        log.start(recorder)
        try:
            await until(lambda: recorder.ends, "it read to the end")
        finally:
            await log.close(CLOSE_SECONDS)
        assert len(recorder.records) == 30_000
        assert recorder.seen_at_once == 1

    asyncio.run(main())
