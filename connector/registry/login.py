"""What the header Authorization says: nothing, a password, a token that others replace, or one that we fetch."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote_plus

from connector.exchange.logins import read_token
from connector.registry.answers import OK, refused
from connector.registry.config import Basic, OAuth, TokenSource
from connector.registry.exchange import Answered, Exchange
from connector.registry.failures import Failure, Unauthorised, Unreachable, WrongUrl

_USED_SHARE: Final = 0.8
"""A token is used for this part of its life, so that none ends under way."""
_LIFE_SECONDS: Final = 300.0
"""The life of a token of which the server says none."""
_REFUSALS: Final = frozenset({400, 401, 403})


class Login(Protocol):
    """Gives the header's value."""

    async def header(self) -> str | Failure | None:
        """Give it; None: no header is sent."""
        ...

    def refused(self, sent: str | None) -> None:
        """Look for a new one, since the registry refused this."""
        ...


class NoLogin:
    """Nothing is sent."""

    async def header(self) -> None:
        """Give none."""

    def refused(self, sent: str | None) -> None:
        """Do nothing."""


class BasicLogin:
    """A user and a password."""

    def __init__(self, basic: Basic) -> None:
        self._header = basic.header

    async def header(self) -> str:
        """Give it, always the same."""
        return self._header

    def refused(self, sent: str | None) -> None:
        """Do nothing: only a restart brings another value."""


class BearerLogin:
    """A token from elsewhere."""

    def __init__(self, token: TokenSource) -> None:
        self._token = token

    async def header(self) -> str:
        """Give the token as it is now."""
        return f"Bearer {self._token.current()}"

    def refused(self, sent: str | None) -> None:
        """Look for a new one now, unless there is one already."""
        if sent == f"Bearer {self._token.current()}":
            self._token.refresh()


class OAuthLogin:
    """A token by client credentials (RFC 6749, section 4.4); one request at a time fetches it."""

    def __init__(self, oauth: OAuth, exchange: Exchange, clock: Callable[[], float] = time.monotonic) -> None:
        self._oauth = oauth
        self._exchange = exchange
        self._clock = clock
        # Section 2.3.1: both are form-encoded before they are joined.
        self._login = Basic(quote_plus(oauth.client_id), quote_plus(oauth.client_secret)).header
        self._form = {"grant_type": "client_credentials", **({"scope": oauth.scope} if oauth.scope else {})}
        self._one = asyncio.Lock()
        self._header: str | None = None
        self._until = 0.0
        self._failed: tuple[Failure, float] | None = None

    async def header(self) -> str | Failure:
        """Give the token, fetched anew once it is near its end."""
        asked = self._clock()
        async with self._one:
            if self._header is not None and self._clock() < self._until:
                return self._header
            # What failed for the one before is not tried again by each that waited behind it.
            if self._failed is not None and self._failed[1] >= asked:
                return self._failed[0]
            given = await self._fetch()
            self._failed = None if isinstance(given, str) else (given, self._clock())
            return given

    def refused(self, sent: str | None) -> None:
        """Fetch another next time, unless that has happened."""
        if sent == self._header:
            self._header = None

    async def _fetch(self) -> str | Failure:
        self._header = None
        headers = {"Authorization": self._login, "Accept": "application/json"}
        answered = await self._exchange.post(self._oauth.token_url, headers, self._form)
        if not isinstance(answered, Answered):
            after = answered.retry_after if isinstance(answered, Unreachable) else None
            return Unreachable(f"the token endpoint: {answered.reason}", after)
        if answered.status in _REFUSALS:
            return Unauthorised(
                f"HTTP {answered.status} of the token endpoint: it refused the client; look at"
                " SCHEMA_REGISTRY_OAUTH_CLIENT_ID, _CLIENT_SECRET and _SCOPE"
            )
        if answered.status != OK:
            failure = refused(answered.status, answered.retry_after, time.time())
            if isinstance(failure, Unreachable):
                return Unreachable(f"the token endpoint: {failure.reason}", failure.retry_after)
            return WrongUrl(f"HTTP {answered.status} of the token endpoint; look at SCHEMA_REGISTRY_OAUTH_TOKEN_URL")
        token = read_token(answered.body)
        if token is None:
            return WrongUrl("the token endpoint's answer holds no token; look at SCHEMA_REGISTRY_OAUTH_TOKEN_URL")
        text, life = token
        self._until = self._clock() + _USED_SHARE * (_LIFE_SECONDS if life is None else life)
        self._header = f"Bearer {text}"
        return self._header


def make_login(login: Basic | OAuth | TokenSource | None, exchange: Exchange) -> Login:
    """By what is configured; `exchange` is for the token endpoint."""
    match login:
        case None:
            return NoLogin()
        case Basic():
            return BasicLogin(login)
        case OAuth():
            return OAuthLogin(login, exchange)
        case _:
            return BearerLogin(login)
