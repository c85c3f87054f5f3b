"""A real loopback server that gives the test's answers, however wrong, and keeps the requests it received."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from connector.sandbox.connection_tasks import ConnectionTasks
from connector.target.render import Request
from tests.support.loopback import own_address

SUCCESS = b"trueRequest successfully submitted"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as received: the number of its connection, its first line, headers in lower case, body."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: bytes = SUCCESS, *headers: str) -> bytes:
    """Give an HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(data: bytes) -> Behaviour:
    """Answer these bytes and keep the connection open."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


def says_and_hangs_up(data: bytes = b"") -> Behaviour:
    """Answer these bytes, perhaps none, and close."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return behave


def resets(data: bytes = b"") -> Behaviour:
    """Answer these bytes, perhaps none, and reset the connection as a crash does."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.transport.abort()

    return behave


def repeats(start: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Answer a start and then the same piece for ever, or until the client stops."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


async def hangs(_: Received, writer: asyncio.StreamWriter) -> None:
    """Never answer, until the client closes."""
    await writer.wait_closed()


@dataclass(slots=True)
class HostileServer:
    """Answers each request by the next behaviour, the last one for ever. Use it as `async with`.

    Without TLS it listens on an address of its own, so that what it received was sent by the test's client. With TLS it
    is `localhost`, as certificates name it; no other client trusts those.
    """

    behaviours: list[Behaviour]
    tls: ssl.SSLContext | None = None
    address: str = field(default_factory=own_address)
    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    origin: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: ConnectionTasks = field(default_factory=ConnectionTasks)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        address = self.address if self.tls is None else "127.0.0.1"
        self._server = await asyncio.start_server(self._accept, address, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.origin = f"http://{address}:{self.port}" if self.tls is None else f"https://localhost:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        await self._tasks.close(self._server)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.begin(self._serve(self.connections, reader, writer), writer)

    async def _serve(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):  # The client closed.
            while not writer.is_closing():
                received = await _receive(connection, reader)
                self.received.append(received)
                self.arrived.set()
                behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behaviour(received, writer)


async def _receive(connection: int, reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    line, *fields = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
    return Received(connection, line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def get(query: str = "mbox3rdPartyId=1&profile.a=b") -> Request:
    """Give a rendered GET."""
    return Request("GET", f"/m2/client/profile/update?{query}", None, ("a",))


def post(form: bytes = b"mbox3rdPartyId=1&profile.a=b") -> Request:
    """Give a rendered POST."""
    return Request("POST", "/m2/client/profile/update", form, ("a",))
