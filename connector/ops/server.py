"""The ops port: probes, metrics and status for operators, and nothing that changes anything.

It answers from memory in the event loop. It is open to the cluster's network, so a stranger may not cost it anything:
connections are few and short, requests are small, and no answer names a library or its version.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec
import structlog
from aiohttp import web

from connector.errors import Fatal
from connector.ops.health import Health
from connector.ops.page import PAGE, POLICY

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_CONNECTIONS: Final = 64
"""At once; one more is closed without an answer. Probes and scrapes need a handful."""
IDLE_SECONDS: Final = 5.0
"""How long a client may take to send its request."""
CONNECTION_SECONDS: Final = 20.0
"""How long a connection may last in all, a slow reader's included."""
STOP_SECONDS: Final = 1.0
"""How long `stop` waits for an answer that is being made."""

_HEADERS: Final[Mapping[str, str]] = {
    "Server": "connector",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


_SILENT: Final = logging.getLogger("connector.ops.connections")
_SILENT.disabled = True
"""`_handle` says its own failures; what aiohttp says besides is about malformed requests, and a port scan must not fill
the log."""


class OpsUnavailable(Fatal):
    """The ops port cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            "ops_unavailable",
            f"cannot listen on {host} port {port} ({reason})",
            "end what uses it, or set OPS_HOST and OPS_PORT to an address of this machine and a free port",
        )


class OpsServer:
    """HTTP on one port. `start` and `stop` run in the loop that serves; the callables are called there, once a request.

    `metrics` takes the Accept header and gives the body and its content type; `status` gives what JSON can hold. What a
    callable raises becomes a 500 without detail, and the detail a log line.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        livez: Callable[[], Health],
        readyz: Callable[[], Health],
        metrics: Callable[[str], tuple[bytes, str]],
        status: Callable[[], Mapping[str, object]],
    ) -> None:
        self._host = host
        self._port = port
        self._listener: asyncio.Server | None = None
        self._connections: web.Server | None = None
        self._routes: Mapping[str, Callable[[web.BaseRequest], web.Response]] = {
            "/": lambda _: _page(),
            "/livez": lambda _: _probe(livez()),
            "/readyz": lambda _: _probe(readyz()),
            "/metrics": lambda request: _answer(200, *metrics(request.headers.get("Accept", ""))),
            "/status": lambda _: _json(200, status()),
        }

    @property
    def port(self) -> int:
        """The port listened on, which is not the one asked for if that was 0; the one asked for before the start."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen; raise `OpsUnavailable` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        connections = web.Server(self._handle)

        def accept() -> asyncio.Protocol:
            return _Connection(connections, loop) if len(connections.connections) < MAX_CONNECTIONS else _Refusal()

        try:
            self._listener = await loop.create_server(accept, self._host, self._port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OpsUnavailable(self._host, self._port, reason) from error
        self._connections = connections
        log.info("ops_listening", host=self._host, port=self.port)

    async def stop(self) -> None:
        """Free the port and close what is open; harmless twice or without a start."""
        listener, connections = self._listener, self._connections
        self._listener = self._connections = None
        if listener is not None:
            listener.close()
        if connections is not None:
            await connections.shutdown(STOP_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        route = self._routes.get(request.path)
        if route is None:
            return _json(404, {"error": "not found", "paths": list(self._routes)})
        if request.method not in ("GET", "HEAD"):
            refusal = _json(405, {"error": "method not allowed"})
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        try:
            return route(request)
        except Exception:
            log.exception("ops_failed", path=request.path)
            return _json(500, {"error": "the answer could not be made; the log says why"})


class _Connection(web.RequestHandler):
    """One connection: one request, an end in sight, and no word about the library that serves it."""

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=STOP_SECONDS,
            access_log=None,  # type: ignore[arg-type] # aiohttp's own code passes None to turn it off
            logger=_SILENT,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._end = self._loop.call_later(CONNECTION_SECONDS, cast("asyncio.Transport", transport).abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        return _json(status, {"error": "bad request" if status < 500 else "failed"})  # noqa: PLR2004 - HTTP's own border


class _Refusal(asyncio.Protocol):
    """The one connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _page() -> web.Response:
    response = _answer(200, PAGE, "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _probe(health: Health) -> web.Response:
    body = {"status": "ok" if health.ok else "failing", "reasons": health.reasons}
    return _json(200 if health.ok else 503, body)


def _json(status: int, body: object) -> web.Response:
    return _answer(status, msgspec.json.encode(body) + b"\n", "application/json")


def _answer(status: int, body: bytes, content_type: str) -> web.Response:
    response = web.Response(status=status, body=body, headers={**_HEADERS, "Content-Type": content_type})
    # One request a connection: a connection that is kept can be closed by its time limit just as a request arrives.
    response.force_close()
    return response
