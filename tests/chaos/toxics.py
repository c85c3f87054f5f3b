"""A TCP proxy between a replica and its servers: it delays, drips, swallows, holds, cuts and resets.

It promises one thing that a network does not: what a client sent and gave up before it was passed on is never passed
on. HTTP has no defence against a request that the network keeps for longer than its sender waits, so a proxy that did
that would make every client look as if it wrote old values.
"""

import asyncio
import contextlib
import enum
import re
import select
import socket
import struct
import time

from connector.sandbox.connection_tasks import ConnectionTasks

HOST = "127.0.0.1"
READ_BYTES = 65_536
DRIP_ANSWER_BYTES = 16
DRIP_REQUEST_BYTES = 128
REQUEST_SHARE = 0.25
"""Share of a delay before the request is passed on; so no request is under way for nearly the sender's timeout."""

_REQUEST = re.compile(rb"(?:GET|POST) [^ ]*?[?&](?P<visitor>mbox3rdPartyId=[^& ]+)[^\r]*\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
# Closing then sends RST, and what was not sent yet is gone.
_LINGER_0 = struct.pack("ii", 1, 0)
_CLIENT_LEFT = getattr(select, "POLLRDHUP", select.POLLHUP)


class Toxic(enum.StrEnum):
    """What a link can do to its traffic."""

    DELAY = "delay"
    DRIP = "drip"
    """A few bytes at a time."""
    HALF_OPEN = "half-open"
    """Bytes are swallowed both ways; the connection looks alive for ever."""
    LOST_ANSWERS = "lost answers"
    """Requests arrive, answers do not."""
    HOLD = "hold"
    """Nothing passes until it is over; then all of it, late, as TCP does after a broken link."""
    CUT = "cut"
    """Connections are closed, new ones at once."""
    RESET = "reset"
    """The same by RST."""


class _Way:
    """One connection of a client, and the matching one to its server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.dead = False
        """Something was swallowed: no later byte could be understood."""
        self.visitor: bytes | None = None
        """Visitor whose request is on the wire here."""
        self.since = 0.0
        self.answer = b""
        self._eyes = select.poll()
        self._eyes.register(client.get_extra_info("socket").fileno(), _CLIENT_LEFT)

    def left(self) -> bool:
        """Whether the client gave it up. The kernel is asked, since the FIN may still be unread behind other bytes."""
        return self.client.is_closing() or bool(self._eyes.poll(0))

    def end(self, *, rudely: bool) -> None:
        for writer in (self.client, self.server):
            if rudely and not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            writer.transport.abort()


class Link:
    """One listener in front of one server, with at most one toxic at a time.

    A link with a name is for HTTP: it stamps each request with that name, so that the endpoint's journal shows the
    sender, and checks that no visitor has two requests on the wire at once. Checking here, beside the
    client, also covers requests that never arrive.
    """

    def __init__(self, server_port: int, *, port: int = 0, name: str = "") -> None:
        """`port` 0 picks a free one when it opens."""
        self.port = port
        self.requests = 0
        self.overlaps: list[str] = []
        """Each time that a visitor had two requests on the wire, as text."""
        self._name = name.encode()
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._ways: set[_Way] = set()
        self._connections = ConnectionTasks()
        self._wire: dict[bytes, _Way] = {}
        self._toxic: Toxic | None = None
        self._seconds = 0.0
        self._flows = asyncio.Event()
        self._flows.set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close everything; what is under way is dropped."""
        if self._server is not None:
            await self._connections.close(self._server)

    def poison(self, toxic: Toxic, seconds: float = 0.0) -> None:
        """Replace the current toxic; `seconds` of a delay, or between two drops of a drip."""
        self._toxic, self._seconds = toxic, seconds
        if toxic is Toxic.HOLD:
            self._flows.clear()
        else:
            self._flows.set()
        if toxic in (Toxic.CUT, Toxic.RESET):
            for way in list(self._ways):
                way.end(rudely=toxic is Toxic.RESET)

    def heal(self) -> None:
        """Pass everything on again; held bytes come now, swallowed bytes never."""
        self._toxic = None
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.begin(self._serve(reader, writer), writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection(HOST, self._server_port)
        except OSError:
            return
        way = _Way(writer, server)
        self._ways.add(way)
        if self._toxic in (Toxic.CUT, Toxic.RESET):
            way.end(rudely=self._toxic is Toxic.RESET)
        loop = asyncio.get_running_loop()
        pumps = [
            loop.create_task(self._pass_requests(way, reader)),
            loop.create_task(self._pass_answers(way, server_reader)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # All that must be done before the first await: this task may be cancelled there.
            way.end(rudely=False)
            self._answered(way)
            self._ways.discard(way)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pass_requests(self, way: _Way, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                stamped = self._stamp(way, data) if self._name else data
                way.dead = way.dead or self._toxic is Toxic.HALF_OPEN
                step = DRIP_REQUEST_BYTES if self._toxic is Toxic.DRIP else len(stamped)
                for first in range(0, len(stamped), step):
                    await self._linger(REQUEST_SHARE if self._toxic is Toxic.DELAY else 1.0)
                    if way.left():
                        return
                    if not way.dead:
                        way.server.write(stamped[first : first + step])
                        await way.server.drain()

    async def _pass_answers(self, way: _Way, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                way.dead = way.dead or self._toxic in (Toxic.HALF_OPEN, Toxic.LOST_ANSWERS)
                step = DRIP_ANSWER_BYTES if self._toxic is Toxic.DRIP else len(data)
                for first in range(0, len(data), step):
                    await self._linger(1.0)
                    if not way.dead:
                        way.client.write(data[first : first + step])
                        await way.client.drain()
                if not way.dead and way.visitor is not None:
                    way.answer += data
                    if _is_whole(way.answer):
                        self._answered(way)

    async def _linger(self, share: float) -> None:
        if self._toxic in (Toxic.DELAY, Toxic.DRIP):
            await asyncio.sleep(self._seconds * share)
        await self._flows.wait()

    def _stamp(self, way: _Way, data: bytes) -> bytes:
        found = _REQUEST.match(data)
        if found is None:
            return data
        self._answered(way)  # A client that sends again on a connection has had its answer.
        now = time.monotonic()
        visitor = found["visitor"]
        before = self._wire.get(visitor)
        if before is not None and not before.left():
            self.overlaps.append(
                f"{self._name.decode()} sent for {visitor.decode()} at {now:.3f}, "
                f"{now - before.since:.3f} s after a request that it still waited for"
            )
        self._wire[visitor] = way
        way.visitor, way.since, way.answer = visitor, now, b""
        self.requests += 1
        line = found.end()
        return data[:line] + b"X-Instance: " + self._name + b"\r\n" + data[line:]

    def _answered(self, way: _Way) -> None:
        if way.visitor is not None and self._wire.get(way.visitor) is way:
            del self._wire[way.visitor]
        way.visitor = None


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and (length is None or len(body) >= int(length[1]))
