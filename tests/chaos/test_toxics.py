"""The proxy stands between the connector and the evidence: its effect on requests must be known exactly."""

import asyncio
import time
from typing import Self
from urllib.parse import urlsplit

from tests.chaos.toxics import HOST, Link, Toxic
from tests.support.hostile_server import Behaviour, HostileServer, Received, answer, hangs, says, says_and_hangs_up

PATIENCE = 20.0


def request(visitor: str = "1", value: int = 1) -> bytes:
    """A request as bytes."""
    return (
        f"GET /m2/client/profile/update?mbox3rdPartyId={visitor}&profile.a={value} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )


class Scene:
    """A server, a named link in front of it, and clients that are closed at the end. Use it as `async with`."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.server = HostileServer([*behaviours], address=HOST)
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.link = Link(urlsplit(self.server.origin).port or 0, name="r0.1")
        await self.link.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.link.close()
        await self.server.__aexit__(None, None, None)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a client."""
        reader, writer = await asyncio.open_connection(HOST, self.link.port)
        self._writers.append(writer)
        return reader, writer

    async def ask(self, visitor: str = "1", value: int = 1) -> bytes:
        """Send one request on a connection of its own and wait for the answer."""
        reader, writer = await self.connect()
        writer.write(request(visitor, value))
        async with asyncio.timeout(PATIENCE):
            return await reader.readuntil(b"submitted")

    async def arrived(self, count: int) -> list[Received]:
        """Wait until this many requests arrived."""
        async with asyncio.timeout(PATIENCE):
            while len(self.server.received) < count:
                await self.server.arrived.wait()
                self.server.arrived.clear()
        return self.server.received

    async def noticed(self, count: int) -> None:
        """Wait until the link has read this many requests."""
        deadline = time.monotonic() + PATIENCE
        while self.link.requests < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)


def test_a_healthy_link_passes_all_on_and_names_the_sender() -> None:
    """The endpoint's journal must name the process: the checks per owner need it."""

    async def scenario() -> None:
        async with Scene(says(answer())) as scene:
            assert await scene.ask() == answer()
            assert scene.server.received[0].headers["x-instance"] == "r0.1"
            assert "mbox3rdPartyId=1&profile.a=1" in scene.server.received[0].line
            assert (scene.link.requests, scene.link.overlaps) == (1, [])

    asyncio.run(scenario())


def test_two_requests_of_a_visitor_at_once_are_seen_and_one_after_the_other_are_not() -> None:
    """Also when neither is ever answered, and over any connections."""

    async def scenario() -> None:
        async with Scene(says(answer()), says(answer()), hangs) as scene:
            await scene.ask()
            await scene.ask()
            _, first = await scene.connect()
            first.write(request())
            await scene.arrived(3)
            _, other = await scene.connect()
            other.write(request("2"))
            await scene.arrived(4)
            assert scene.link.overlaps == []
            _, second = await scene.connect()
            second.write(request())
            await scene.arrived(5)
            assert len(scene.link.overlaps) == 1

    asyncio.run(scenario())


def test_a_request_that_its_client_gave_up_is_no_overlap() -> None:
    """The next one may come at once: a timeout is followed by a retry, and the proxy may read both in one go."""

    async def scenario() -> None:
        async with Scene(hangs) as scene:
            _, first = await scene.connect()
            _, second = await scene.connect()
            first.write(request())
            await scene.arrived(1)
            first.transport.abort()
            second.write(request())
            await scene.arrived(2)
            assert scene.link.overlaps == []

    asyncio.run(scenario())


def test_what_its_client_gave_up_is_never_passed_on() -> None:
    """Otherwise the proxy itself would write old values over newer ones, and the connector would be blamed."""

    async def scenario() -> None:
        async with Scene(says(answer())) as scene:
            reader, first = await scene.connect()
            first.write(request("0"))
            await reader.readuntil(b"submitted")
            scene.link.poison(Toxic.HOLD)
            first.write(request(value=1))
            await scene.noticed(2)
            first.transport.abort()
            scene.link.heal()
            await scene.ask(value=2)
            assert ["profile.a=2" in received.line for received in scene.server.received] == [False, True]

    asyncio.run(scenario())


def test_what_is_swallowed_never_comes_and_the_connection_stays_dead() -> None:
    """A half-open connection does not recover: its next bytes would be the middle of a request."""

    async def scenario() -> None:
        async with Scene(says(answer())) as scene:
            _, lost = await scene.connect()
            scene.link.poison(Toxic.HALF_OPEN)
            lost.write(request("lost"))
            await scene.noticed(1)
            scene.link.heal()
            lost.write(request("too"))
            await scene.ask("found")
            assert len(scene.server.received) == 1

    asyncio.run(scenario())


def test_lost_answers_are_those_of_requests_that_arrived() -> None:
    """The ambiguous case: accepted, and the sender does not know."""

    async def scenario() -> None:
        async with Scene(says_and_hangs_up(answer())) as scene:
            reader, writer = await scene.connect()
            scene.link.poison(Toxic.LOST_ANSWERS)
            writer.write(request())
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""
            assert len(scene.server.received) == 1

    asyncio.run(scenario())


def test_a_drip_and_a_delay_change_nothing_but_the_time() -> None:
    """Slow bytes still arrive complete."""

    async def scenario() -> None:
        async with Scene(says(answer())) as scene:
            for toxic in (Toxic.DRIP, Toxic.DELAY):
                scene.link.poison(toxic, 0.001)
                assert await scene.ask() == answer()
            assert scene.server.received[0].headers["x-instance"] == "r0.1"

    asyncio.run(scenario())


def test_cut_and_reset_end_what_is_there_and_what_comes() -> None:
    """FIN and RST look different to a client."""

    async def scenario() -> None:
        async with Scene(says(answer())) as scene:
            for toxic in (Toxic.CUT, Toxic.RESET):
                reader, writer = await scene.connect()
                writer.write(request())
                await reader.readuntil(b"submitted")
                scene.link.poison(toxic)
                assert await end_of(reader) == (toxic is Toxic.RESET)
                reader, _ = await scene.connect()
                assert await end_of(reader) == (toxic is Toxic.RESET)
                scene.link.heal()

    asyncio.run(scenario())


async def end_of(reader: asyncio.StreamReader) -> bool:
    """Wait for the connection's end; True when it was reset."""
    async with asyncio.timeout(PATIENCE):
        try:
            await reader.read()
        except ConnectionResetError:
            return True
    return False
