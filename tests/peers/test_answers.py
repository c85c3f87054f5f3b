"""What peers lost by misreading an endpoint's answer: each test would fail if we did the same."""

import asyncio
from pathlib import Path

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.retry import RetryPolicy
from connector.target.classify import classify
from connector.target.render import Request
from connector.target.sender import HttpSender, SenderConfig
from connector.target.token import FileToken
from tests.peers.judge import P0, Judge
from tests.support.bench import Bench, quiet
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.hostile_server import HostileServer, Received, answer
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)


def _log(*visitors: str) -> FakeLog:
    log = FakeLog()
    for number, visitor in enumerate(visitors):
        log.append(event(visitor, a=number))
    return log


@pytest.mark.parametrize("status", [401, 403])
def test_vector_24543_a_401_or_403_is_about_the_token_and_costs_no_record(status: int) -> None:
    """Thread vectordotdev/vector #24543: of three messages the one answered with 401 was never sent again.

    Catches a design that takes a refused token for a refused record: dropped, made a dead letter, or passed by the
    commit of the third, so that not even a restart brings it back.
    """
    refused = {"2"}

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(status, b"", None, 0.0) if visitor in refused else FINE), 0.01

    async def main() -> None:
        log, sender, letters = _log("1", "2", "3"), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        first = Bench(log, sender, letters, retry=RetryPolicy(0.5, 60.0, 3))
        await first.start()
        await asyncio.sleep(1_800)
        assert sender.profiles.keys() == {"1", "3"}
        assert log.committed == {P0: 1}
        assert first.pending == 1
        assert len(sender.sent) <= 1_800 / 10 + 20, "each probe with a refused token is a wasted call"
        first.crash()
        async with Bench(log, sender, letters) as second:
            await asyncio.sleep(60)
            refused.clear()
            await second.settle(30)
        assert sender.profiles.keys() == {"1", "2", "3"}
        assert letters.letters == []
        assert log.committed == {P0: 3}

    with quiet():
        run(main())


def test_vector_24215_a_later_success_does_not_pass_an_earlier_failure() -> None:
    """Thread vectordotdev/vector #24215: the source committed message 3 while 2 had failed; a restart skipped 2.

    Catches a design that commits each success, or the highest one, and one that gives an update up in an outage after
    a number of attempts: the success that follows the outage would commit past it.
    """
    down = False
    slow = True

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        if down:
            return classify(503, b"", None, 0.0), 0.01
        return FINE, 60.0 if visitor == "2" and slow else 0.01

    async def main() -> None:
        nonlocal down, slow
        log, sender, letters = _log("1"), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        first = Bench(log, sender, letters, commit_interval=0.5)
        await first.start()
        await first.settle(5)
        down = True
        log.append(event("2", a=1))
        first.source.feed()
        await asyncio.sleep(3_600)
        down = False
        for number in range(50):
            log.append(event(f"later{number}", a=number))
        first.source.feed()
        await asyncio.sleep(30)
        assert len(sender.profiles) == 51, "all but the second are there"
        assert log.committed == {P0: 1}
        first.crash()
        slow = False
        async with Bench(log, sender, letters) as second:
            await second.settle(60)
        assert sender.profiles["2"] == {"a": "1"}
        assert letters.letters == []
        assert log.committed == {P0: 52}

    with quiet():
        run(main())


@pytest.mark.parametrize(
    "failure",
    [
        classify(401, b"", None, 0.0),
        Answer(Verdict.UNAVAILABLE, "the connection was refused", reached=False),
        Answer(Verdict.TIMEOUT, "no connection", reached=False),
        classify(500, b"", None, 0.0),
    ],
    ids=["wrong token", "refused", "no route", "HTTP 500"],
)
def test_adobe_19_the_lag_stands_while_nothing_can_be_sent(failure: Answer) -> None:
    """Thread adobe/experience-platform-streaming-connect #19: on wrong credentials the lag went to 0 and all was lost.

    Catches a design that commits what was consumed, by time or by count, and not what was accepted.
    """
    broken = True

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (failure if broken else FINE), 0.01

    async def main() -> None:
        nonlocal broken
        log = _log(*(f"v{number}" for number in range(300)))
        sender, letters = FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        for _ in range(3):
            member = Bench(log, sender, letters, commit_interval=0.5)
            await member.start()
            await asyncio.sleep(300)
            assert log.committed.get(P0, 0) == 0
            assert member.pending == 300
            member.crash()
        async with Bench(log, sender, letters) as member:
            await asyncio.sleep(300)
            await member.stop()
        assert log.committed.get(P0, 0) == 0, "an orderly end commits no more than a crash"
        broken = False
        async with Bench(log, sender, letters) as member:
            await member.settle(30)
        assert len(sender.profiles) == 300
        assert letters.letters == []
        assert log.committed == {P0: 300}

    with quiet():
        run(main())


PARTLY_REFUSED = b'{"inletId":"x","batchId":"y","responses":[{"status":400,"message":"the field is mandatory"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"success": false}',
        b'{"response": {"success": "false"}}',
        b"<response><success>false</success><message>no</message></response>",
        b"falseInvalid request",
    ],
)
def test_adobe_62_a_2xx_whose_body_refuses_is_no_success(body: bytes) -> None:
    """Thread adobe/experience-platform-streaming-connect #62: 200 with an error inside was taken for a success.

    Catches a design that reads the status alone: the record would count as accepted, silently.
    """

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(200, body, None, 0.0) if visitor == "bad" else FINE), 0.01

    async def main() -> None:
        log, sender, letters = _log("good", "bad", "fine"), FakeSender(behave), FakeDeadLetters()
        letters.hold.clear()
        Judge(log, sender, letters)
        async with Bench(log, sender, letters, commit_interval=0.5) as bench:
            await asyncio.sleep(30)
            assert log.committed == {P0: 1}, "nor is it committed before its dead letter is written"
            letters.hold.set()
            await bench.settle(10)
        assert (bench.done(Done.ACCEPTED), bench.done(Done.DEAD_LETTERED)) == (2, 1)
        (letter,) = letters.letters
        assert letter.value == event("bad", a=1)
        assert log.committed == {P0: 3}

    with captured_logs(level="warning") as logs:
        run(main())
    assert [line["event"] for line in logs.lines] == ["update_rejected"]


@pytest.mark.parametrize("accept", [True, False])
def test_adobe_62_a_2xx_with_an_unknown_body_is_reported_and_counted(*, accept: bool) -> None:
    """Thread adobe/experience-platform-streaming-connect #62: the body with the refusal was not read.

    Catches a design that calls a 2xx in no known form a success silently; under `retry` it never is one.
    """

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(207, PARTLY_REFUSED, None, 0.0) if visitor == "bad" else FINE), 0.01

    async def main() -> None:
        log, sender, letters = _log("good", "bad", "fine"), FakeSender(behave), FakeDeadLetters()
        policy = RetryPolicy(0.5, 2.0, 5)
        async with Bench(log, sender, letters, retry=policy, accept_unconfirmed=accept) as bench:
            await bench.settle(120)
        tries = sum(visitor == "bad" for _, visitor, _ in sender.sent)
        assert tries == bench.pipeline.state.counters.requests[Verdict.UNCONFIRMED] == (1 if accept else 5)
        assert bench.done(Done.ACCEPTED) == (3 if accept else 2)
        assert [letter.error for letter in letters.letters] == ([] if accept else ["RetriesExhausted"])

    with captured_logs(level="warning") as logs:
        run(main())
    assert logs.lines[0]["event"] == "target_unconfirmed"
    assert logs.lines[0]["accepted"] is accept


class _Through(FakeSender):
    """The real sender behind the fake's interface."""

    def __init__(self, http: HttpSender) -> None:
        super().__init__()
        self._http = http

    async def send(self, request: Request) -> Answer:
        return await self._http.send(request)


def test_adobe_25_a_token_that_expires_is_read_again_by_itself(tmp_path: Path) -> None:
    """Thread adobe/experience-platform-streaming-connect #25: the token expired after a day and was never renewed.

    Catches a design that reads the token once at its start, or charges the refusals in between to the updates.
    """
    file = tmp_path / "token"
    wanted = "day-0"
    accepted: list[str] = []
    refused: list[str] = []
    refused_twice = asyncio.Event()

    async def endpoint(received: Received, writer: asyncio.StreamWriter) -> None:
        known = received.headers["authorization"] == f"Bearer {wanted}"
        if known:
            accepted.append(received.line.split("mbox3rdPartyId=")[1].split("&")[0])
        else:
            refused.append(received.line)
            if len(refused) >= 2:
                refused_twice.set()
        writer.write(answer() if known else answer(401, b""))
        await writer.drain()

    async def main() -> None:
        nonlocal wanted
        file.write_text(wanted)
        loop = asyncio.get_running_loop()
        log, letters = FakeLog(), FakeDeadLetters()
        async with HostileServer([endpoint]) as server:
            token = FileToken(file, loop.time, lambda _: None)
            config = SenderConfig(server.origin, "test", token=token)
            async with (
                HttpSender(config) as http,
                Bench(log, _Through(http), letters, linger=0.0, retry=RetryPolicy(0.1, 1.0, 2), assign=False) as bench,
            ):
                for day in range(1, 4):
                    wanted = f"day-{day}"
                    refused.clear()
                    refused_twice.clear()
                    for number in range(50):
                        log.append(event(f"{day}.{number}", a=number))
                    (bench.source.assign(P0) if day == 1 else bench.source.feed())
                    await refused_twice.wait()
                    assert log.committed.get(P0, 0) <= 50 * (day - 1)
                    file.write_text(wanted)
                    await bench.settle(60)
        assert sorted(accepted) == sorted(f"{day}.{number}" for day in range(1, 4) for number in range(50))
        assert letters.letters == []
        assert log.committed == {P0: 150}

    with quiet():
        asyncio.run(main())
