"""Connections to the endpoint: a changed address is followed, and a local shortage is no outage."""

import asyncio
import gc
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.retry import RetryPolicy
from connector.target.connections import AGE_SECONDS, NAME_SECONDS
from connector.target.render import Request
from connector.target.sender import HttpSender, SenderConfig
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeLog, FakeSender, event
from tests.support.hostile_server import Behaviour, HostileServer, answer, get, hangs, says

HOST = "moving.test"
CONFIG = SenderConfig("", "test", timeout_seconds=5.0, max_connections=8)
RETRY = RetryPolicy(0.05, 0.5, 10)
Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """On both event loops, which resolve names differently."""
    made: Loop = request.param
    return made


class Names:
    """The system's resolver, with one name that the test moves, and one that hangs."""

    def __init__(self) -> None:
        self.address = ""
        self.asked = 0
        self.hanging: float = 0.0
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != HOST:
            return self._real(host, port, *args, **kwargs)
        self.asked += 1
        time.sleep(self.hanging)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (self.address, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Replaces `socket.getaddrinfo`."""
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


def test_an_address_that_moves_is_followed_within_a_minute() -> None:
    """A connection may use an address that was resolved a moment before the move, and then live to its maximum age."""
    assert AGE_SECONDS + NAME_SECONDS < 60


def test_an_address_that_moves_is_followed_although_the_old_one_works_on(loop: Loop, names: Names) -> None:
    """Busy connections never go idle, so no idle timeout ends them: an old version would be used for ever."""

    async def main() -> None:
        async with HostileServer([says(answer())]) as old, HostileServer([says(answer())], port=old.port) as new:
            names.address = old.address
            config = replace(CONFIG, origin=f"http://{HOST}:{old.port}", age_seconds=0.3, name_seconds=0)
            async with HttpSender(config) as sender:
                await asyncio.gather(*(sender.send(get()) for _ in range(8)))
                assert len(old.received) == 8
                names.address = new.address
                ends = asyncio.get_running_loop().time() + 0.4
                while asyncio.get_running_loop().time() < ends:
                    answers = await asyncio.gather(*(sender.send(get()) for _ in range(8)))
                    assert {given.verdict for given in answers} == {Verdict.ACCEPTED}
                before = len(old.received)
                await asyncio.gather(*(sender.send(get()) for _ in range(8)))
                assert len(old.received) == before
                assert old.connections <= 16, "a connection is kept for a while"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_a_request_that_is_under_way_is_not_cut_by_its_connections_age(loop: Loop, names: Names) -> None:
    """Age decides where a request begins; a slow answer still counts."""

    async def slow(_: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(answer())

    async def main() -> None:
        async with HostileServer([slow]) as server:
            names.address = server.address
            config = replace(CONFIG, origin=f"http://{HOST}:{server.port}", age_seconds=0.05)
            async with HttpSender(config) as sender:
                sending = asyncio.create_task(sender.send(get()))
                await server.arrived.wait()
                sender.renew()
                assert (await sending).verdict is Verdict.ACCEPTED
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
                assert server.connections == 2

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


class _Through(FakeSender):
    """The real sender in the fake's place."""

    def __init__(self, http: HttpSender) -> None:
        super().__init__()
        self._http = http
        self.given_up = asyncio.Event()

    async def send(self, request: Request) -> Answer:
        return await self._http.send(request)

    def renew(self) -> None:
        self._http.renew()
        self.given_up.set()


@pytest.mark.parametrize("old_does", [says(answer(503, b"")), says(answer(500, b"")), hangs, None])
def test_an_address_that_moves_in_an_outage_is_followed_by_the_next_probe(
    loop: Loop, names: Names, old_does: Behaviour | None
) -> None:
    """The old one errs, hangs or refuses (None): its connections are closed, and each probe resolves the name again.

    With the real maximum ages, so that only the open circuit can be the cause.
    """

    async def main() -> None:
        log = FakeLog()
        for number in range(40):
            log.append(event(f"v{number}", a=number))
        fails = asyncio.Event()

        async def behave(received: Any, writer: asyncio.StreamWriter) -> None:
            await (says(answer()) if not fails.is_set() or old_does is None else old_does)(received, writer)

        async with HostileServer([behave]) as old, HostileServer([says(answer())], port=old.port) as new:
            names.address = old.address
            config = replace(CONFIG, origin=f"http://{HOST}:{old.port}", timeout_seconds=0.5)
            async with (
                HttpSender(config) as real,
                Bench(
                    log, http := _Through(real), linger=0.0, retry=RetryPolicy(0.05, 0.5, 10), max_in_flight=8
                ) as bench,
            ):
                await bench.settle(20)
                http.given_up.clear()  # A busy machine may have held up eight requests until their timeout.
                fails.set()
                if old_does is None:
                    await old.__aexit__(None, None, None)
                for number in range(40):
                    log.append(event(f"w{number}", a=number))
                bench.source.feed()
                await http.given_up.wait()
                assert bench.pipeline.state.gate.circuit.is_open
                names.address = new.address
                asked = names.asked
                await bench.settle(20)
                assert names.asked > asked
                assert bench.done(Done.ACCEPTED) == 80
                assert bench.letters.letters == []
                assert len(new.received) >= 30
        assert log.committed == {TopicPartition("t", 0): 80}

    with quiet(), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_a_name_look_up_that_hangs_does_not_keep_the_loop(loop: Loop, names: Names) -> None:
    """Asyncio waits for its executor's threads when a loop is closed, although the attempt ended long before."""

    async def main() -> None:
        names.hanging = 5.0
        async with HttpSender(replace(CONFIG, origin=f"http://{HOST}", timeout_seconds=0.3)) as sender:
            given = await sender.send(get())
        assert (given.verdict, given.reached) == (Verdict.TIMEOUT, False)

    began = time.monotonic()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert time.monotonic() - began < 2.0


_PROCESS = """
import asyncio, socket, time, uvloop
from connector.target.sender import HttpSender, SenderConfig
from connector.target.render import Request

socket.getaddrinfo = lambda *_, **__: time.sleep(60)

async def main():
    async with HttpSender(SenderConfig("http://hanging.test", "test", timeout_seconds=0.3)) as sender:
        print((await sender.send(Request("GET", "/", None, ()))).verdict.value)

with asyncio.Runner(loop_factory={loop}) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("factory", ["asyncio.new_event_loop", "uvloop.new_event_loop"])
def test_a_name_look_up_that_hangs_does_not_keep_the_process(factory: str) -> None:
    """SIGTERM has a grace of some seconds, and the interpreter too waits for an executor's threads at its end."""
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS.replace("{loop}", factory)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("timeout\n", "", 0)


@contextmanager
def _no_more_files() -> Iterator[None]:
    """The limit of open files is the number open now."""
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "nobody.invalid"])
def test_a_limit_of_open_files_is_named(loop: Loop, host: str) -> None:
    """By itself it looks like a refused connection or an unknown name, which misleads."""

    async def main() -> None:
        async with HttpSender(replace(CONFIG, origin=f"http://{host}:9")) as sender:
            await sender.send(get())  # Opens what is opened once.
            for _ in range(20):  # A thread that an earlier test left may close a file meanwhile.
                with _no_more_files():
                    given = await sender.send(get())
                if given.local:
                    break
        assert (given.verdict, given.reached, given.local) == (Verdict.UNAVAILABLE, False, True)
        assert "ulimit -n" in given.reason

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_a_kept_connection_works_without_more_files(loop: Loop) -> None:
    """An open connection needs no new file."""

    async def main() -> None:
        async with (
            HostileServer([says(answer())]) as server,
            HttpSender(replace(CONFIG, origin=server.origin)) as sender,
        ):
            assert (await sender.send(get())).verdict is Verdict.ACCEPTED
            with _no_more_files():
                assert (await sender.send(get())).verdict is Verdict.ACCEPTED
                first, second = await asyncio.gather(sender.send(get()), sender.send(get()))
        assert sorted([first.local, second.local]) == [False, True]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
