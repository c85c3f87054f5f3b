"""Brokers that are reachable for some clients only: one whose answers can be held, and a second one of a cluster."""

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.config import RETURNS_SOON
from tests.support.kafka.fetch import Distribution

OFFSET_FETCH: Final = 9
"""The request for committed offsets (OffsetFetch), by its number in the protocol."""
_HEAD = struct.Struct(">ih")
"""The length of a request, and its kind."""
_HOST = "127.0.0.1"
_READ_BYTES = 65_536


class Door:
    """A TCP proxy that passes requests on one by one, and holds those of one kind and all requests after them."""

    def __init__(self, port: int, leads_to: int) -> None:
        self._leads_to = leads_to
        self._held: int | None = None
        self._open = threading.Event()
        self._open.set()
        self.held_requests = 0
        """Requests of the held kind so far."""
        self._server = socket.create_server((_HOST, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, kind: int) -> None:
        """Hold requests of this kind from now on."""
        self._held, self.held_requests = kind, 0
        self._open.clear()

    def release(self) -> None:
        """Pass all on, the held ones too."""
        self._held = None
        self._open.set()

    def close(self) -> None:
        """Accept no more connections."""
        self.release()
        # Closing alone does not wake the thread that accepts.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    server = socket.create_connection((_HOST, self._leads_to))
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client.makefile("rb") as requests:
            while len(head := requests.read(_HEAD.size)) == _HEAD.size:
                length, kind = _HEAD.unpack(head)
                body = requests.read(length - 2)
                if kind == self._held:
                    self.held_requests += 1
                    self._open.wait()
                server.sendall(head + body)
        _end(server)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(_READ_BYTES):
                client.sendall(answer)
        _end(client)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class BrokerBehindDoor(KafkaBroker):
    """One broker with a second listener, which is advertised at the port of a door."""

    def __init__(self, distribution: Distribution, folder: Path) -> None:
        inner, outer = free_ports(2)
        super().__init__(
            distribution,
            folder,
            properties={"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT"},
            listeners={"DOOR": f"{_HOST}:{inner}"},
            advertised={"DOOR": f"{_HOST}:{outer}"},
        )
        self.door = Door(outer, inner)
        self.through_door = f"{_HOST}:{outer}"
        """The bootstrap servers of clients that must pass the proxy."""


class _SecondBroker(KafkaBroker):
    """A broker that joins the cluster of another one."""

    def __init__(self, distribution: Distribution, folder: Path, first: KafkaBroker) -> None:
        super().__init__(distribution, folder, properties=RETURNS_SOON)
        own = f"PLAINTEXT://{self.bootstrap}"
        self._settings |= {
            "node.id": "2",
            "process.roles": "broker",
            "controller.quorum.voters": first._settings["controller.quorum.voters"],  # noqa: SLF001 - of its own kind
            "listeners": own,
            "advertised.listeners": own,
        }
        self._template = folder / "none"  # The prepared storage is that of the first node.


def second_broker(distribution: Distribution, folder: Path, first: KafkaBroker) -> KafkaBroker:
    """A second node of the cluster; it begins empty, and gets what is created on it."""
    return _SecondBroker(distribution, folder, first)
