"""One HTTP exchange and what came of it: the only module of the room that knows the HTTP client.

Nothing that the network or the server does raises here: it becomes a `Failure`. No error's own text is used.
"""

import errno
import math
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver as Resolver
from yarl import URL

from connector.registry.config import Basic, RegistryError, Tls
from connector.registry.failures import Failure, Unreachable, Unusable, WrongUrl

__all__ = ["Answered", "Exchange", "Resolver", "client_context", "token_context"]

BODY_BYTES: Final = 10_000_000
"""No more of an answer's body is read: a larger schema is refused."""
CONNECTIONS: Final = 16
IDLE_SECONDS: Final = 15.0
NAME_SECONDS: Final = 10

_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""OSError and ValueError are for what slips through aiohttp's own tree: TLS, and headers that its parser lets pass."""
_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_TABLE: Final[Sequence[tuple[type[Exception], Failure]]] = (
    (TimeoutError, Unreachable("no whole answer within SCHEMA_REGISTRY_TIMEOUT_SECONDS")),
    (aiohttp.ClientProxyConnectionError, Unreachable("the proxy cannot be reached; look at HTTPS_PROXY")),
    (aiohttp.ClientHttpProxyError, Unreachable("the proxy refused the connection; look at HTTPS_PROXY")),
    (aiohttp.ClientConnectorDNSError, Unreachable("the host name is not known")),
    (
        aiohttp.ClientConnectorCertificateError,
        Unreachable("the certificate is not trusted; SCHEMA_REGISTRY_SSL_CA_LOCATION names a CA of your own"),
    ),
    (aiohttp.ClientConnectorError, Unreachable("the connection was refused or its TLS failed")),
    (aiohttp.ClientResponseError, WrongUrl("the answer is no valid HTTP; look at SCHEMA_REGISTRY_URL")),
)
"""The first row that fits holds, so what is more special comes first."""
_BROKE_OFF: Final = Unreachable("the connection broke off before the whole answer (a refused client certificate too)")


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, whatever its status."""

    status: int
    body: bytes
    retry_after: str | None


class Exchange:
    """Sends single requests over connections that are kept for a while; each is bounded in time and in size."""

    def __init__(
        self,
        *,
        user_agent: str,
        timeout_seconds: float,
        context: ssl.SSLContext | None,
        resolver: Resolver | None = None,
        proxy: Callable[[str], str | None],
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

    async def get(self, url: str, headers: Mapping[str, str]) -> Answered | Failure:
        """Ask for a resource. `url` is encoded."""
        return await self._send("GET", url, headers, None)

    async def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Answered | Failure:
        """Send a form."""
        return await self._send("POST", url, headers, form)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> Answered | Failure:
        try:
            address = URL(url, encoded=True)
            proxy, words = self._by(address)
            async with self._session.request(
                method,
                address,
                # A tunnel's password is for the proxy alone; without a tunnel it goes along with each request.
                headers={**headers, **words} if address.scheme == "http" else headers,
                data=form,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=words,
            ) as response:
                body = await _read(response.content)
                if len(body) > BODY_BYTES:
                    response.close()
                    return Unusable(f"the answer is larger than {BODY_BYTES:,} bytes")
                return Answered(response.status, body, response.headers.get("Retry-After"))
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
        return proxy.with_user(None), {"Proxy-Authorization": Basic(proxy.user, proxy.password or "").header}


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) <= BODY_BYTES and (piece := await content.readany()):
        body += piece
    return bytes(body)


def _failed(error: Exception) -> Failure:
    if isinstance(error, OSError) and error.errno in _NO_FILES:
        return Unreachable("this process may open no more files; raise its limit (ulimit -n)")
    return next((failure for kind, failure in _TABLE if isinstance(error, kind)), _BROKE_OFF)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For connections to the registry. Reads the files; raises `RegistryError`, which names setting and file."""
    context = _trusting(tls.ca, replace=True)
    if tls.certificate is not None:
        try:
            # An empty password: without one OpenSSL would ask for it at the terminal, and wait.
            context.load_cert_chain(tls.certificate, tls.key, tls.key_password or "")
        except (OSError, ValueError) as error:
            where = tls.certificate if tls.key is None else f"{tls.certificate} with {tls.key}"
            msg = f"{where} cannot be used: {_why(error)}; both must be PEM, and SCHEMA_REGISTRY_SSL_KEY_PASSWORD right"
            raise RegistryError(setting="SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION", reason=msg) from error
    return context


def token_context(tls: Tls) -> ssl.SSLContext:
    """For connections to a token endpoint, which may be public: both kinds of authorities, no client certificate."""
    return _trusting(tls.ca, replace=False)


def _trusting(authority: Path | None, *, replace: bool) -> ssl.SSLContext:
    try:
        if authority is None or not replace:
            context = ssl.create_default_context()
            if authority is not None:
                context.load_verify_locations(authority)
            return context
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        msg = f"{authority} cannot be used: {_why(error)}; it must hold certificates in PEM"
        raise RegistryError(setting="SCHEMA_REGISTRY_SSL_CA_LOCATION", reason=msg) from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    return error.strerror or "cannot be read" if isinstance(error, OSError) else "no PEM"
