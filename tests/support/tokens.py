"""Adobe's token services in memory, on virtual time, with a fault for each request, and a store beside them."""

import asyncio
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from connector.cli.token.store import Superseded
from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.target.profile_token.answers import ProfileToken
from connector.target.profile_token.client import AdobeTokenService, Credentials


@dataclass(frozen=True)
class Fault:
    """What the client sees in the place of an answer, and whether the request took effect."""

    shown: Answered | Unanswered
    heard: bool


CREDENTIALS = Credentials(
    ims_url="https://ims.example/token",
    token_url="https://target.example/token",
    client_id="id",
    client_secret="S3CR3T-client",
    scope="target_sdk",
)


LOST = Fault(Unanswered(Trouble.BROKE_OFF), heard=True)
LATE = Fault(Unanswered(Trouble.TIMEOUT), heard=True)
GATEWAY = Fault(Answered(504, b""), heard=True)
GARBLED = Fault(Answered(201, b"<html>S3CR3T</html>"), heard=True)
DROPPED = Fault(Unanswered(Trouble.BROKE_OFF), heard=False)
REFUSED = Fault(Unanswered(Trouble.NO_CONNECTION), heard=False)
BUSY = Fault(Answered(429, b"", "7"), heard=False)
DOWN = Fault(Answered(503, b"S3CR3T"), heard=False)
FORBIDDEN = Fault(Answered(403, b"S3CR3T"), heard=False)
FAULTS = (LOST, LATE, GATEWAY, GARBLED, DROPPED, REFUSED, BUSY, DOWN, FORBIDDEN)


@dataclass
class FakeServices:
    """What Adobe keeps of one account. `faults` are of the requests in their order; after them all goes well."""

    faults: Iterable[Fault | None] = ()
    life: float = 7_776_000.0
    token: str = ""
    ends: float = -math.inf
    latency: float = 0.1
    tells_end: bool = True
    requests: list[str] = field(default_factory=list)
    overwritten: list[float] = field(default_factory=list)
    """For how long the tokens were still good that a POST ended."""

    def __post_init__(self) -> None:
        self._faults = iter(self.faults)
        self._made = 0

    @staticmethod
    def now() -> float:
        """Seconds since the epoch: those of the running loop."""
        return asyncio.get_running_loop().time()

    @property
    def is_good(self) -> bool:
        """Whether there is a token that has not ended."""
        return self.ends > self.now()

    def client(self) -> AdobeTokenService:
        """The real client before these services."""
        return AdobeTokenService(CREDENTIALS, self, self.now)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, str] | bytes | None = None
    ) -> Answered | Unanswered:
        """Answer one request, after its latency."""
        kind = "sign in" if url == CREDENTIALS.ims_url else method
        self.requests.append(kind)
        fault = next(self._faults, None)
        await asyncio.sleep(self.latency)
        if fault is not None and not fault.heard:
            return fault.shown
        if kind == "sign in":
            assert isinstance(body, Mapping)
            assert body["client_secret"] == CREDENTIALS.client_secret
            given = _answer(200, access_token="S3CR3T-access", expires_in=86_399)
        else:
            assert headers["Authorization"] == "Bearer S3CR3T-access"
            given = self._issue() if method == "POST" else self._existing()
        await asyncio.sleep(self.latency)
        return given if fault is None else fault.shown

    def _issue(self) -> Answered:
        self.overwritten.append(max(0.0, self.ends - self.now()))
        self._made += 1
        self.token, self.ends = f"S3CR3T-{self._made}", self.now() + self.life
        return _answer(201, accessToken=self.token, expiresIn=self.life)

    def _existing(self) -> Answered:
        if not self.is_good:
            return Answered(404, b"")
        end = {"expiresIn": self.ends - self.now()} if self.tells_end else {}
        return _answer(200, accessToken=self.token, **end)


def _answer(status: int, **fields: object) -> Answered:
    return Answered(status, json.dumps(fields).encode())


@dataclass
class FakeStore:
    """A place with a version, as a Secret is; many `Store`s may share one."""

    stored: ProfileToken | None = None
    version: int = 0
    writes: int = 0

    def open(self) -> "FakeStoreClient":
        """One run's view of it."""
        return FakeStoreClient(self)


class FakeStoreClient:
    """What `connector token` takes for a store."""

    name = "the store"

    def __init__(self, place: FakeStore) -> None:
        self._place = place
        self._version = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def read(self) -> ProfileToken | None:
        await asyncio.sleep(0.05)
        self._version = self._place.version
        return self._place.stored

    async def write(self, token: ProfileToken) -> None:
        await asyncio.sleep(0.05)
        if self._place.version != self._version:
            raise Superseded
        self._place.stored, self._place.version = token, self._version + 1
        self._place.writes += 1
