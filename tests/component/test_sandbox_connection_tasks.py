"""No server leaves a connection open: one that the collector closes on Python 3.13 fails an unrelated test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from urllib.parse import urlsplit

import pytest

from connector.sandbox.front_port import FrontPort
from tests.chaos.toxics import HOST, Link
from tests.support.hostile_server import HostileServer, hangs

TURNS = range(8)
"""Of the event loop, from the client's connection to beyond the first line of what serves it."""


@asynccontextmanager
async def _hostile(turns: int) -> AsyncIterator[int]:
    async with HostileServer([hangs], address=HOST) as server:
        yield server.port
        await _turns(turns)


@asynccontextmanager
async def _link(turns: int) -> AsyncIterator[int]:
    async with HostileServer([hangs], address=HOST) as server:
        link = Link(urlsplit(server.origin).port or 0)
        await link.open()
        yield link.port
        await _turns(turns)
        await link.close()


@asynccontextmanager
async def _front_port(turns: int) -> AsyncIterator[int]:
    async with HostileServer([hangs], address=HOST) as server:
        front = FrontPort(0, server.origin.removeprefix("http://"))
        await front.start()
        yield int(front.address.rpartition(":")[2])
        await _turns(turns)
        await front.stop()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("serving", [_hostile, _link, _front_port])
def test_a_connection_ends_with_its_server_however_far_it_is(
    serving: Callable[[int], AbstractAsyncContextManager[int]], turns: int
) -> None:
    """In each turn, from a connection that is not accepted yet to one that is served."""

    async def connect() -> bytes:
        with closing(socket.socket()) as client:
            async with serving(turns) as port:
                client.connect((HOST, port))
                client.send(b"GET")
                client.setblocking(False)
            return await asyncio.get_running_loop().sock_recv(client, 1)

    async def end() -> bytes:
        try:
            async with asyncio.timeout(5):
                return await connect()
        except ConnectionResetError:
            return b""

    assert asyncio.run(end()) == b""
