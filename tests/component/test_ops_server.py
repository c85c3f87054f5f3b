"""The ops port over a real socket, asked by an independent client."""

import asyncio
import base64
import hashlib
import http.client
import json
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import pytest

from connector.errors import Fatal
from connector.ops.events import EVENTS
from connector.ops.health import Health
from connector.ops.server import MAX_CONNECTIONS, OpsServer, OpsUnavailable
from tests.support.captured_logs import captured_logs

HOST = "127.0.0.1"


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def make(
    *,
    port: int = 0,
    livez: Callable[[], Health] = lambda: Health(()),
    readyz: Callable[[], Health] = lambda: Health(()),
    metrics: Callable[[str], tuple[bytes, str]] = lambda accept: (accept.encode(), "text/x-metrics"),
    status: Callable[[], Mapping[str, object]] = lambda: {"updates_pending": 3},
) -> OpsServer:
    """A healthy server, but for the given changes."""
    return OpsServer(HOST, port, livez=livez, readyz=readyz, metrics=metrics, status=status)


def ask_blocking(port: int, path: str, method: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
    """One request by the standard library's client."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def raw_blocking(port: int, data: bytes) -> bytes:
    """Send bytes as they are and read to the end."""
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


def serve(served: OpsServer, use: Callable[[int], Awaitable[None]]) -> None:
    """Start, use, stop."""

    async def main() -> None:
        await served.start()
        try:
            await use(served.port)
        finally:
            await served.stop()

    asyncio.run(main())


def ask(
    served: OpsServer,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """Start, ask once from a thread, stop."""
    replies: list[Reply] = []

    async def use(port: int) -> None:
        replies.append(await asyncio.to_thread(ask_blocking, port, path, method, headers or {}, body))

    serve(served, use)
    return replies[0]


def raw(served: OpsServer, data: bytes) -> bytes:
    """Start, send bytes as they are, read to the end, stop."""
    received: list[bytes] = []

    async def use(port: int) -> None:
        received.append(await asyncio.to_thread(raw_blocking, port, data))

    serve(served, use)
    return received[0]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize(
    ("health", "status", "body"),
    [
        (Health(()), 200, {"status": "ok", "reasons": []}),
        (Health(("it is stuck",)), 503, {"status": "failing", "reasons": ["it is stuck"]}),
    ],
)
def test_a_probe_is_a_status_and_its_reasons(path: str, health: Health, status: int, body: dict[str, object]) -> None:
    """The kubelet reads the status, a person the reasons."""
    asked, other = (lambda: health), (lambda: Health(("the other probe",)))
    reply = ask(make(livez=asked, readyz=other) if path == "/livez" else make(livez=other, readyz=asked), path)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/json"
    assert json.loads(reply.body) == body


def test_metrics_get_the_accept_header_and_keep_their_content_type() -> None:
    """The scraper chooses the form."""
    reply = ask(make(), "/metrics?name=x", headers={"Accept": "application/openmetrics-text"})
    assert (reply.status, reply.body) == (200, b"application/openmetrics-text")
    assert reply.headers["Content-Type"] == "text/x-metrics"


def test_status_is_what_the_pipeline_says() -> None:
    """As JSON, read at request time."""
    reply = ask(make(), "/status")
    assert (reply.status, json.loads(reply.body)) == (200, {"updates_pending": 3})


def test_the_page_may_run_only_what_is_in_it_and_ask_only_its_own_server() -> None:
    """The user is logged in elsewhere: scripts by hash, not by origin, and no markup from text."""
    reply = ask(make(), "/")
    page = reply.body.decode()
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["Content-Security-Policy"].split(";"))
    inside = {
        f"{kind}-src": " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        )
        for kind, tag in (("style", "style"), ("script", "script"))
    }
    assert policy == {
        "default-src": "'none'", **inside, "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'", "require-trusted-types-for": "'script'", "trusted-types": "'none'",
    }  # fmt: skip
    assert inside["script-src"]
    assert not re.search(r"\son[a-z]+=|\sstyle=|<link|<img|src=|https?://(?!www\.w3\.org/)", page)
    for path in ("livez", "readyz", "metrics", "status"):
        assert f'href="{path}"' in page


def test_all_but_the_page_may_run_nothing_at_all() -> None:
    """Metrics and status contain foreign texts, and a browser could be made to render them as a page."""
    for path in ("/livez", "/metrics", "/status", "/nothing"):
        assert ask(make(), path).headers["Content-Security-Policy"] == (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/livez", "HEAD", 200), ("/nothing", "GET", 404), ("/livez/", "GET", 404),
     ("/livez", "POST", 405), ("/metrics", "DELETE", 405), ("/livez", "PROPFIND", 405)],
)  # fmt: skip
def test_every_answer_is_safe_to_show_and_names_no_library(path: str, method: str, status: int) -> None:
    """Scanners look for a version in a header."""
    reply = ask(make(), path, method)
    assert reply.status == status
    assert reply.headers["Server"] == "connector"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Connection"] == "close"
    assert "Content-Security-Policy" in reply.headers
    assert ("Allow" in reply.headers) == (status == 405)
    assert b"aiohttp" not in reply.body
    assert (reply.body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["words", "tls", "long header", "long path", "bad length"],
)
def test_what_is_no_request_gets_a_short_answer_and_no_log_line(data: bytes) -> None:
    """A port scan must neither fill the log nor identify the server."""
    with captured_logs(level="info") as logs:
        answer = raw(make(), data)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()
    assert b"aaaa" not in answer
    assert [(line["event"], line.get("message")) for line in logs.lines] == [("ops_listening", None)]


def test_a_body_is_not_read() -> None:
    """No path takes a body, whatever its announced length."""
    answer = raw(make(), b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 405 ")


def test_a_failure_behind_an_answer_is_a_500_without_detail_and_a_log_line_with_it() -> None:
    """The client may be anybody; readers of the log are trusted."""

    def broken() -> Mapping[str, object]:
        raise RuntimeError("the inside")  # noqa: TRY003, EM101

    with captured_logs(level="info") as logs:
        reply = ask(make(status=broken), "/status")
        strange = ask(make(status=lambda: {"x": object()}), "/status")
    assert reply.status == strange.status == 500
    assert b"inside" not in reply.body
    failed = [line for line in logs.lines if line["event"] == "ops_failed"]
    assert [line["path"] for line in failed] == ["/status", "/status"]
    assert failed[0]["error"] == "RuntimeError: the inside"


def test_a_port_in_use_is_an_error_that_names_the_setting() -> None:
    """Without a traceback: the usual mistake of a first start on a laptop."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OpsUnavailable, match=rf"cannot listen on 127\.0\.0\.1 port {port} .*OPS_PORT") as caught:
            asyncio.run(make(port=port).start())
    assert isinstance(caught.value, Fatal)
    assert caught.value.failure.event in EVENTS
    assert EVENTS[caught.value.failure.event].levels == ("error",)


@pytest.mark.parametrize(("host", "port"), [("256.1.1.1", 0), ("127.0.0.1", 70_000)])
def test_an_impossible_address_is_the_same_error(host: str, port: int) -> None:
    """OPS_HOST is free text."""
    served = OpsServer(
        host,
        port,
        livez=lambda: Health(()),
        readyz=lambda: Health(()),
        metrics=lambda accept: (b"", accept),
        status=dict,
    )
    with pytest.raises(OpsUnavailable, match="OPS_HOST"):
        asyncio.run(served.start())


def test_the_port_is_known_after_the_start_and_free_after_the_stop() -> None:
    """Port 0 lets tests and the demo run in parallel; stopping twice is harmless."""
    served = make()
    ports: list[int] = []

    async def use(port: int) -> None:
        ports.append(port)

    assert served.port == 0
    with captured_logs(level="info") as logs:
        serve(served, use)
    asyncio.run(served.stop())
    assert served.port == 0
    assert logs.lines[0]["port"] == ports[0] > 0
    with socket.create_server((HOST, ports[0]), reuse_port=False):
        assert True


def test_one_connection_too_many_is_closed_and_the_next_one_served() -> None:
    """Memory is bounded, and open connections do not block the probe for good."""

    async def use(port: int) -> None:
        held = [await asyncio.open_connection(HOST, port) for _ in range(MAX_CONNECTIONS)]
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        for _, each in held:
            each.close()
            await each.wait_closed()
        # The server notices each close with a delay: poll until it has.
        replies = [b""]
        while not replies[-1] and len(replies) < 1_000:
            replies.append(await asyncio.to_thread(raw_blocking, port, b"GET /livez HTTP/1.0\r\n\r\n"))
        assert replies[-1].startswith(b"HTTP/1.0 200 ")

    serve(make(), use)


def test_stopping_closes_what_is_open() -> None:
    """A client that holds a connection must not hold up the end of the process."""

    async def main() -> None:
        served = make()
        await served.start()
        reader, writer = await asyncio.open_connection(HOST, served.port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        await writer.drain()
        async with asyncio.timeout(10):
            await served.stop()
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())
