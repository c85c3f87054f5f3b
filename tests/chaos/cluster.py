"""The brokers of a chaos run: one or three, each with a listener of its own for each slot of a replica.

Each such listener is advertised at the port of a proxy. So one replica can be cut off from Kafka by itself,
which is how a process loses its partitions while it keeps running and does not notice.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # the stubs of `admin` do not export it

from tests.chaos.toxics import HOST, Link
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import ANSWER_SECONDS
from tests.support.kafka.config import RETURNS_SOON
from tests.support.kafka.fetch import Distribution

_THREE = {
    "offsets.topic.replication.factor": "3",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # A broker that is gone is noticed within a second or two.
    "controller.quorum.election.timeout.ms": "300",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "3000",
    "replica.fetch.wait.max.ms": "100",
}


class Node(KafkaBroker):
    """One broker, with its proxied listeners."""

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        number: int,
        port: int,
        controllers: Sequence[int],
        doors: Sequence[Link],
        inner: Sequence[int],
    ) -> None:
        """`controllers`: the port of each node's controller; `inner`: the port behind each proxy."""
        super().__init__(distribution, folder, properties=RETURNS_SOON)
        self.name = f"broker {number}"
        self.bootstrap = f"{HOST}:{port}"
        names = [f"DOOR{slot}" for slot in range(len(doors))]
        listeners = {"PLAINTEXT": port, **dict(zip(names, inner, strict=True))}
        advertised = {"PLAINTEXT": port, **{name: door.port for name, door in zip(names, doors, strict=True)}}
        self._settings.update(
            {
                **(_THREE if len(controllers) > 1 else {}),
                "node.id": str(number),
                "num.network.threads": "1",
                "controller.quorum.voters": ",".join(f"{n}@{HOST}:{p}" for n, p in enumerate(controllers, 1)),
                "listeners": _addresses({**listeners, "CONTROLLER": controllers[number - 1]}),
                "advertised.listeners": _addresses(advertised),
                "listener.security.protocol.map": ",".join(f"{n}:PLAINTEXT" for n in (*listeners, "CONTROLLER")),
            }
        )
        if len(controllers) > 1:
            self._template = folder / "none"  # The prepared storage is that of a single node.


class Cluster:
    """All brokers, and their proxies. Use it as `async with`."""

    def __init__(self, distribution: Distribution, folder: Path, brokers: int, slots: int) -> None:
        ports = iter(free_ports(brokers * (2 + 2 * slots)))
        numbers = range(1, brokers + 1)
        inner = {number: [next(ports) for _ in range(slots)] for number in numbers}
        doors = {number: [Link(port, port=next(ports)) for port in inner[number]] for number in numbers}
        controllers = [next(ports) for _ in numbers]
        self.nodes = [
            Node(
                distribution,
                folder / f"broker-{number}",
                number,
                next(ports),
                controllers,
                doors[number],
                inner[number],
            )
            for number in numbers
        ]
        self.doors = [[doors[number][slot] for number in numbers] for slot in range(slots)]
        """By slot, the proxy to each broker."""

    @property
    def bootstrap(self) -> str:
        """The bootstrap servers for clients that are not under test."""
        return ",".join(node.bootstrap for node in self.nodes)

    async def __aenter__(self) -> Self:
        for door in (door for doors in self.doors for door in doors):
            await door.open()
        try:
            # At once: none is ready before a majority is.
            await asyncio.gather(*(asyncio.to_thread(node.start) for node in self.nodes))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        for node in self.nodes:
            # Not in order: a controlled shutdown saves nothing here, and the last of three would wait for its majority.
            with contextlib.suppress(RuntimeError):  # It was not running.
                node.kill9()
        for door in (door for doors in self.doors for door in doors):
            await door.close()

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic with a copy on each broker."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=len(self.nodes))
        admin.create_topics([topic])[name].result(ANSWER_SECONDS)

    def bootstrap_of(self, slot: int) -> str:
        """The bootstrap servers of one slot, through its proxies."""
        return ",".join(f"{HOST}:{door.port}" for door in self.doors[slot])


def _addresses(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
