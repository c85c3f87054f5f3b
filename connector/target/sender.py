"""One request on the wire and what came of it; the only user of aiohttp's client.

Nothing that the network or the server does raises here: it becomes an `Answer`. And nothing is sent that the caller
does not see: aiohttp by itself sends a GET again when a kept connection breaks under it, which would be a call that no
quota counts and, after a newer value went out on another connection, an old value that wins. `_sent_once` is the end
of that. See docs/target.md.
"""

import math
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify
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


async def _sent_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokeOff from error


class HttpSender:
    """Sends requests to one origin over kept connections. Use it as `async with`, or by `start` and `close`."""

    __slots__ = ("_authority", "_bearer", "_config", "_scheme", "_session", "_timeout")

    def __init__(self, config: SenderConfig) -> None:
        self._config = config
        self._scheme, _, self._authority = config.origin.partition("://")
        self._session: aiohttp.ClientSession | None = None
        self._bearer: str | None = None
        self.bound(config.timeout_seconds)

    def bound(self, seconds: float) -> None:
        """From now on a request lasts so long at most, connecting half of that."""
        # aiohttp rounds timeouts above its threshold up to the next whole second; others rely on this one.
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=seconds / 2, ceil_threshold=math.inf)

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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=config.max_connections,
                keepalive_timeout=IDLE_SECONDS,
                ttl_dns_cache=DNS_SECONDS,
                # Loading the certificates takes tens of milliseconds, and picks SSL_CERT_FILE up as it is now.
                ssl=ssl.create_default_context() if config.origin.startswith("https:") else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Answers are short: compressing them would only let a hostile one grow.
            headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
            middlewares=(_sent_once,),
            proxy=config.proxy,
        )

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
        answer = await self._attempt(self._session, request)
        if answer.verdict is Verdict.UNAUTHORIZED and token is not None:
            token.refresh()
        return answer

    async def _attempt(self, session: aiohttp.ClientSession, request: Request) -> Answer:
        body = request.body
        path, _, query = request.target.partition("?")
        # From its parts, since parsing a text that was just put together costs three times as much.
        url = URL.build(scheme=self._scheme, authority=self._authority, path=path, query_string=query, encoded=True)
        try:
            response = await session.request(
                request.method,
                url,
                data=body,
                headers=None if body is None else _FORM,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except _FAILURES as error:
            return _failed(error)
        text = b""
        try:
            text = await _read(response)
        except _FAILURES as error:
            # The status of an error says enough; a success is none until its body came whole.
            if response.status in _SUCCESS:
                return _failed(error)
        finally:
            if not response.content.at_eof():
                response.close()
        return classify(response.status, text, response.headers.get("Retry-After"), time.time())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the body to its end, which frees the connection, or to the limit."""
    content = response.content
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
