"""One request on the wire and what came of it; the only user of aiohttp's client.

Nothing that the network or the server does raises here: it becomes an `Answer`. And nothing is sent that the caller
does not see: aiohttp by itself sends a GET again when a kept connection breaks under it, which would be a call that no
quota counts and, after a newer value went out on another connection, an old value that wins. `_Response` is the end of
that. See docs/target.md.
"""

import math
import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.tracing import Trace
from yarl import URL

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify
from connector.target.deadlines import Deadlines
from connector.target.render import Request
from connector.target.token import TokenSource

BODY_BYTES = 65_536
"""So much of an answer's body is read; known answers have under 200 bytes."""
DNS_SECONDS = 30
IDLE_SECONDS = 15
"""A connection unused for so long is not used again: servers close theirs after 60 and more, so the race is rare."""

_SUCCESS = range(200, 300)
_PROXY_REFUSED = 407
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# OSError and ValueError are for what slips through aiohttp's own tree: TLS, and headers that its parser lets pass.
_FAILURES = (aiohttp.ClientError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """What the sender needs to know. `origin` is scheme, host and port, without a slash at the end.

    `timeout_seconds` bounds one attempt as a whole, from the name look-up to the body's last byte; connecting gets at
    most half of it. `max_connections` 0: no limit. `proxy` is an address with its user and password, if any.
    """

    origin: str
    user_agent: str
    timeout_seconds: float = 10.0
    max_connections: int = 64
    token: TokenSource | None = None
    proxy: str | None = field(default=None, repr=False)


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


class _Connector(aiohttp.TCPConnector):
    """Gives out no kept connection on which bytes wait: aiohttp would take them for the answer to what is sent next.

    A server's second answer, or a proxy's 408 on an idle connection, is nobody's; as a success it would settle an
    update whose own answer was never read.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        """Each connection that is refused is closed, so this ends with a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class HttpSender:
    """Sends requests to one origin over kept connections. Use it as `async with`, or by `start` and `close`."""

    __slots__ = ("_authority", "_bearer", "_config", "_deadlines", "_scheme", "_seconds", "_session", "_timeout")

    def __init__(self, config: SenderConfig) -> None:
        self._config = config
        self._scheme, _, self._authority = config.origin.partition("://")
        self._session: aiohttp.ClientSession | None = None
        self._bearer: str | None = None
        self._seconds = config.timeout_seconds

    def bound(self, seconds: float) -> None:
        """From now on a request lasts so long at most, connecting half of that; on the loop that sends."""
        self._seconds = seconds
        self._deadlines = Deadlines(seconds)
        self._timeout = aiohttp.ClientTimeout(
            total=None,  # That is for the deadlines.
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
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=config.max_connections,
                keepalive_timeout=IDLE_SECONDS,
                ttl_dns_cache=DNS_SECONDS,
                socket_factory=self._socket,
                # Loading the certificates takes tens of milliseconds, and picks SSL_CERT_FILE up as it is now.
                ssl=ssl.create_default_context() if config.origin.startswith("https:") else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Answers are short: compressing them would only let a hostile one grow.
            headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
            response_class=_Response,
            proxy=config.proxy,
        )

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """One on which the kernel gives up with us, where it can be told so (Linux).

        Else it goes on with what was written for minutes after the connection was closed, and a cut network that comes
        back delivers a request that no window counts any more, perhaps after a newer value. Connecting takes half of an
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
            self._session.headers["Authorization"] = f"Bearer {bearer}"
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
                    headers=None if request.body is None else _FORM,
                    allow_redirects=False,
                    timeout=self._timeout,
                )
                status = response.status
                text = await _read(response.content)
        except _FAILURES as error:
            # The status of an error says enough; a success is none until its body came whole.
            if response is None or status in _SUCCESS:
                return _failed(error)
        finally:
            if response is not None and not response.content.at_eof():
                response.close()
        if status in _SUCCESS:
            return classify(status, text, None, 0.0)
        answer = classify(status, text, response.headers.get("Retry-After"), time.time())
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


def _failed(error: Exception) -> Answer:  # noqa: PLR0911 - a table, a line a kind of failure
    """What a failure of the network means. The error's own text is not used: it may hold the address with the id."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        reason = "no connection in half of TARGET_TIMEOUT_SECONDS; look at the network, the proxy and TARGET_BASE_URL"
        return Answer(Verdict.TIMEOUT, reason, reached=False)
    if isinstance(error, TimeoutError):
        return Answer(Verdict.TIMEOUT, "no whole answer within TARGET_TIMEOUT_SECONDS; it may have been applied")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        verdict = Verdict.UNAUTHORIZED if error.status == _PROXY_REFUSED else Verdict.UNAVAILABLE
        return Answer(verdict, f"the proxy answered HTTP {error.status}; look at HTTPS_PROXY", reached=False)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return Answer(Verdict.UNAVAILABLE, "the proxy cannot be reached; look at HTTPS_PROXY", reached=False)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Answer(Verdict.UNAVAILABLE, "the host name is not known; look at TARGET_CLIENT_CODE", reached=False)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = "the certificate is not trusted; SSL_CERT_FILE names a CA of your own"
        return Answer(Verdict.UNAVAILABLE, reason, reached=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = "the connection was refused or its TLS failed; look at TARGET_BASE_URL"
        return Answer(Verdict.UNAVAILABLE, reason, reached=False)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Answer(Verdict.UNAVAILABLE, "the answer's body broke off or could not be decoded")
    if isinstance(error, aiohttp.ClientResponseError):
        return Answer(Verdict.UNAVAILABLE, "the answer is no valid HTTP; look whether TARGET_BASE_URL is the API")
    return Answer(Verdict.UNAVAILABLE, "the connection broke off before the answer; it may have been applied")
