"""The sender against a real server on the loopback: what is on the wire, and no server behaviour is unhandled."""

import asyncio
import base64
import contextlib
import gzip
import selectors
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
import trustme
import uvloop
from yarl import URL

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify
from connector.target.render import Request
from connector.target.sender import HttpSender, SenderConfig
from connector.target.token import FileToken, FixedToken
from tests.support.hostile_server import (
    SUCCESS,
    Behaviour,
    HostileServer,
    Received,
    answer,
    get,
    hangs,
    post,
    repeats,
    resets,
    says,
    says_and_hangs_up,
)

SECRET = "visitor-4711"
UPDATE = get(f"mbox3rdPartyId={SECRET}&profile.a=b")
CONFIG = SenderConfig(origin="", user_agent="target-profile-connector/1.2.3", timeout_seconds=5.0, max_connections=4)
SHORT = replace(CONFIG, timeout_seconds=0.2)

Exchange = Callable[[HttpSender, HostileServer], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"], autouse=True)
def runner(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Every expectation holds on both event loops that the product runs on."""

    async def whole(main: Awaitable[None]) -> None:
        await main

    def run(main: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as loop:
            loop.run(whole(main))

    return run


Runner = Callable[[Awaitable[None]], None]


async def _exchange(
    behaviours: list[Behaviour], exchange: Exchange, config: SenderConfig, tls: ssl.SSLContext | None = None
) -> None:
    async with (
        HostileServer(behaviours, tls=tls) as server,
        HttpSender(replace(config, origin=server.origin)) as sender,
    ):
        await exchange(sender, server)


def _send_one(
    runner: Runner, behaviour: Behaviour, config: SenderConfig = CONFIG, request: Request = UPDATE
) -> tuple[Answer, HostileServer]:
    """Send one request, and check what holds for every answer: sent once, and no visitor in the reason."""
    results: list[tuple[Answer, HostileServer]] = []

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        results.append((await sender.send(request), server))

    runner(_exchange([behaviour], exchange, config))
    given, server = results[0]
    assert len(server.received) == 1
    assert SECRET not in given.reason
    return given, server


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 408, 413, 425, 429, 500, 502, 503, 599, 999])
@pytest.mark.parametrize("body", [SUCCESS, b"<response><success>false</success></response>", b"<html>"])
def test_every_answer_is_classified_by_status_and_body(runner: Runner, status: int, body: bytes) -> None:
    """The answer reaches the classification unchanged."""
    given, _ = _send_one(runner, says(answer(status, b"" if status == 204 else body)))
    assert given == classify(status, b"" if status == 204 else body, None, 0.0)


def test_a_get_arrives_byte_for_byte(runner: Runner) -> None:
    """No layer decodes, sorts or encodes the rendered request again."""
    query = "mbox3rdPartyId=a%2Fb%20c%2B&profile.x=%C3%BC%26%3D%23%25%3f&profile.e=&profile.tilde=~-._"
    target = f"/m2/a%20b%2Fc:d;e/%61/update?{query}"
    _, server = _send_one(runner, says(answer()), request=Request("GET", target, None, ("x",)))
    received = server.received[0]
    assert received.line == f"GET {target} HTTP/1.1"
    assert received.body == b""
    assert received.headers == {
        "host": server.origin.removeprefix("http://"),
        "user-agent": "target-profile-connector/1.2.3",
        "accept-encoding": "identity",
        "accept": "*/*",
    }


def test_a_post_arrives_byte_for_byte(runner: Runner) -> None:
    """The form is the body, with its content type and an empty query; at the largest allowed size."""
    form = b"mbox3rdPartyId=a%2Fb&profile.x=" + b"%C3%BC" * 10_000
    _, server = _send_one(runner, says(answer()), request=post(form))
    received = server.received[0]
    assert received.line == "POST /m2/client/profile/update HTTP/1.1"
    assert received.body == form
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["content-length"] == str(len(form))


def test_many_requests_share_one_connection(runner: Runner) -> None:
    """Answers are read to their end, so connections are kept: a handshake per request would halve the rate."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        for _ in range(20):
            assert (await sender.send(get())).verdict is Verdict.ACCEPTED
            assert (await sender.send(post())).verdict is Verdict.ACCEPTED
        assert server.connections == 1

    runner(_exchange([says(answer())], exchange, CONFIG))


def test_error_answers_keep_the_connection_too(runner: Runner) -> None:
    """A throttled sender must not add handshakes to the endpoint's load."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        for _ in range(5):
            assert (await sender.send(get())).verdict is Verdict.THROTTLED
        assert server.connections == 1

    runner(_exchange([says(answer(503, b"<html>slow down</html>"))], exchange, CONFIG))


def test_no_more_connections_than_allowed(runner: Runner) -> None:
    """`max_connections` holds however many requests are asked for at once, and none fails for it."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        answers = await asyncio.gather(*(sender.send(get()) for _ in range(40)))
        assert {given.verdict for given in answers} == {Verdict.ACCEPTED}
        assert server.connections <= CONFIG.max_connections

    runner(_exchange([says(answer())], exchange, CONFIG))


@pytest.mark.parametrize("breaks", [says_and_hangs_up(), resets()], ids=["closed", "reset"])
@pytest.mark.parametrize("request_", [get(), post()], ids=["get", "post"])
def test_a_kept_connection_that_breaks_is_not_sent_on_unseen(
    runner: Runner, breaks: Behaviour, request_: Request
) -> None:
    """By itself aiohttp sends a GET again here: a call that no quota counts, and perhaps an old value that wins."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert (await sender.send(request_)).verdict is Verdict.ACCEPTED
        given = await sender.send(request_)
        assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, True)
        assert len(server.received) == 2
        assert (await sender.send(request_)).verdict is Verdict.ACCEPTED
        assert len(server.received) == 3

    runner(_exchange([says(answer()), breaks, says(answer())], exchange, CONFIG))


def test_a_surplus_answer_is_discarded(runner: Runner) -> None:
    """A surplus answer on a kept connection must not be taken for the next visitor's."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert (await sender.send(get())).verdict is Verdict.ACCEPTED
        assert (await sender.send(get())).verdict is Verdict.THROTTLED
        assert len(server.received) == 2

    two = answer() + answer(400, b"")
    runner(_exchange([says(two), says(answer(429, b""))], exchange, CONFIG))


def _late(second: bytes, go: asyncio.Event) -> Behaviour:
    """Answer, and answer again when told to."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())
        await go.wait()
        writer.write(second)
        await writer.drain()

    return behave


@pytest.mark.parametrize("second", [answer(), answer(408, b""), b"x"], ids=["success", "408", "noise"])
def test_an_answer_on_an_idle_connection_is_discarded(runner: Runner, second: bytes) -> None:
    """By itself aiohttp takes it for the next visitor's: an unanswered update would count as accepted."""

    async def main() -> None:
        go = asyncio.Event()
        async with (
            HostileServer([_late(second, go), says(answer(429, b""))]) as server,
            HttpSender(replace(CONFIG, origin=server.origin)) as sender,
        ):
            assert (await sender.send(get())).verdict is Verdict.ACCEPTED
            go.set()
            await asyncio.sleep(0.05)
            assert (await sender.send(get())).verdict is Verdict.THROTTLED
            assert (len(server.received), server.connections) == (2, 2)

    runner(main())


@pytest.mark.parametrize("interim", [100, 102, 103, 199])
def test_an_interim_answer_is_not_the_answer(runner: Runner, interim: int) -> None:
    """A gateway may say `100 Continue` or `103 Early Hints` before it answers."""
    given, _ = _send_one(runner, says(f"HTTP/1.1 {interim} Wait\r\n\r\n".encode() + answer(429, b"")))
    assert given.verdict is Verdict.THROTTLED


def test_a_switch_of_protocols_is_no_success(runner: Runner) -> None:
    """Nobody asked for one, and the connection is of no use after it."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        for number in (1, 2):
            assert (await sender.send(get())).verdict is Verdict.UNAVAILABLE
            assert (len(server.received), server.connections) == (number, number)

    switch = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    runner(_exchange([says(switch)], exchange, CONFIG))


def test_a_connection_that_was_closed_while_idle_is_replaced_without_a_failure(runner: Runner) -> None:
    """Servers close idle connections all the time: that must cost a handshake, not an attempt."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        for number in range(1, 6):
            assert (await sender.send(get())).verdict is Verdict.ACCEPTED
            await asyncio.sleep(0.02)
            assert server.connections == number

    runner(_exchange([says_and_hangs_up(answer())], exchange, CONFIG))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(runner: Runner, status: int) -> None:
    """A followed redirect is a second call, perhaps to a third party that would get the token."""
    given, server = _send_one(runner, says(answer(status, b"", "Location: /elsewhere")))
    assert given.verdict is Verdict.UNAVAILABLE
    assert "TARGET_BASE_URL" in given.reason
    assert len(server.received) == 1


def test_no_cookie_is_kept(runner: Runner) -> None:
    """A cookie would tie visitors to each other at the endpoint."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        await sender.send(get())
        await sender.send(get())
        assert "cookie" not in server.received[1].headers

    runner(_exchange([says(answer(200, SUCCESS, "Set-Cookie: session=1; Path=/"))], exchange, CONFIG))


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        says(b"HTTP/1.1 200 OK\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\ntrueRequest"),
        repeats(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"<", 0.01),
        repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.01),
        repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    ],
    ids=["silence", "half a header", "half a body", "slow drip", "slow chunks", "endless 100 Continue"],
)
def test_no_server_holds_a_request_beyond_its_timeout(runner: Runner, behaviour: Behaviour) -> None:
    """The timeout is for the whole attempt, so that a server that drips does not keep a visitor for ever."""

    async def exchange(sender: HttpSender, _: HostileServer) -> None:
        async with asyncio.timeout(30):
            given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.TIMEOUT, True)

    runner(_exchange([behaviour], exchange, SHORT))


class _JumpingSelector(selectors.DefaultSelector):
    """Waits 50 ms for the network, then takes the rest of the wait as passed."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0.05 if timeout is None else min(timeout, 0.05))
        if not events and timeout is not None:
            self.ahead += timeout
        return events


class _JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock stands while there is something to do, so that a busy machine takes no time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.ahead


def test_a_long_timeout_is_kept_to_the_fraction() -> None:
    """By itself aiohttp rounds those above 5 s up to a whole second; leases are computed with the one that was set."""

    async def exchange(sender: HttpSender, _: HostileServer) -> None:
        loop = asyncio.get_running_loop()
        # Begun early in a second, so that rounding up would show.
        await asyncio.sleep((0.1 - loop.time()) % 1.0)
        start = loop.time()
        assert (await sender.send(UPDATE)).verdict is Verdict.TIMEOUT
        assert 10.1 <= loop.time() - start < 10.5

    with asyncio.Runner(loop_factory=_JumpingLoop) as loop:
        loop.run(_exchange([hangs], exchange, replace(CONFIG, timeout_seconds=10.1)))


@pytest.mark.parametrize(
    "behaviour",
    [
        says_and_hangs_up(),
        resets(),
        says_and_hangs_up(b"HTTP/1.1 200 OK\r\nContent-Le"),
        says_and_hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + SUCCESS),
        resets(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + SUCCESS),
        says_and_hangs_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n" + SUCCESS + b"\r\n"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        says(b"SSH-2.0-OpenSSH_9.2\r\n"),
        says(b"\x16\x03\x01\x00\x00"),
        says(b"HTTP/1.1 twohundred OK\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        says(answer(200, SUCCESS, "X: " + "x" * 100_000)),
        says(answer(200, SUCCESS, *(f"X-{number}: x" for number in range(1_000)))),
        repeats(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 1_000 + b"\r\n"),
        repeats(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1_000),
        repeats(b"HTTP/1.1 200 ", b"O" * 1_000),
        repeats(b"", b"\x00\xff" * 500),
    ],
    ids=[
        "closed",
        "reset",
        "closed in the header",
        "closed in the body",
        "reset in the body",
        "closed between chunks",
        "broken chunk",
        "no HTTP",
        "TLS on a plain port",
        "no status",
        "two lengths",
        "negative length",
        "long header",
        "many headers",
        "endless headers",
        "endless header",
        "endless status line",
        "endless noise",
    ],
)
def test_a_broken_off_or_invalid_answer_is_unavailable(runner: Runner, behaviour: Behaviour) -> None:
    """It may have been applied, so it is retried; it never raises, and never counts as a success."""
    given, _ = _send_one(runner, behaviour)
    assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, True)
    assert given.reason


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Security-Policy: " + "x" * 9_000],
        [f"Set-Cookie: name{number}=value; Path=/; Secure" for number in range(300)],
        ["X-Trace: " + "x" * 16_000],
    ],
    ids=["9 KB", "300 cookies", "16 KB"],
)
def test_a_large_head_is_read(runner: Runner, headers: list[str]) -> None:
    """Gateways add policies and cookies: taken for invalid HTTP, accepted updates would be sent again and again."""
    given, _ = _send_one(runner, says(answer(200, SUCCESS, *headers)))
    assert given.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    "headers", [["X: " + "x" * 20_000], [f"X-{number}: x" for number in range(501)]], ids=["long", "many"]
)
def test_a_head_beyond_what_is_read_is_named(runner: Runner, headers: list[str]) -> None:
    """Not as invalid HTTP: the remedy is another one."""
    given, _ = _send_one(runner, says(answer(200, SUCCESS, *headers)))
    assert given.verdict is Verdict.UNAVAILABLE
    assert "16,384 bytes, or more than 500" in given.reason


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(SUCCESS, mtime=0)),
        ("X-Gzip", gzip.compress(SUCCESS, mtime=0)),
        ("deflate", zlib.compress(SUCCESS)),
        ("identity", SUCCESS),
    ],
)
def test_an_unrequested_encoding_is_read_where_possible(runner: Runner, encoding: str, body: bytes) -> None:
    """Some gateways encode whatever Accept-Encoding says."""
    given, _ = _send_one(runner, says(answer(200, body, f"Content-Encoding: {encoding}")))
    assert given.verdict is Verdict.ACCEPTED
    false = b"<response><success>false</success></response>"
    if encoding == "gzip":
        given, _ = _send_one(runner, says(answer(200, gzip.compress(false, mtime=0), "Content-Encoding: gzip")))
        assert given.verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("br", b"\x0b\x10\x80true\x03", "(br)"),
        ("zstd", b"\x28\xb5\x2f\xfd\x24\x04\x21\x00\x00true", "(zstd)"),
        ("gzip", SUCCESS, "(gzip)"),
        ("gzip", gzip.compress(SUCCESS, mtime=0)[:-9], "(gzip)"),
        ("gzip, br", b"x", "asked for and"),
        ("deflate", b"\xff" * 20, "(deflate)"),
    ],
)
def test_a_success_in_an_encoding_that_cannot_be_read_is_unconfirmed(
    runner: Runner, encoding: str, body: bytes, said: str
) -> None:
    """Retried, an accepted update would become a dead letter; the setting for unconfirmed answers decides."""
    given, _ = _send_one(runner, says(answer(200, body, f"Content-Encoding: {encoding}")))
    assert given.verdict is Verdict.UNCONFIRMED
    assert said in given.reason


def test_an_error_in_an_encoding_that_cannot_be_read_is_still_that_error(runner: Runner) -> None:
    """The status is enough."""
    given, _ = _send_one(runner, says(answer(400, b"\x0b\x10", "Content-Encoding: br")))
    assert given.verdict is Verdict.REJECTED


def test_an_error_status_counts_although_its_body_broke_off(runner: Runner) -> None:
    """The status is complete: a 401 with half a body is still about the token."""
    given, _ = _send_one(runner, says_and_hangs_up(b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\nhalf"))
    assert given.verdict is Verdict.UNAUTHORIZED
    given, _ = _send_one(runner, says(b"HTTP/1.1 400 No\r\nContent-Length: 99\r\n\r\nhalf"), SHORT)
    assert given.verdict is Verdict.REJECTED


def test_a_refused_connection_says_that_nothing_was_sent(runner: Runner) -> None:
    """`reached` is False, so that the attempt is not charged to the update."""

    async def main() -> None:
        async with HostileServer([hangs]) as server:
            origin = server.origin
        async with HttpSender(replace(CONFIG, origin=origin)) as sender:
            given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, False)
        assert "TARGET_BASE_URL" in given.reason

    runner(main())


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")
def test_what_was_given_up_does_not_arrive_later(runner: Runner) -> None:
    """Invariant: a request is over when its attempt is; here the server reads nothing for long.

    The kernel retransmits for minutes, and would deliver it late: uncounted by the quota, and over a newer value.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            listening.setblocking(False)
            origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with HttpSender(replace(CONFIG, origin=origin, timeout_seconds=1.0)) as sender:
                sending = asyncio.create_task(sender.send(post(b"profile.a=" + b"b" * 60_000)))
                taken, _ = await loop.sock_accept(listening)
                with taken:
                    assert (await sending).verdict in (Verdict.TIMEOUT, Verdict.UNAVAILABLE)
                    await asyncio.sleep(2.0)
                    received = 0
                    with contextlib.suppress(ConnectionResetError):
                        while some := await loop.sock_recv(taken, 65_536):
                            received += len(some)
        assert received < 60_000

    runner(main())


def test_an_unknown_host_says_that_nothing_was_sent(runner: Runner) -> None:
    """A name that does not resolve is the usual sign of a wrong client code (RFC 2606: `.invalid` never does)."""

    async def main() -> None:
        async with HttpSender(replace(CONFIG, origin="https://nobody.invalid")) as sender:
            given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, False)
        assert "TARGET_CLIENT_CODE" in given.reason

    runner(main())


def test_a_connection_that_is_not_made_in_time_says_that_nothing_was_sent(runner: Runner) -> None:
    """A server that accepts TCP and never finishes the handshake got no update, so nothing is in doubt."""

    async def main() -> None:
        async with (
            HostileServer([hangs]) as server,
            HttpSender(replace(SHORT, origin=server.origin.replace("http:", "https:"))) as sender,
        ):
            given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.TIMEOUT, False)

    runner(main())


def test_connecting_gets_half_of_the_time() -> None:
    """An unreachable endpoint is noticed early, and the connection's slot is freed sooner."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with HostileServer([hangs]) as server:
            config = replace(CONFIG, origin=server.origin.replace("http:", "https:"), timeout_seconds=30.0)
            async with HttpSender(config) as sender:
                start = loop.time()
                assert (await sender.send(UPDATE)).verdict is Verdict.TIMEOUT
                assert 15.0 <= loop.time() - start < 25.0

    with asyncio.Runner(loop_factory=_JumpingLoop) as loop:
        loop.run(main())


async def _unconfirmed_at_a_peak(sender: HttpSender) -> int:
    """Send once, to an answer without a known body; returns how many bytes it took."""
    tracemalloc.start()
    try:
        assert (await sender.send(UPDATE)).verdict is Verdict.UNCONFIRMED
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_huge_body_is_read_to_the_limit_and_no_further(runner: Runner) -> None:
    """A server that never ends its body costs 64 KiB and its connection, not the memory of the process."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert await _unconfirmed_at_a_peak(sender) < 4_000_000
        await sender.send(UPDATE)
        assert server.connections == 2

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"
    runner(_exchange([repeats(head, b"x" * 65_536)], exchange, CONFIG))


def test_a_gzip_bomb_stays_small(runner: Runner) -> None:
    """A compressed answer that was not asked for is unpacked only as far as it is read."""
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)

    async def exchange(sender: HttpSender, _: HostileServer) -> None:
        assert await _unconfirmed_at_a_peak(sender) < 8_000_000

    runner(_exchange([says(answer(200, bomb, "Content-Encoding: gzip"))], exchange, CONFIG))


def test_half_a_compressed_success_is_none(runner: Runner) -> None:
    """By itself aiohttp takes a truncated gzip as complete, so the text decides: it is in no known form."""
    half = gzip.compress(SUCCESS, mtime=0)[:-9]
    given, _ = _send_one(runner, says(answer(200, half, "Content-Encoding: gzip")))
    assert given.verdict is Verdict.UNCONFIRMED


def test_a_compressed_success_is_understood(runner: Runner) -> None:
    """A proxy may compress although it was not asked to."""
    given, _ = _send_one(runner, says(answer(200, gzip.compress(SUCCESS, mtime=0), "Content-Encoding: gzip")))
    assert given.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    "charset", ["utf-16", "no-such-charset", "\xff".encode().decode("latin-1"), "utf-8; charset=ascii"]
)
def test_a_wrong_charset_does_not_matter(runner: Runner, charset: str) -> None:
    """Bytes are read as bytes."""
    given, _ = _send_one(runner, says(answer(200, SUCCESS, f"Content-Type: text/xml; charset={charset}")))
    assert given.verdict is Verdict.ACCEPTED


def test_a_body_in_pieces_is_put_together(runner: Runner) -> None:
    """A success is one however the network splits it."""

    async def in_pieces(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in SUCCESS:
            writer.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    given, _ = _send_one(runner, in_pieces)
    assert given.verdict is Verdict.ACCEPTED


def test_retry_after_comes_through_in_both_forms(runner: Runner) -> None:
    """Seconds and a date; the date is relative to now."""
    given, _ = _send_one(runner, says(answer(429, b"", "Retry-After: 7")))
    assert (given.verdict, given.retry_after) == (Verdict.THROTTLED, 7.0)
    given, _ = _send_one(runner, says(answer(503, b"", f"Retry-After: {formatdate(time() + 100, usegmt=True)}")))
    assert given.verdict is Verdict.THROTTLED
    assert given.retry_after is not None
    assert 90 < given.retry_after <= 100


def test_the_token_is_sent_and_read_again_after_401(runner: Runner, tmp_path: Path) -> None:
    """The next attempt uses a replaced token, without a restart."""
    file = tmp_path / "token"
    file.write_text("first\n")
    # A clock that stands still: only the 401 can cause the reload.
    token = FileToken(file, lambda: 0.0, lambda _: None)

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        assert (await sender.send(get())).verdict is Verdict.ACCEPTED
        file.write_text("second\n")
        assert (await sender.send(get())).verdict is Verdict.UNAUTHORIZED
        assert (await sender.send(post())).verdict is Verdict.ACCEPTED
        sent = [received.headers["authorization"] for received in server.received]
        assert sent == ["Bearer first", "Bearer first", "Bearer second"]

    behaviours = [says(answer()), says(answer(401, b"")), says(answer())]
    runner(_exchange(behaviours, exchange, replace(CONFIG, token=token)))


def test_a_token_file_that_changes_is_used_without_a_401(runner: Runner, tmp_path: Path) -> None:
    """Tokens are replaced before the old one expires."""
    file = tmp_path / "token"
    file.write_text("first")
    now = [0.0]
    token = FileToken(file, lambda: now[0], lambda _: None)

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        await sender.send(get())
        file.write_text("second")
        now[0] = 1.0
        await sender.send(get())
        assert [received.headers["authorization"] for received in server.received] == ["Bearer first", "Bearer second"]

    runner(_exchange([says(answer())], exchange, replace(CONFIG, token=token)))


def test_a_fixed_token_stays_the_same_after_401(runner: Runner) -> None:
    """There is nothing to read again; the answer names the remedy."""
    given, server = _send_one(runner, says(answer(403, b"")), replace(CONFIG, token=FixedToken("hidden")))
    assert server.received[0].headers["authorization"] == "Bearer hidden"
    assert given.verdict is Verdict.UNAUTHORIZED
    assert "hidden" not in given.reason


def test_cancellation_passes_and_leaves_the_sender_in_order(runner: Runner) -> None:
    """Shutdown may cancel an attempt; the next one must not get its answer."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        task = asyncio.ensure_future(sender.send(get("mbox3rdPartyId=first")))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await sender.send(get())).verdict is Verdict.ACCEPTED
        assert server.connections == 2

    runner(_exchange([hangs, says(answer())], exchange, CONFIG))


def test_closing_ends_what_is_on_the_wire_as_an_answer(runner: Runner) -> None:
    """A drain that ran out of time closes the sender; its callers must get an answer, not an exception of aiohttp."""

    async def exchange(sender: HttpSender, server: HostileServer) -> None:
        task = asyncio.ensure_future(sender.send(UPDATE))
        await server.arrived.wait()
        await sender.close()
        assert (await task).verdict is Verdict.UNAVAILABLE

    runner(_exchange([hangs], exchange, CONFIG))


def test_an_unstarted_sender_says_so(runner: Runner) -> None:
    """A programming error is an exception, never an answer; closing an unstarted sender does nothing."""

    async def main() -> None:
        sender = HttpSender(CONFIG)
        with pytest.raises(RuntimeError, match="not started"):
            await sender.send(UPDATE)
        await sender.close()

    runner(main())


def test_tls_is_verified(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unknown certificate ends the attempt before anything is sent, and SSL_CERT_FILE makes it trusted."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)

    async def distrusts(sender: HttpSender, server: HostileServer) -> None:
        given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, False)
        assert "SSL_CERT_FILE" in given.reason
        assert server.received == []

    async def trusts(sender: HttpSender, server: HostileServer) -> None:
        for _ in range(3):
            assert (await sender.send(UPDATE)).verdict is Verdict.ACCEPTED
        assert server.connections == 1

    runner(_exchange([says(answer())], distrusts, CONFIG, tls))
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    runner(_exchange([says(answer())], trusts, CONFIG, tls))


def test_a_plain_proxy_gets_the_whole_address_and_its_password(runner: Runner) -> None:
    """For an http:// endpoint the proxy is the peer, and the endpoint never gets its password."""

    async def main() -> None:
        async with HostileServer([says(answer())]) as proxy:
            address = proxy.origin.replace("//", "//user:pass%20word@")
            config = replace(CONFIG, origin="http://target.invalid", proxy=address)
            async with HttpSender(config) as sender:
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
            assert proxy.connections == 1
            for received in proxy.received:
                assert received.line.startswith("GET http://target.invalid/m2/client/profile/update?mbox3rdPartyId=1")
                assert received.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="
                assert "authorization" not in received.headers

    runner(main())


@pytest.mark.parametrize("password", ["pässwörd", "пароль", "密码"])
def test_a_proxys_password_is_encoded_as_check_encodes_it(runner: Runner, password: str) -> None:
    """In UTF-8, with and without a tunnel; by itself aiohttp sends nothing that Latin-1 cannot encode."""
    wanted = f"Basic {base64.b64encode(f'user:{password}'.encode()).decode()}"

    async def main() -> None:
        async with HostileServer([says(answer())]) as proxy:
            address = str(URL(proxy.origin).with_user("user").with_password(password))
            config = replace(CONFIG, origin="http://target.invalid", proxy=address)
            async with HttpSender(config) as sender:
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
                assert (await sender.send(post())).verdict is Verdict.ACCEPTED
            assert {received.headers["proxy-authorization"] for received in proxy.received} == {wanted}
        async with HostileServer([says_and_hangs_up(answer(407, b""))]) as proxy:
            address = str(URL(proxy.origin).with_user("user").with_password(password))
            async with HttpSender(replace(CONFIG, origin="https://target.invalid", proxy=address)) as sender:
                await sender.send(get())
            assert proxy.received[0].headers["proxy-authorization"] == wanted

    runner(main())


def test_a_proxy_without_a_password_never_gets_the_endpoints_token(runner: Runner) -> None:
    """By itself aiohttp sends a session's Authorization to the proxy, in clear, before there is a tunnel."""

    async def main() -> None:
        async with HostileServer([says_and_hangs_up(answer(407, b""))]) as proxy:
            config = replace(CONFIG, origin="https://target.invalid", proxy=proxy.origin, token=FixedToken("hidden"))
            async with HttpSender(config) as sender:
                await sender.send(get())
            assert "hidden" not in str(proxy.received)
            assert "proxy-authorization" not in proxy.received[0].headers

    runner(main())


@pytest.mark.parametrize(("status", "verdict"), [(407, Verdict.UNAUTHORIZED), (502, Verdict.UNAVAILABLE)])
def test_a_proxy_that_refuses_the_tunnel_never_saw_the_update(runner: Runner, status: int, verdict: Verdict) -> None:
    """For an https:// endpoint the proxy only opens a tunnel; what it refuses was not sent."""

    async def main() -> None:
        async with (
            HostileServer([says_and_hangs_up(answer(status, b""))]) as proxy,
            HttpSender(replace(CONFIG, origin="https://target.invalid", proxy=proxy.origin)) as sender,
        ):
            given = await sender.send(UPDATE)
            assert (given.verdict, given.reached) == (verdict, False)
            assert "HTTPS_PROXY" in given.reason
            assert [received.line for received in proxy.received] == ["CONNECT target.invalid:443 HTTP/1.1"]
            assert SECRET not in str(proxy.received)

    runner(main())


@pytest.mark.parametrize("status", [200, 407])
def test_a_tunnel_carries_the_update_to_the_endpoint_alone(
    runner: Runner, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proxy sees the address and its own password; the endpoint's token and the visitor stay inside the tunnel."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    opened: list[bytes] = []

    async def main() -> None:
        async with HostileServer([says(answer())], tls=tls) as server:

            async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(65_536):
                    writer.write(data)
                writer.close()

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                opened.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(f"HTTP/1.1 {status} Said\r\n\r\n".encode())
                if status == 200:
                    port = int(server.origin.rpartition(":")[2])
                    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
                writer.close()

            async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
                address = f"http://user:word@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
                config = replace(CONFIG, origin=server.origin, proxy=address, token=FixedToken("hidden"))
                async with HttpSender(config) as sender:
                    for _ in range(2):
                        given = await sender.send(UPDATE)
                        assert given.verdict is (Verdict.ACCEPTED if status == 200 else Verdict.UNAUTHORIZED)
                        assert given.reached is (status == 200)
            for received in server.received:
                assert received.headers["authorization"] == "Bearer hidden"
                assert "proxy-authorization" not in received.headers
            assert len(server.received) == (2 if status == 200 else 0)

    runner(main())
    assert len(opened) == (1 if status == 200 else 2)
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in opened[0]
    assert b"hidden" not in b"".join(opened)
    assert SECRET.encode() not in b"".join(opened)


def test_a_proxy_that_is_down_is_named(runner: Runner) -> None:
    """The remedy is for the proxy, not for the endpoint."""

    async def main() -> None:
        async with HostileServer([hangs]) as proxy:
            origin = proxy.origin
        async with HttpSender(replace(CONFIG, origin="https://target.invalid", proxy=origin)) as sender:
            given = await sender.send(UPDATE)
        assert (given.verdict, given.reached) == (Verdict.UNAVAILABLE, False)
        assert "HTTPS_PROXY" in given.reason

    runner(main())


def test_no_secret_is_in_the_repr_of_the_config() -> None:
    """A config may be in a log or a traceback."""
    text = repr(replace(CONFIG, token=FixedToken("hidden"), proxy="http://user:hidden@proxy"))
    assert "hidden" not in text
