"""When the whole endpoint fails: nothing is dropped, few calls are wasted, and its recovery is noticed soon."""

import asyncio
import random
from collections.abc import Callable

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.retry import RetryPolicy
from tests.support.bench import Bench, quiet
from tests.support.captured_logs import captured_logs
from tests.support.fakes import Behaviour, FakeLog, FakeSender, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
FINE = Answer(Verdict.ACCEPTED)
DOWN = Answer(Verdict.UNAVAILABLE, "HTTP 500")
BAD = Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True)


def _failing_until(answer: Answer, seconds: float, latency: float = 0.05) -> tuple[Behaviour, Callable[[], float]]:
    """An endpoint that gives this answer for a time, and when it recovers by the loop's clock."""
    end = 1_000.0 + seconds

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (answer if asyncio.get_running_loop().time() < end else FINE), latency

    return behave, lambda: end


def _log(visitors: int) -> FakeLog:
    log = FakeLog()
    for number in range(visitors):
        log.append(event(f"v{number}", a=number))
    return log


def test_a_refused_token_for_a_minute_costs_few_calls_and_no_update() -> None:
    """401 stops all at once and drops nothing; retrying each update would waste quota, and attempts with it."""

    async def main() -> None:
        behave, end = _failing_until(Answer(Verdict.UNAUTHORIZED, "HTTP 401"), 60)
        async with Bench(_log(500), FakeSender(behave), updates_per_second=200.0) as bench:
            await bench.settle(120)
            assert asyncio.get_running_loop().time() < end() + 10 + 5
        tally = bench.pipeline.state.counters
        assert tally.requests[Verdict.UNAUTHORIZED] <= 25
        assert tally.requests[Verdict.ACCEPTED] == bench.done(Done.ACCEPTED) == 500
        assert bench.letters.letters == []
        assert not bench.pipeline.state.gate.circuit.is_open

    run(main())


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "answer",
    [
        DOWN,
        Answer(Verdict.UNAVAILABLE, "no connection", reached=False),
        Answer(Verdict.TIMEOUT, "no answer"),
        Answer(Verdict.THROTTLED, "HTTP 503"),
    ],
)
@pytest.mark.no_cover
def test_an_hour_of_outage_makes_no_dead_letter_and_few_probes(answer: Answer) -> None:
    """Attempts in an outage do not count; else each outage would move pending updates into the dead-letter topic."""

    async def main() -> None:
        behave, end = _failing_until(answer, 3_600)
        policy = RetryPolicy(0.5, 60.0, 3)
        async with Bench(_log(200), FakeSender(behave), retry=policy, updates_per_second=200.0) as bench:
            await asyncio.sleep(3_600)
            assert bench.letters.letters == []
            assert len(bench.sender.sent) <= 3_600 / 2 + 64
            assert bench.pending == 200
            await bench.settle(10)
            assert min(at for at, _, _ in bench.sender.sent if at >= end()) - end() <= 2.05
        assert bench.done(Done.ACCEPTED) == 200
        assert bench.letters.letters == []

    with quiet():
        run(main())


@pytest.mark.parametrize("pause", [1.7, 20.0, 120.0])
def test_an_outage_makes_no_dead_letter_however_little_traffic_there_is(pause: float) -> None:
    """No update succeeds, so no attempt is charged, also when visitors come one by one."""

    async def main() -> None:
        behave, _ = _failing_until(DOWN, 1_800)
        log = _log(1)
        async with Bench(log, FakeSender(behave)) as bench:
            for number in range(int(2_000 / pause)):
                log.append(event(f"w{number}", a=number))
                bench.source.feed()
                await asyncio.sleep(pause)
            await bench.settle(180)
        assert bench.letters.letters == []
        assert bench.done(Done.ACCEPTED) == len(log.records[P0])

    with quiet():
        run(main())


def test_an_update_that_fails_alone_becomes_a_dead_letter_after_its_attempts() -> None:
    """While others succeed, ten failures are its own fault; endless, it would hold the offset for ever."""

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (DOWN if visitor == "bad" else FINE), 0.01

    async def main() -> None:
        log = _log(5)
        log.append(event("bad", a=1))
        log.append(event("bad", b=2))
        async with Bench(log, FakeSender(behave)) as bench:
            while not bench.letters.letters:
                log.append(event("good", a=1))
                bench.source.feed()
                await asyncio.sleep(1)
                assert len(log.records[P0]) < 600, "no end in ten minutes"
            await bench.settle(10)
        (letter,) = bench.letters.letters
        assert (letter.error, letter.source, letter.offset) == ("RetriesExhausted", P0, 5)
        assert sum(visitor == "bad" for _, visitor, _ in bench.sender.sent) == 10
        assert bench.done(Done.DEAD_LETTERED) == 2
        assert bench.pipeline.state.counters.updates_dead_lettered == 1
        assert log.committed == {P0: len(log.records[P0])}

    run(main())


LOCAL = Answer(Verdict.UNAVAILABLE, "this process may open no more files", reached=False, local=True)


@pytest.mark.parametrize("files", [1, 5, 20])
def test_a_limit_of_open_files_slows_down_and_is_no_outage(files: int) -> None:
    """Open connections keep working, so the circuit stays closed: it would open and close again and again.

    Catches a circuit that takes a local failure for the endpoint's.
    """

    async def main() -> None:
        sender = FakeSender()
        sender.behaviour = lambda *_: (FINE, 0.3) if sender.on_the_wire <= files else (LOCAL, 0.0)
        async with Bench(_log(600), sender, linger=0.0, max_in_flight=64) as bench:
            while not bench.is_settled():
                assert not bench.pipeline.state.gate.circuit.is_open
                await asyncio.sleep(0.01)
            wasted = len(sender.sent) - 600
        assert bench.letters.letters == []
        assert wasted < 300

    with captured_logs() as logs:
        run(main())
    said = [line for line in logs.lines if line["level"] == "warning"]
    assert {line["event"] for line in said} == {"open_files_used_up"}
    assert said[0]["reason"] == LOCAL.reason


def test_without_any_open_file_it_waits_as_in_an_outage_and_names_the_cause() -> None:
    """No request succeeds for seconds: trying each update would waste the quota."""

    async def main() -> None:
        behave, end = _failing_until(LOCAL, 120, latency=0.0)
        async with Bench(_log(200), FakeSender(behave), updates_per_second=200.0) as bench:
            await asyncio.sleep(110)
            assert bench.pipeline.state.gate.circuit.is_open
            assert len(bench.sender.sent) < 300
            await bench.settle(60)
            assert asyncio.get_running_loop().time() < end() + 15
        assert bench.letters.letters == []

    with captured_logs() as logs:
        run(main())
    (opened,) = [line for line in logs.lines if line["event"] == "circuit_opened"]
    assert opened["reason"] == LOCAL.reason


def test_connections_are_closed_when_the_circuit_opens_and_at_each_probe() -> None:
    """The endpoint may have another address: a probe on a kept connection would not notice."""

    async def main() -> None:
        behave, end = _failing_until(DOWN, 60)
        async with Bench(_log(50), FakeSender(behave), linger=0.0, max_in_flight=8) as bench:
            await asyncio.sleep(50)
            probes = [at for at, _, _ in bench.sender.sent if at > 1_010.0]
            for at in probes:
                assert any(at <= renewed <= at + 0.1 for renewed in bench.sender.renewed)
            await bench.settle(60)
            assert all(renewed < end() + 1 for renewed in bench.sender.renewed)

    with quiet():
        run(main())


def _letters_of_a_half_broken_endpoint(share: float, answer: Answer, attempts: int) -> int:
    """3,000 visitors of an endpoint that fails this share of all requests at random: how many become dead letters."""
    rng = random.Random(1)

    async def main() -> int:
        log = _log(3_000)
        sender = FakeSender(lambda *_: (answer if rng.random() < share else FINE, 0.05))
        policy = RetryPolicy(0.5, 60.0, attempts)
        async with Bench(
            log,
            sender,
            retry=policy,
            updates_per_second=200.0,
            max_dead_letters_in_a_row=0,
            max_dead_letter_ratio=0.0,
        ) as bench:
            await bench.settle(7_200)
        return len(bench.letters.letters)

    with quiet():
        return run(main())


@pytest.mark.no_cover
@pytest.mark.parametrize("answer", [BAD, Answer(Verdict.UNAVAILABLE, "the connection broke off")], ids=["500", "reset"])
def test_an_endpoint_that_fails_six_in_ten_makes_no_dead_letter(answer: Answer) -> None:
    """Others succeed between any two failures, and yet no update is at fault."""
    assert _letters_of_a_half_broken_endpoint(0.6, answer, 10) == 0


@pytest.mark.no_cover
def test_an_endpoint_that_loses_three_in_ten_answers_makes_no_dead_letter_of_four_attempts() -> None:
    """By chance one update in a hundred fails four times in a row."""
    assert _letters_of_a_half_broken_endpoint(0.3, Answer(Verdict.TIMEOUT, "no answer"), 4) == 0


def test_a_retry_after_of_a_day_is_capped_at_the_maximum() -> None:
    """Retry-After is honoured up to RETRY_MAX_SECONDS, by the circuit too; "86400" would stop all for a day."""

    async def main() -> None:
        behave, end = _failing_until(Answer(Verdict.THROTTLED, "HTTP 429", retry_after=86_400.0), 30)
        async with Bench(_log(100), FakeSender(behave), retry=RetryPolicy(0.5, 60.0, 10)) as bench:
            await asyncio.sleep(30 + 60 + 60)
            assert any(at >= end() for at, _, _ in bench.sender.sent), "no request since the end"
            await bench.settle(100)

    run(main())


def test_retry_after_holds_for_all_while_the_circuit_is_open() -> None:
    """A 503 that asks for 30 s gets no request for 30 s after those in flight, and the seven that open it."""

    async def main() -> None:
        behave, _ = _failing_until(Answer(Verdict.THROTTLED, "HTTP 503", retry_after=30.0), 20)
        async with Bench(_log(100), FakeSender(behave), linger=0.0, max_in_flight=16) as bench:
            await asyncio.sleep(29)
            assert len(bench.sender.sent) <= 16 + 7
            await bench.settle(60)

    run(main())


def test_a_probe_that_renders_to_nothing_does_not_block_the_circuit() -> None:
    """An update of unfit attributes alone sends no probe, so another must; else the circuit stays open for ever."""

    async def main() -> None:
        behave, _ = _failing_until(DOWN, 20)
        log = _log(8)
        async with Bench(log, FakeSender(behave), linger=0.0, max_in_flight=8) as bench:
            await asyncio.sleep(5)
            opened = bench.pipeline.state.gate.circuit.is_open
            for number in range(10):
                log.append(event(f"unfit{number}", a="x" * 70_000))
            bench.source.feed()
            await bench.settle(60)
            assert (opened, bench.pipeline.state.gate.circuit.is_open) == (True, False)
        assert {letter.error for letter in bench.letters.letters} == {"Rejected"}
        assert bench.done(Done.DEAD_LETTERED) == 10
        assert bench.done(Done.ACCEPTED) == 8

    run(main())


def test_a_split_update_as_a_probe_waits_with_the_rest_of_itself() -> None:
    """The second request of a split update is an attempt like any other: an open circuit holds it too."""
    trouble = False

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        if visitor == "big" and not trouble:
            return FINE, 3.0
        return (DOWN if trouble else FINE), 0.05

    async def main() -> None:
        nonlocal trouble
        log = FakeLog()
        log.append(event("big", a="x" * 40_000, b="y" * 40_000))
        async with Bench(log, FakeSender(behave), linger=0.0) as bench:
            await asyncio.sleep(1)
            trouble = True
            for number in range(20):
                log.append(event(f"v{number}", a=number))
            bench.source.feed()
            await asyncio.sleep(1)
            assert bench.pipeline.state.gate.circuit.is_open
            trouble = False
            await bench.settle(60)
        assert bench.sender.profiles["big"] == {"a": "x" * 40_000, "b": "y" * 40_000}
        assert sum(visitor == "big" for _, visitor, _ in bench.sender.sent) == 2
        assert bench.done(Done.ACCEPTED) == 21

    run(main())
