"""One profile fetch on the wire, by the proxy, TLS and token of the sender. It changes nothing and is not metered."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from connector.events.change import Visitor
from connector.target.failures import FAILURES, FIELD_BYTES, FIELDS, failed
from connector.target.profile import Fetched, FetchOutcome, fetch_target, read_answer
from connector.target.proxy import login
from connector.target.token import TokenSource

BODY_BYTES: Final = 4_194_304
"""Of an answer no more is read: a visitor's own data is held to 64 KB, and each attribute has a time beside it."""


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """Where profiles are. `origin` is scheme, host and port, `path` that of the API; as the sender's otherwise."""

    origin: str
    path: str
    client_code: str
    user_agent: str
    timeout_seconds: float = 10.0
    token: TokenSource | None = None
    proxy: str | None = field(default=None, repr=False)


class ProfileFetcher:
    """Fetches one profile after the other. Use it as `async with`."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        proxy = None if config.proxy is None else URL(config.proxy)
        words = None if proxy is None else login(proxy)
        self._proxy = None if proxy is None else proxy.with_user(None)
        is_tunnel = config.origin.startswith("https:")
        # A tunnel's password is for the proxy alone; without a tunnel it goes along with each request.
        self._tunnel = {"Proxy-Authorization": words} if words and is_tunnel else None
        self._headers = {"Proxy-Authorization": words} if words and not is_tunnel else {}

    async def __aenter__(self) -> Self:
        is_secure = self._config.origin.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=ssl.create_default_context() if is_secure else True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._config.user_agent, "Accept-Encoding": "identity"},
            max_field_size=FIELD_BYTES,
            max_headers=FIELDS,
            proxy=self._proxy,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, visitor: Visitor) -> Fetched:
        """Ask once, and say what came of it. Only cancellation passes through."""
        if self._session is None:
            msg = "use it as `async with`"
            raise RuntimeError(msg)
        config = self._config
        headers = dict(self._headers)
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.current()}"
        target = fetch_target(config.path, config.client_code, visitor)
        try:
            async with (
                asyncio.timeout(config.timeout_seconds),
                self._session.get(
                    URL(config.origin + target, encoded=True),
                    headers=headers,
                    allow_redirects=False,
                    proxy_headers=self._tunnel,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                body = await _read(response.content)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except FAILURES as error:
            answer = failed(error)
            # A connection that came about and failed is told in the words of an update, which this is not.
            broken = "no whole answer in TARGET_TIMEOUT_SECONDS, or one that broke off"
            return Fetched(FetchOutcome.FAILED, reason=broken if answer.reached else answer.reason)
        found = read_answer(status, body, retry_after, time.time())
        if found.outcome is FetchOutcome.UNAUTHORIZED and config.token is not None:
            config.token.refresh()
        return found


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read the body, to its end or to the limit."""
    body = bytearray()
    while len(body) < BODY_BYTES and (chunk := await content.read(BODY_BYTES - len(body))):
        body += chunk
    return bytes(body)
