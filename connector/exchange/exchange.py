"""The HTTP client of single exchanges: each bounded in time and in size, through a proxy where there is one.

Nothing that the network or the server does raises here: it becomes an `Unanswered`. No error's own text is used.
"""

import errno
import math
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver as Resolver
from yarl import URL

from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.exchange.logins import basic

__all__ = ["Exchange", "Resolver"]

BODY_BYTES: Final = 10_000_000
"""No more of an answer's body is read."""
CONNECTIONS: Final = 16
IDLE_SECONDS: Final = 15.0
NAME_SECONDS: Final = 10

_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""OSError and ValueError are for what slips through aiohttp's own tree: TLS, and headers that its parser lets pass."""
_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_TABLE: Final[Sequence[tuple[type[Exception], Trouble]]] = (
    (TimeoutError, Trouble.TIMEOUT),
    (aiohttp.ClientProxyConnectionError, Trouble.PROXY_UNREACHABLE),
    (aiohttp.ClientHttpProxyError, Trouble.PROXY_REFUSED),
    (aiohttp.ClientConnectorDNSError, Trouble.UNKNOWN_HOST),
    (aiohttp.ClientConnectorCertificateError, Trouble.UNTRUSTED),
    (aiohttp.ClientConnectorError, Trouble.NO_CONNECTION),
    (aiohttp.ClientResponseError, Trouble.NO_HTTP),
)
"""The first row that fits holds, so what is more special comes first."""


class Exchange:
    """Sends single requests over connections that are kept for a while; each is bounded in time and in size."""

    def __init__(
        self,
        *,
        user_agent: str,
        timeout_seconds: float,
        context: ssl.SSLContext | None,
        proxy: Callable[[str], str | None],
        resolver: Resolver | None = None,
    ) -> None:
        """Belongs to the running loop. `context` None: certificates are never needed."""
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS,
            keepalive_timeout=IDLE_SECONDS,
            ttl_dns_cache=NAME_SECONDS,
            resolver=resolver,
            ssl=True if context is None else context,
        )
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compression would only let a hostile answer grow.
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            # aiohttp rounds a time limit above the threshold up to the next whole second.
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, ceil_threshold=math.inf),
        )

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, str] | bytes | None = None
    ) -> Answered | Unanswered:
        """Send one request. `url` is encoded; a mapping as `body` is sent as a form."""
        try:
            address = URL(url, encoded=True)
            proxy, words = self._by(address)
            async with self._session.request(
                method,
                address,
                # A tunnel's password is for the proxy alone; without a tunnel it goes along with each request.
                headers={**headers, **words} if address.scheme == "http" else headers,
                data=body,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=words,
            ) as response:
                read = await _read(response.content)
                if len(read) > BODY_BYTES:
                    response.close()
                    return Unanswered(Trouble.TOO_LARGE)
                return Answered(response.status, read, response.headers.get("Retry-After"))
        except _FAILURES as error:
            return _failed(error)

    def _by(self, address: URL) -> tuple[URL | None, Mapping[str, str]]:
        """The proxy on the way, and its login: aiohttp's own would encode that in Latin-1."""
        text = self._proxy(str(address.origin()))
        if text is None:
            return None, {}
        proxy = URL(text)
        if proxy.user is None:
            return proxy, {}
        return proxy.with_user(None), {"Proxy-Authorization": basic(proxy.user, proxy.password or "")}


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) <= BODY_BYTES and (piece := await content.readany()):
        body += piece
    return bytes(body)


def _failed(error: Exception) -> Unanswered:
    if isinstance(error, OSError) and error.errno in _NO_FILES:
        return Unanswered(Trouble.NO_FILES)
    return Unanswered(next((trouble for kind, trouble in _TABLE if isinstance(error, kind)), Trouble.BROKE_OFF))
