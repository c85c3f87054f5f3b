"""The sandbox Target: a real HTTP server that stands in for Adobe's endpoint and judges what is sent to it."""

import asyncio
import time
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from connector.sandbox.api import OWN_PREFIX, OwnApi
from connector.sandbox.config import SandboxConfig
from connector.sandbox.endpoint import UpdateEndpoint
from connector.sandbox.fetch import FETCH_PREFIX, FetchApi
from connector.sandbox.journal import Journal
from connector.sandbox.profiles import ProfileStore
from connector.sandbox.rules import Rule, RuleViolation
from connector.sandbox.token_service import TokenService

__all__ = ["SandboxConfig", "SandboxTarget"]

# The server must read what the rules forbid, to name the rule; aiohttp's own limit is below the documented 8,192 bytes.
_LINE_BYTES: Final = 1_048_576
_STOP_SECONDS: Final = 0.05  # aiohttp takes 0 for no bound at all
_UNREADABLE: Final = "UNKNOWN"  # the method aiohttp gives to what it could not parse


class SandboxTarget:
    """The server, on the caller's event loop, from `start` to `stop`."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._endpoint = UpdateEndpoint(config)
        self._api = OwnApi(self._endpoint)
        self._tokens = None if config.token_service is None else TokenService(config.token_service, self._endpoint)
        self._fetch = FetchApi(self._endpoint)
        self._runner: web.ServerRunner | None = None
        self._port = config.port

    @property
    def profiles(self) -> ProfileStore:
        """The profiles that accepted updates made."""
        return self._endpoint.profiles

    @property
    def journal(self) -> Journal:
        """The requests, the broken rules and the counters."""
        return self._endpoint.journal

    @property
    def endpoint(self) -> UpdateEndpoint:
        """`set_faults`, `set_token` and `stats`, for a caller on the same loop."""
        return self._endpoint

    @property
    def port(self) -> int:
        """The port it listens on; known once started if the configuration says 0."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, to be given as TARGET_BASE_URL."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; raises OSError if the address cannot be had."""
        server = web.Server(
            self._answer,
            request_factory=self._make_request,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.host, self._config.port, backlog=1_024).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and cut what is still in flight; what was kept can still be read."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if self._tokens is not None and self._tokens.serves(path.partition("?")[0]):
            return await self._tokens.answer(request)
        if path.startswith(OWN_PREFIX):
            return await self._api.answer(request)
        if path.startswith(FETCH_PREFIX):
            return await self._fetch.answer(request)
        return await self._endpoint.answer(request)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        """As aiohttp does, but what it could not even parse, and answers by itself with 400, is a broken rule too."""
        if message.method == _UNREADABLE:
            self.journal.break_rule(RuleViolation(Rule.HTTP, "not readable as HTTP"), "?", time.monotonic())
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
