"""One request on the wire and what came of it.

Nothing that the network or the server does raises here: it becomes an `Answer`. And nothing is sent that the caller
does not see: aiohttp by itself sends a GET again when a kept connection breaks under it, which would be a call that no
quota counts and, after a newer value went out on another connection, an old value that wins. `_Response` is the end of
that. See docs/target.md.
"""

import math
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify, unreadable
from connector.target.connections import AGE_SECONDS, NAME_SECONDS, Connector
from connector.target.deadlines import Deadlines
from connector.target.failures import FAILURES, FIELD_BYTES, FIELDS, failed
from connector.target.proxy import login
from connector.target.render import Request
from connector.target.statuses import NO_CHANGES, SUCCESS, Meaning
from connector.target.token import TokenSource

BODY_BYTES = 65_536
"""No more of an answer's body is read; known answers have under 200 bytes."""
IDLE_SECONDS = 15.0
"""A connection unused for this time is not used again: servers close theirs after 60 and more, so the race is rare."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """What the sender needs to know. `origin` is scheme, host and port, without a slash at the end.

    `timeout_seconds` bounds one attempt as a whole, from the name look-up to the body's last byte; connecting gets at
    most half of it. `max_connections` 0: no limit. `proxy` is an address with its user and password, if any. No request
    begins on a connection older than `age_seconds`, and the host's name is looked up again after `name_seconds`.
    """

    origin: str
    user_agent: str
    timeout_seconds: float = 10.0
    max_connections: int = 64
    token: TokenSource | None = None
    proxy: str | None = field(default=None, repr=False)
    statuses: Mapping[int, Meaning] = field(default_factory=lambda: NO_CHANGES)
    """Rows of the account's own, over those of `statuses.py`."""
    age_seconds: float = AGE_SECONDS
    name_seconds: int = NAME_SECONDS


class _BrokeOff(aiohttp.ClientError):
    """A connection ended under a request, in words that aiohttp does not answer by sending again."""


class _Response(aiohttp.ClientResponse):
    """Where aiohttp learns that a connection ended under a request; a middleware would cost twice as much."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Wait for the answer's header."""
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _BrokeOff from error


class HttpSender:
    """Sends requests to one origin over kept connections. Use it as `async with`, or by `start` and `close`."""

    __slots__ = (
        "_authority",
        "_bearer",
        "_config",
        "_connector",
        "_deadlines",
        "_form_headers",
        "_headers",
        "_proxy",
        "_proxy_headers",
        "_scheme",
        "_seconds",
        "_session",
        "_timeout",
    )

    def __init__(self, config: SenderConfig) -> None:
        self._config = config
        self._scheme, _, self._authority = config.origin.partition("://")
        self._session: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None
        self._bearer: str | None = None
        self._seconds = config.timeout_seconds
        # aiohttp would encode a user and a password in the address by Latin-1, in which many have no form.
        proxy = None if config.proxy is None else URL(config.proxy)
        words = None if proxy is None else login(proxy)
        self._proxy = None if proxy is None else proxy.with_user(None)
        # A tunnel's password is for the proxy alone; without a tunnel it goes along with each request.
        self._proxy_headers = {"Proxy-Authorization": words} if words and self._scheme == "https" else None
        self._headers: Mapping[str, str] | None = None
        self._form_headers: Mapping[str, str] = _FORM
        if words and self._scheme == "http":
            self._carry({"Proxy-Authorization": words})

    def _carry(self, headers: Mapping[str, str]) -> None:
        """Send these with each request to the endpoint from now on."""
        if self._proxy is None and self._session is not None:
            self._session.headers.update(headers)
        else:
            # Those of the session would reach the proxy too, when it is asked for a tunnel.
            self._headers = {**(self._headers or {}), **headers}
            self._form_headers = {**self._headers, **_FORM}

    def renew(self) -> None:
        """Begin no request on a connection that is there now, and look the endpoint's name up again."""
        if self._connector is not None:
            self._connector.renew()

    def bound(self, seconds: float) -> None:
        """From now on a request lasts no longer, connecting half of that; on the loop that sends."""
        self._seconds = seconds
        self._deadlines = Deadlines(seconds)
        self._timeout = aiohttp.ClientTimeout(
            total=None,  # That is for the deadlines.
            connect=seconds / 2,  # The name look-up and a proxy's part included.
            sock_connect=seconds / 2,
            ceil_threshold=math.inf,  # aiohttp rounds timeouts above this up to the next whole second.
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Make the session; opens no connection. Trusts the system's certificates, or those of SSL_CERT_FILE."""
        config = self._config
        self._bearer = None
        self.bound(self._seconds)
        self._connector = Connector(
            limit=config.max_connections,
            idle_seconds=IDLE_SECONDS,
            age_seconds=config.age_seconds,
            name_seconds=config.name_seconds,
            # Loading the certificates takes tens of milliseconds, and picks SSL_CERT_FILE up as it is now.
            ssl=ssl.create_default_context() if config.origin.startswith("https:") else True,
            made=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Answers are short: compressing them would only let a hostile one grow.
            headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            max_field_size=FIELD_BYTES,
            max_headers=FIELDS,
            response_class=_Response,
            proxy=self._proxy,
        )

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """One on which the kernel gives up with us, where it can be told so (Linux).

        Else it still sends what was written for minutes after the connection was closed, and a network that comes back
        delivers a request that no window counts any more, perhaps after a newer value. Connecting takes half of an
        attempt at most, and this the other half.
        """
        made = socket.socket(*address[:3])
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self._seconds * 500)))
        return made

    async def close(self) -> None:
        """End every connection; a request that is still on the wire becomes an answer at its caller."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Send it exactly once, or not at all, and say what came of it. Only cancellation passes through."""
        if self._session is None:
            msg = "the sender was not started"
            raise RuntimeError(msg)
        token = self._config.token
        if token is not None and (bearer := token.current()) is not self._bearer:
            self._bearer = bearer
            self._carry({"Authorization": f"Bearer {bearer}"})
        status, text, response = 0, b"", None
        path, _, query = request.target.partition("?")
        # From its parts, since parsing a text that was just put together costs three times as much.
        url = URL.build(scheme=self._scheme, authority=self._authority, path=path, query_string=query, encoded=True)
        try:
            with self._deadlines:
                response = await self._session.request(
                    request.method,
                    url,
                    data=request.body,
                    headers=self._headers if request.body is None else self._form_headers,
                    allow_redirects=False,
                    proxy_headers=self._proxy_headers,
                    timeout=self._timeout,
                )
                status = response.status
                text = await _read(response.content)
        except FAILURES as error:
            # The status of an error says enough; a success is none until its body came whole.
            if response is None or status in SUCCESS:
                return failed(error)
        finally:
            if response is not None and not response.content.at_eof():
                response.close()
        if status in SUCCESS:
            return _success(status, text, response.headers.get("Content-Encoding"), self._config.statuses)
        answer = classify(status, text, response.headers.get("Retry-After"), time.time(), self._config.statuses)
        if answer.verdict is Verdict.UNAUTHORIZED and token is not None:
            token.refresh()
        return answer


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read the body to its end, which frees the connection, or to the limit."""
    if content.is_eof():
        return content.read_nowait()
    first = await content.read(BODY_BYTES)
    if content.at_eof():
        return first
    body = bytearray(first)
    while len(body) < BODY_BYTES and not content.at_eof():
        body += await content.read(BODY_BYTES - len(body))
    return bytes(body)


def _success(status: int, body: bytes, encoding: str | None, statuses: Mapping[int, Meaning]) -> Answer:
    """A success whose body is in an encoding that cannot be read was still accepted, as far as one can tell."""
    decoded = body if encoding is None else _decoded(body, encoding)
    if decoded is None and status not in statuses:
        return unreadable(status, encoding or "")
    return classify(status, decoded or b"", None, 0.0, statuses)


_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""By zlib's numbers, what it is to expect around the data."""


def _decoded(body: bytes, encoding: str) -> bytes | None:
    """A body in an encoding that nobody asked for, as far as the limit; None: it cannot be read."""
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return body
    if encoding not in _WINDOWS:
        return None
    unpacking = zlib.decompressobj(_WINDOWS[encoding])
    try:
        text = unpacking.decompress(body, BODY_BYTES)
    except zlib.error:
        return None
    return text if unpacking.eof else None
