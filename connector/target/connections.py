"""The way to the endpoint: names, sockets, and connections that are kept for a while.

aiohttp's, but for this: a connection has a greatest age, so that an address that moves is followed; a name look-up
that hangs keeps no process alive; a lack of open files is told from a lack of the endpoint; and no kept connection on
which bytes wait is given out.
"""

import errno
import random
import socket
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.tracing import Trace

from connector.threads import in_thread

NAME_SECONDS = 10
"""After this time a name is looked up again for the next new connection."""
AGE_SECONDS = 40.0
"""No request begins on an older connection; the age of each is drawn between half of this and all of it.

With the time that a name is remembered that is less than a minute, in which an address that moves is followed, also
while the old one still answers. 64 connections are made again at two a second, and not all at once.
"""
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(AbstractResolver):
    """Looks names up by the system, each in a daemon thread of its own."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses; raises OSError."""
        return await in_thread(lambda: _look_up(host, port, family), "name look-up")

    async def close(self) -> None:
        """Nothing is kept."""


def _look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        _need_a_file()  # It says "temporary failure in name resolution" for that too.
        raise
    return [_result(host, each[0], each[2], each[4]) for each in found]


def _need_a_file() -> None:
    """Raise the OSError of a socket that cannot be made."""
    socket.socket().close()


def _result(host: str, family: int, protocol: int, address: tuple[Any, ...]) -> ResolveResult:
    where = str(address[0])
    if len(address) == 4 and address[3]:  # noqa: PLR2004 - IPv6: host, port, flow, scope; the scope belongs to the host
        where = socket.getnameinfo((where, *address[1:]), _NUMERIC)[0]
    return ResolveResult(
        hostname=host,
        host=where,
        port=address[1],
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def is_without_files(error: BaseException) -> bool:
    """Whether it failed because this process, or the machine, may open no more files."""
    return isinstance(error, OSError) and error.errno in _NO_FILES


class Connector(aiohttp.TCPConnector):
    """Gives out a kept connection only while it is young, and silent.

    Bytes that wait on one are nobody's: a server's second answer, or a proxy's 408 on an idle connection. aiohttp would
    take them for the answer to what is sent next; as a success they would settle an update whose own answer was never
    read.
    """

    def __init__(
        self,
        *,
        limit: int,
        idle_seconds: float,
        age_seconds: float,
        name_seconds: int,
        ssl: SSLContext | bool,
        made: Callable[[aiohttp.AddrInfoType], socket.socket],
    ) -> None:
        """`limit` 0: none. `made` makes the socket for an address."""
        super().__init__(
            limit=limit,
            keepalive_timeout=idle_seconds,
            ttl_dns_cache=name_seconds,
            resolver=Resolver(),
            socket_factory=made,
            ssl=ssl,
        )
        self._age_seconds = age_seconds
        self._era = 0
        # Of which era each connection is, and when its time is over.
        self._ends: WeakKeyDictionary[object, tuple[int, float]] = WeakKeyDictionary()

    def renew(self) -> None:
        """From now on no request begins on a connection that was there before, and the name is looked up again."""
        self._era += 1
        self.clear_dns_cache()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        """Each connection that is refused is closed, so this ends with a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not (protocol.should_close or self._is_over(protocol)):
                return connection
            connection.close()

    def _is_over(self, protocol: object) -> bool:
        known = self._ends.get(protocol)
        now = time.monotonic()
        if known is None:
            self._ends[protocol] = self._era, now + self._age_seconds * random.uniform(0.5, 1.0)
            return False
        era, end = known
        return era != self._era or now >= end
