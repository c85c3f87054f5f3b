"""The sandbox's fixed Kafka port: what passes it arrives unchanged."""

import asyncio

from connector.sandbox.front_port import FrontPort
from tests.support.hostile_server import HostileServer, answer, says


def test_both_ways_are_passed_on() -> None:
    """As they are."""

    async def scenario() -> bytes:
        async with HostileServer([says(answer())]) as server:
            front = FrontPort(0, server.origin.removeprefix("http://"))
            await front.start()
            host, _, port = front.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            said = await reader.readexactly(len(answer()))
            writer.close()
            await front.stop()
            assert [it.line for it in server.received] == ["GET / HTTP/1.1"]
            return said

    assert asyncio.run(scenario()) == answer()
