"""Asks IMS and Target's token service, as often as the decision says."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from connector.exchange.answer import Answered, Unanswered
from connector.target.profile_token.answers import (
    NoToken,
    Outcome,
    Problem,
    ProfileToken,
    SignedIn,
    read_existing,
    read_issued,
    read_sign_in,
)
from connector.target.profile_token.decision import Ask, GiveUp, Have, Next, Step, Terms, after

_MEDIA_TYPE: Final = "application/vnd.adobe.target.v1+json"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of whom the token is asked, and by whom; both addresses are whole."""

    ims_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str


class Exchange(Protocol):
    """Sends one request; a failure is given, not raised."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, str] | bytes | None = None
    ) -> Answered | Unanswered:
        """Send it; a mapping as `body` is a form."""
        ...


class TokenService(Protocol):
    """Makes the three requests; a failure is given, not raised."""

    async def sign_in(self) -> SignedIn | Problem:
        """Give the credentials to IMS."""
        ...

    async def look(self) -> ProfileToken | NoToken | Problem:
        """Ask for the token that there is."""
        ...

    async def issue(self) -> ProfileToken | Problem:
        """Have a new token made, which ends the one that there is."""
        ...


class AdobeTokenService:
    """IMS and the token service over HTTP; it keeps the access token of `sign_in` for the others."""

    def __init__(self, credentials: Credentials, exchange: Exchange, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._credentials = credentials
        self._exchange = exchange
        self._clock = clock
        self._headers = {
            "Accept": _MEDIA_TYPE,
            "Content-Type": _MEDIA_TYPE,
            "Cache-Control": "no-cache",
            "X-Api-Key": credentials.client_id,
        }

    async def sign_in(self) -> SignedIn | Problem:
        """Give the credentials to IMS."""
        own = self._credentials
        form = {
            "grant_type": "client_credentials",
            "client_id": own.client_id,
            "client_secret": own.client_secret,
            "scope": own.scope,
        }
        given = await self._exchange.send("POST", own.ims_url, {"Accept": "application/json"}, form)
        read = read_sign_in(given, self._clock())
        if isinstance(read, SignedIn):
            self._headers["Authorization"] = f"Bearer {read.access_token}"
        return read

    async def look(self) -> ProfileToken | NoToken | Problem:
        """Ask for the token that there is."""
        # Its life counts from an earlier moment than that of the answer.
        began = self._clock()
        return read_existing(await self._exchange.send("GET", self._credentials.token_url, self._headers), began)

    async def issue(self) -> ProfileToken | Problem:
        """Have a new token made, which ends the one that there is."""
        began = self._clock()
        return read_issued(await self._exchange.send("POST", self._credentials.token_url, self._headers), began)


async def obtain(service: TokenService, terms: Terms, rng: random.Random, clock: Callable[[], float]) -> Have | GiveUp:
    """Ask until the token is there or the decision gives up; `clock` gives seconds since the epoch."""
    requests: dict[Step, Callable[[], Awaitable[Outcome]]] = {
        Step.SIGN_IN: service.sign_in,
        Step.LOOK: service.look,
        Step.ISSUE: service.issue,
    }
    step: Next = Ask()
    while isinstance(step, Ask):
        await asyncio.sleep(step.pause)
        step = after(step, await requests[step.step](), terms, clock(), rng)
    return step
