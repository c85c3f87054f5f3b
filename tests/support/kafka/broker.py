"""One real broker that a test can start, write to, read, freeze and kill."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # the stubs of `admin` do not export it

from tests.support.kafka.config import CLUSTER_ID, JVM, LOGGING, PROPERTIES, die_with_parent
from tests.support.kafka.fetch import Distribution

T = TypeVar("T")

READY_SECONDS = 120.0
"""A start takes one to two seconds; ten times that on a busy machine."""

STOP_SECONDS = 20.0
ANSWER_SECONDS = 60.0

PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_COORD,  # noqa: SLF001 - how the library spells its own codes
    # The broker's heartbeat was late: it is fenced, and no broker is left to create a topic on.
    KafkaError.INVALID_REPLICATION_FACTOR,
}


class Record(NamedTuple):
    """A record in the log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    timestamp: int
    """Milliseconds since the epoch."""


class Committed(NamedTuple):
    """What a group committed for a partition."""

    offset: int
    metadata: str | None


class KafkaBroker:
    """A single KRaft node in a process of its own. Ports and data stay the same over `kill9`, `stop` and `start`.

    Methods that ask the broker something raise `KafkaException` when it does not answer within `ANSWER_SECONDS`.
    """

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        advertised: Mapping[str, str] | None = None,
        jvm: Iterable[str] = (),
    ) -> None:
        """`folder` is new, or one that a broker left; `properties` are added to `PROPERTIES` or replace those.

        `listeners` are further ones, by name to host:port; `advertised` says where else clients are sent for these.
        """
        self.folder = folder
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port, controller = free_ports(2)
        further = "".join(f",{name}://{address}" for name, address in (listeners or {}).items())
        named = {**(listeners or {}), **(advertised or {})}
        elsewhere = "".join(f",{name}://{address}" for name, address in named.items())
        self._settings = {
            **PROPERTIES,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{controller}{further}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}{elsewhere}",
            **(properties or {}),
        }
        archive = distribution.folder / "classes.jsa"
        shared = (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto") if archive.exists() else ()
        class_path = ":".join(map(str, distribution.jars))
        self._java = (distribution.java, *JVM, *shared, *jvm, "-cp", class_path)
        self._template = distribution.folder / "template"

    @property
    def bootstrap(self) -> str:
        """The address for `bootstrap.servers`."""
        return f"127.0.0.1:{self._port}"

    # Life cycle

    @property
    def is_running(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError with the end of its log when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOGGING)
        lines = [f"{name}={value}\n" for name, value in self._settings.items()]
        (self.folder / "server.properties").write_text("".join(lines))
        if not (self.folder / "data").exists():
            self._format()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", "server.properties"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for pytest, which then stops the broker.
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
            )
        self._await_ready()

    def stop(self) -> None:
        """Stop it in order; a stopped one stays stopped."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill9(self) -> None:
        """Kill it as a crash does."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        process = self._running()
        os.kill(process.pid, signal.SIGSTOP)
        # On a busy machine its threads run on for a while, and answer.
        os.waitpid(process.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Resume it."""
        os.kill(self._running().pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in order and start it on the same ports and data."""
        self.stop()
        self.start()

    def log_tail(self, characters: int = 4000) -> str:
        """The end of its log, for the report of a failed test."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    # Topics and records

    def admin(self) -> AdminClient:
        """A client that creates no topic by asking for it. The caller keeps it until it has its answer.

        A new one each time: one that saw the broker die may keep its old answers for half a minute.
        """
        return AdminClient({**self._client(), "allow.auto.create.topics": False})

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> str:
        """Create a topic; an option is named with underscores, `retention_ms=1000`. Returns the name."""
        options = {option.replace("_", "."): str(value) for option, value in config.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=options)
        admin = self.admin()
        patiently(lambda: admin.create_topics([topic])[name].result(ANSWER_SECONDS))
        return name

    def unique_topic(self, prefix: str = "test", partitions: int = 1, **config: str | int) -> str:
        """Create a topic with a unique name, so that tests can share the broker. Returns the name."""
        return self.create_topic(f"{prefix}-{uuid.uuid4().hex[:8]}", partitions, **config)

    def produce(self, topic: str, records: Iterable[tuple[bytes | str | None, bytes | str | None, int | None]]) -> None:
        """Append (key, value, partition) in order and wait for all acknowledgements; partition None: by the key."""
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        settings = {"linger.ms": 5, "enable.idempotence": True, "delivery.report.only.error": True}
        producer = Producer({**self._client(), **settings, "queue.buffering.max.messages": 1_000_000})
        for key, value, partition in records:
            to = -1 if partition is None else partition
            try:
                producer.produce(topic, value, key, to, on_delivery=told)
            except BufferError:
                producer.flush(ANSWER_SECONDS)
                producer.produce(topic, value, key, to, on_delivery=told)
        if producer.flush(ANSWER_SECONDS):
            failed.append(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - how the library spells its own codes
        if failed:
            raise KafkaException(failed[0])

    def topics(self) -> set[str]:
        """The names of all topics."""
        admin = self.admin()
        return set(admin.list_topics(timeout=ANSWER_SECONDS).topics)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The end offset of each partition."""
        admin = self.admin()
        consumer = Consumer({**self._client(), "group.id": "reader"})
        try:
            return {partition: _end(consumer, topic, partition) for partition in self._partitions(admin, topic)}
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """Committed offsets of a group on a topic; a partition without a commit is not in it."""
        admin = self.admin()
        parts = [TopicPartition(topic, partition) for partition in self._partitions(admin, topic)]
        # A consumer that never subscribes: the admin client's own call crashes the process while the coordinator loads
        # (librdkafka 2.16, confluent-kafka-python issue 1982).
        consumer = Consumer({**self._client(), "group.id": group})
        try:
            answer = patiently(lambda: consumer.committed(parts, timeout=ANSWER_SECONDS))
        finally:
            consumer.close()
        return {part.partition: Committed(part.offset, part.metadata) for part in answer if part.offset >= 0}

    def read_all(self, topic: str) -> list[Record]:
        """Every record from the beginning to the current end, by partition and offset."""
        ends = {partition: end for partition, end in self.end_offsets(topic).items() if end}
        settings = {"group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({**self._client(), **settings})
        records: list[Record] = []
        try:
            consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
            deadline = time.monotonic() + ANSWER_SECONDS
            # A partition ends at its end of file: compaction and markers may leave no record just before it.
            while ends:
                for message in consumer.consume(1000, 0.2):
                    error = message.error()
                    if error is None:
                        records.append(_record(message))
                        deadline = time.monotonic() + ANSWER_SECONDS
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - how the library spells its own codes
                        ends.pop(message.partition() or 0, None)
                    else:
                        raise KafkaException(error)
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - likewise
        finally:
            consumer.close()
        return sorted(records)

    # Internals

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            msg = "the broker is not running"
            raise RuntimeError(msg)
        return self._process

    def _format(self) -> None:
        """Copy the formatted storage that `prepare` created; without it, run Kafka's tool."""
        if self._template.exists():
            shutil.copytree(self._template, self.folder / "data")
            return
        command = [*self._java, "kafka.tools.StorageTool", "format", f"--cluster-id={CLUSTER_ID}"]
        done = subprocess.run(
            [*command, "-c", "server.properties"], cwd=self.folder, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            msg = f"the storage could not be formatted:\n{done.stdout}{done.stderr}"
            raise RuntimeError(msg)

    def _await_ready(self) -> None:
        process = self._running()
        deadline = time.monotonic() + READY_SECONDS
        admin = self.admin()
        while time.monotonic() < deadline and process.poll() is None:
            try:
                # Brokers are listed once the controller lets them serve.
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                continue
        ended = process.poll()
        self.kill9()
        what = "was not ready in time" if ended is None else f"ended with {ended}"
        msg = f"the broker {what}; the end of its log:\n{self.log_tail()}"
        raise RuntimeError(msg)

    def _client(self) -> dict[str, str | int | float | bool]:
        """Settings of every client: no log lines about a stopped broker, and a quick reconnect."""
        return {
            "bootstrap.servers": self.bootstrap,
            "log_level": 0,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
        }

    def _partitions(self, admin: AdminClient, topic: str) -> list[int]:
        metadata = admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)


def patiently(ask: Callable[[], T]) -> T:
    """Retry while a coordinator moves or loads, or the broker is fenced, which is reported as an error at once."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as problem:
            if time.monotonic() > deadline or problem.args[0].code() not in PASSING:
                raise
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, below the range of ephemeral ports.

    A client that keeps trying a killed broker's port could otherwise be given that very port, connect to itself, and
    keep the broker from coming back.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _record(message: Message) -> Record:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers={name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs},
        timestamp=message.timestamp()[1],
    )


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """End offset of a partition; a broker that has just restarted leads it only after a moment."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)[1])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
