"""What a hostile endpoint, or a proxy in its place, can do to the sender with an answer: cost one attempt, no more.

`test_sender.py` covers servers' mistakes. Here each answer is meant to exhaust, to mislead or to redirect,
and the checks are the same: one `Answer` in time, nothing sent twice, little memory, and the next request succeeds.
"""

import asyncio
import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import cache

import pytest
import uvloop

from connector.delivery.answer import Answer, Verdict
from connector.target.sender import HttpSender, SenderConfig
from tests.support.hostile_server import (
    SUCCESS,
    Behaviour,
    HostileServer,
    Received,
    answer,
    get,
    post,
    repeats,
    says,
    says_and_hangs_up,
)

SECRET = "visitor-4711"
UPDATE = get(f"mbox3rdPartyId={SECRET}&profile.a=b")
TIMEOUT_SECONDS = 0.5
LATE_SECONDS = 30.0
"""Margin for a busy machine, beyond the timeout; what is caught by it would never end."""
PEAK_BYTES = 8_000_000
PASSED_BYTES = 40_000_000
"""Many times what the buffers of both sides hold, and far less than a gigabyte."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

Exchange = Callable[[HttpSender, HostileServer], Awaitable[None]]
NOT_ACCEPTED = frozenset(Verdict) - {Verdict.ACCEPTED}


@pytest.fixture(params=LOOPS, autouse=True)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """On both event loops, whose transports and buffers differ."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
        yield loop


async def _exchange(behaviours: Sequence[Behaviour], exchange: Exchange) -> None:
    async with HostileServer(list(behaviours)) as server:
        config = SenderConfig(server.origin, "test", timeout_seconds=TIMEOUT_SECONDS, max_connections=1)
        async with HttpSender(config) as sender:
            await exchange(sender, server)


def _survives(runner: asyncio.Runner, behaviour: Behaviour) -> Answer:
    """Send one update to it, and then one to a healthy server; returns the first answer."""
    answers: list[Answer] = []

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        tracemalloc.start()
        try:
            answers.append(await sender.send(UPDATE))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert loop.time() - began < TIMEOUT_SECONDS + LATE_SECONDS
        assert peak < PEAK_BYTES
        assert len(server.received) == 1
        # The connection limit is one: a hostile answer must not keep it. Its close may still be under way.
        await asyncio.sleep(0.02)
        assert (await sender.send(post())).verdict is Verdict.ACCEPTED
        sent = [f"GET {UPDATE.target} HTTP/1.1", "POST /m2/client/profile/update HTTP/1.1"]
        assert [received.line for received in server.received] == sent

    runner.run(_exchange([behaviour, says(answer())], exchange))
    assert SECRET not in answers[0].reason
    assert "\r" not in answers[0].reason
    return answers[0]


def _pours(start: bytes, piece: bytes) -> tuple[Behaviour, list[int]]:
    """Answer a start and pieces without end; also gives how many bytes the sender took."""
    passed = [0]

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            passed[0] += len(piece)

    return behave, passed


MEGABYTE = b"x" * 1_048_576


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"),
        (CHUNKED + b"ffffffffff\r\n", MEGABYTE),
        (OK + b"\r\n", MEGABYTE),
        (OK + b"Content-Length: 99999999999999999\r\n\r\n", MEGABYTE),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + MEGABYTE + b"\r\n"),
        (b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + MEGABYTE + b"\r\n"),
        (b"HTTP/1.1 302 No\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + MEGABYTE + b"\r\n"),
        (CHUNKED, b"1\r\nx\r\n" * 100_000),
    ],
    ids=["chunked", "one chunk", "until closed", "by length", "HTTP 500", "HTTP 401", "redirect", "tiny chunks"],
)
def test_gigabytes_are_not_taken_in(runner: asyncio.Runner, start: bytes, piece: bytes) -> None:
    """Catches a sender that reads a body to its end, or drops the connection without closing it."""
    behaviour, passed = _pours(start, piece)
    assert _survives(runner, behaviour).verdict in NOT_ACCEPTED
    assert passed[0] < PASSED_BYTES


@pytest.mark.parametrize(
    "behaviour",
    [
        repeats(OK, b"X-Header: 1\r\n", 0.001),
        repeats(OK, b"Set-Cookie: a=b\r\n"),
        repeats(OK + b"X: ", b" " * 65_536),
        repeats(OK + b"X: 1\r\n", b" folded on and on\r\n"),
        repeats(b"", b"\r\n"),
        repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        repeats(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
        repeats(b"", b"HTTP/1.1 102 Processing\r\n" + b"X: 1\r\n" * 50 + b"\r\n", 0.001),
        repeats(CHUNKED + b"1;", b"extension" * 1_000),
        repeats(CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n"),
        repeats(CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n", 0.001),
        repeats(CHUNKED, b"0" * 65_536),
    ],
    ids=[
        "headers",
        "cookies",
        "one header",
        "folds",
        "empty lines",
        "100s",
        "103s",
        "102s with headers",
        "chunk extension",
        "trailers",
        "slow trailers",
        "chunk size",
    ],
)
def test_what_never_ends_ends_with_the_attempt(runner: asyncio.Runner, behaviour: Behaviour) -> None:
    """Catches a sender whose timeout is per read and not for the whole, or that keeps what a parser collects."""
    assert _survives(runner, behaviour).verdict in {Verdict.UNAVAILABLE, Verdict.TIMEOUT}


def _drips(data: bytes, pause: float) -> Behaviour:
    """Answer byte by byte."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


@pytest.mark.parametrize(
    "data",
    [
        answer(200, SUCCESS, "X-Padding: " + "x" * 60),
        answer(200, SUCCESS),
        CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in SUCCESS) + b"0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(),
    ],
    ids=["header", "body", "chunks", "after a hint"],
)
def test_a_success_that_drips_in_past_the_timeout_is_none(runner: asyncio.Runner, data: bytes) -> None:
    """Catches a timeout that each byte restarts."""
    assert _survives(runner, _drips(data, TIMEOUT_SECONDS / 20)).verdict is Verdict.TIMEOUT


@cache
def _bomb(kind: str) -> bytes:
    """Made when a test runs, not when each process of the tests is collected: it takes half a second."""
    empty = b"\0" * 50_000_000
    if kind == "deflate":
        return zlib.compress(empty)
    return gzip.compress(gzip.compress(empty, mtime=0) if kind == "gzip, gzip" else empty, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", SUCCESS),
        ("gzip", gzip.compress(SUCCESS, mtime=0)[:10]),
        ("gzip", gzip.compress(SUCCESS, mtime=0) + b"\xff" * 100),
        ("gzip", None),
        ("gzip, gzip", None),
        ("deflate", None),
        ("deflate", b"\xff" * 100),
        ("br", SUCCESS),
        ("zstd", SUCCESS),
        ("br", b"\xff" * 1_000),
        ("gzip" + ", gzip" * 300, gzip.compress(SUCCESS, mtime=0)),
        ("\x00", b"\x1f\x8b\x00"),
    ],
    ids=[
        *("no gzip", "half", "more behind", "bomb", "bomb in a bomb", "deflate bomb", "no deflate"),
        *("no brotli", "no zstd", "noise as brotli", "three hundred times", "NUL"),
    ],
)
def test_a_wrong_encoding_costs_neither_memory_nor_the_process(
    runner: asyncio.Runner, encoding: str, body: bytes | None
) -> None:
    """Catches a sender that unpacks without a limit, or an unexpected exception of a decoder."""
    _survives(runner, says(answer(200, _bomb(encoding) if body is None else body, f"Content-Encoding: {encoding}")))


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 5\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: 5\r\nContent-Length: 34\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: 5, 34\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: +34\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: 0x22\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n" + SUCCESS,
        OK + b"Content-Length: \xb2\r\n\r\n" + SUCCESS,
        CHUNKED + b"-1\r\n" + SUCCESS,
        CHUNKED + b"0x22\r\n" + SUCCESS + b"\r\n0\r\n\r\n",
        CHUNKED + b"22" + SUCCESS + b"\r\n0\r\n\r\n",
        CHUNKED + b"\xb2\r\n" + SUCCESS + b"\r\n0\r\n\r\n",
        CHUNKED + b"f" * 400 + b"\r\n" + SUCCESS,
        CHUNKED + b"5\r\n" + SUCCESS + b"\r\n0\r\n\r\n",
        CHUNKED + b"\r\n\r\n" + SUCCESS,
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n22\r\n" + SUCCESS,
        OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n22\r\n",
        OK[:-2] + b"\nContent-Length: 99\n\n" + SUCCESS,
        b"HTTP/1.1 204 No\r\nContent-Length: 34\r\n\r\n" + SUCCESS,
        SUCCESS,
        b"<html>" + SUCCESS + b"</html>\r\n\r\n",
        b"HTTP/9.9 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
        b"HTTP/1.1 200\x00OK\r\n\r\n" + SUCCESS,
        b"HTTP/1.1 -200 OK\r\n\r\n" + SUCCESS,
        b"HTTP/1.1 2000 OK\r\n\r\n" + SUCCESS,
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + SUCCESS,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 10,
        b"\x00" * 4_096,
        OK + b"Na\x00me: x\r\nContent-Length: 0\r\n\r\n",
        OK + b"Name: va\x00lue\r\nContent-Length: 0\r\n\r\n",
        OK + b"Name\r\nContent-Length: 0\r\n\r\n",
        OK + b": empty\r\nContent-Length: 0\r\n\r\n",
        OK + b"\xff\xfe: \xff\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 4\r\n\r\n\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\nHost: you\r\n\r\n",
        b"ICY 200 OK\r\n\r\n" + SUCCESS,
        b"RTSP/1.0 200 OK\r\n\r\n",
    ],
)
@pytest.mark.parametrize("ends", [says, says_and_hangs_up], ids=["stays", "hangs up"])
def test_what_is_no_clean_http_is_no_success(
    runner: asyncio.Runner, data: bytes, ends: Callable[[bytes], Behaviour]
) -> None:
    """Catches a lenient parser: wrong lengths and wrong framing must not pass for an acceptance."""
    assert _survives(runner, ends(data)).verdict in NOT_ACCEPTED


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one loopback address")
def test_a_foreign_client_on_the_port_is_not_taken_for_the_sender(runner: asyncio.Runner) -> None:
    """A client of another test, or of another suite, may still send to a reused port.

    One such request between a test's own two looked as if the sender had sent its GET twice.
    """

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert (await sender.send(get())).verdict is Verdict.ACCEPTED
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
        assert (await sender.send(post())).verdict is Verdict.ACCEPTED
        assert [received.line.split()[0] for received in server.received] == ["GET", "POST"]

    runner.run(_exchange([says(answer())], exchange))


def test_a_second_answer_behind_the_first_is_discarded(runner: asyncio.Runner) -> None:
    """Catches a sender that keeps a connection with surplus bytes: the next request would get them."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert (await sender.send(get())).verdict is Verdict.THROTTLED
        await asyncio.sleep(0.05)
        assert (await sender.send(get())).verdict is Verdict.REJECTED
        assert len(server.received) == server.connections == 2

    smuggled = answer(429, b"") + answer()
    runner.run(_exchange([says(smuggled), says(answer(400, b""))], exchange))


def test_an_answer_before_the_form_was_sent_is_not_sent_on(runner: asyncio.Runner) -> None:
    """Catches a sender that keeps sending the old form on a connection that was answered early, or sends it again."""
    large = post(b"mbox3rdPartyId=1&profile.a=" + b"x" * 60_000)

    async def main() -> None:
        requests: list[bytes] = []

        async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            requests.append(await reader.readuntil(b"\r\n"))
            writer.write(answer(503, b"") if len(requests) == 1 else answer())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(impatient, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with HttpSender(SenderConfig(f"http://127.0.0.1:{port}", "test", timeout_seconds=5.0)) as sender:
                first = await sender.send(large)
                assert first.verdict in {Verdict.THROTTLED, Verdict.UNAVAILABLE}
                assert len(requests) == 1
                await asyncio.sleep(0.05)
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
                assert len(requests) == 2

    runner.run(main())


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize("form", ["{}/collect", "//{}/collect", "http://user:pass@{}/", "\\\\{}\\x", "{}\x00"])
def test_no_answer_leads_anywhere_else(runner: asyncio.Runner, status: int, form: str) -> None:
    """Catches a client that follows: a third party would get the visitor, the token, and an update nobody counted."""

    async def main() -> None:
        async with HostileServer([says(answer())]) as stranger:
            authority = stranger.origin.removeprefix("http://")
            location = form.format(stranger.origin if form.startswith("{}") else authority)
            headers = (
                f"Location: {location}",
                f"Content-Location: {location}",
                f"Refresh: 0; url={stranger.origin}",
                f'Alt-Svc: h2="{authority}"',
                f"Link: <{stranger.origin}>; rel=preload",
            )

            async def exchange(sender: HttpSender, server: HostileServer) -> None:
                assert (await sender.send(UPDATE)).verdict is Verdict.UNAVAILABLE
                assert (await sender.send(post())).verdict is Verdict.UNAVAILABLE
                assert len(server.received) == 2

            await _exchange([says(answer(status, b"", *headers))], exchange)
            assert stranger.connections == 0

    runner.run(main())


@pytest.mark.parametrize("cookie", ["a=1", "a=1; Domain=127.0.0.1; Path=/", "__Host-a=1; Secure", "\x00=1", "=", "a"])
def test_no_cookie_comes_back(runner: asyncio.Runner, cookie: str) -> None:
    """Catches a cookie jar: it would tie visitors together at the endpoint, and grow without a bound."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        for status in (200, 401, 302):
            server.behaviours[:] = [says(answer(status, SUCCESS, *[f"Set-Cookie: {cookie}"] * 50))]
            await sender.send(UPDATE)
        server.behaviours[:] = [says(answer())]
        assert (await sender.send(UPDATE)).verdict is Verdict.ACCEPTED
        assert len(server.received) == 4
        assert not any("cookie" in received.headers for received in server.received)

    runner.run(_exchange([says(answer())], exchange))


@pytest.mark.parametrize(
    "value", ["9" * 400, "-1", "1e999", "nan", "\u0661", "Fri, 99 Foo 99999 99:99:99", "1, 2", "\xff"]
)
def test_an_invalid_retry_after_delays_nothing_for_long(runner: asyncio.Runner, value: str) -> None:
    """Catches a header that becomes infinite, negative or an exception."""
    head = f"HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n".encode()
    given = _survives(runner, says(head))
    assert given.verdict is Verdict.THROTTLED
    assert given.retry_after is None or 0 <= given.retry_after <= 86_400
