"""A fixed port in front of another one of this machine: librdkafka's embedded broker only takes a free port."""

import asyncio
from contextlib import suppress

from connector.sandbox.connection_tasks import ConnectionTasks

CHUNK_BYTES = 65_536


class FrontPort:
    """Listens on one port of 127.0.0.1 and passes each connection on to another, both ways.

    Kafka's clients come here only to be told the broker's own address, so nothing here has to be fast.
    """

    def __init__(self, port: int, behind: str) -> None:
        """`port` 0 picks a free one; `behind` is host:port."""
        self._port = port
        self._host, _, text = behind.rpartition(":")
        self._behind = int(text)
        self._server: asyncio.Server | None = None
        self._connections = ConnectionTasks()

    @property
    def address(self) -> str:
        """The address for `bootstrap.servers`; right once started."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen; raises OSError if the port cannot be had."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut the connections."""
        if self._server is not None:
            await self._connections.close(self._server)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.begin(self._pass_on(reader, writer), writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # Either end may leave at any time.
            from_broker, to_broker = await asyncio.open_connection(self._host, self._behind)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_copy(reader, to_broker))
                    both.create_task(_copy(from_broker, writer))
            finally:
                to_broker.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.close()
