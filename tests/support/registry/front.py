"""A small server in front of a registry, real or in memory: it checks logins, and fails as a test wants it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from tests.support.loopback import own_address
from tests.support.registry.fake import FakeRegistry

Trouble = Callable[[web.Request], web.StreamResponse | None]
"""What to answer in the registry's place; None: the request goes through."""
_HANG: Final = web.RequestKey("hang", bool)


def status(code: int, body: str = "", **headers: str) -> Trouble:
    """Answer a status; of a header's name each `_` is a `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=code, text=body, headers=named)


def drop(request: web.Request) -> None:
    """Break the connection off without an answer."""
    assert request.transport is not None
    request.transport.abort()


def hang(request: web.Request) -> None:
    """Accept, and answer nothing."""
    request[_HANG] = True


@dataclass(slots=True)
class Front:
    """Use it as `async with`. It listens at an address of its own, with TLS at `localhost`.

    `troubles` are used up, one a request; `trouble` is for every request after those. A request passes when `accept`
    has its Authorization header, or is None.
    """

    registry: FakeRegistry | str
    """In memory, or the address of a real one."""
    accept: set[str] | None = None
    tls: ssl.SSLContext | None = None
    troubles: list[Trouble] = field(default_factory=list)
    trouble: Trouble | None = None
    behaviour: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    """What answers in the place of all of it."""
    tokens: list[dict[str, Any] | int] = field(default_factory=list)
    """What POST /token answers to `client`, one after the other, or by which status; and then nothing any more."""
    client: str = ""
    requests: list[web.Request] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    host: str = field(default_factory=own_address)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The registry's address for a client."""
        return f"http://{self.host}:{self.port}" if self.tls is None else f"https://localhost:{self.port}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.path for request in self.requests]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        application = web.Application()
        application.router.add_post("/token", self._token)
        application.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01)  # 0 would wait for ever.
        await self._runner.setup()
        host = self.host if self.tls is None else "127.0.0.1"
        site = web.TCPSite(self._runner, host, self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.behaviour is not None:
            return await self.behaviour(request)
        trouble = self.troubles.pop(0) if self.troubles else self.trouble
        answer = None if trouble is None else trouble(request)
        if answer is not None:
            return answer
        if request.get(_HANG):
            await asyncio.Event().wait()
        if self.accept is not None and request.headers.get("Authorization") not in self.accept:
            return web.json_response({"error_code": 401, "message": "Unauthorized"}, status=401)
        if isinstance(self.registry, FakeRegistry):
            code, body = self.registry.answer(request.rel_url.raw_path, request.query)
            return web.json_response(body, status=code, content_type="application/vnd.schemaregistry.v1+json")
        async with aiohttp.ClientSession() as session, session.get(self.registry + request.raw_path) as through:
            return web.Response(status=through.status, body=await through.read())

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if request.headers.get("Authorization") != self.client:
            return web.json_response({"error": "invalid_client"}, status=401)
        if not self.tokens:
            await asyncio.Event().wait()
        token = self.tokens.pop(0)
        return web.Response(status=token) if isinstance(token, int) else web.json_response(token)
