"""The check runs when nothing else works: it must end, in order, and report the state of each item."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from connector.cli.check.findings import Check, CheckFailed, Finding, State, in_turn, run_checks, text_line
from connector.threads import in_thread
from tests.support.virtual_time import run


def ok(what: str) -> Finding:
    """A good one."""
    return Finding(State.OK, what, "good")


def bad(what: str) -> Finding:
    """A failed one."""
    return Finding(State.FAILED, what, "bad", "fix it")


def answers(*findings: Finding, after: float = 0.0) -> Check:
    """A check that gives these after a time, named by the first."""

    async def ask() -> Sequence[Finding]:
        await asyncio.sleep(after)
        return findings

    return Check(findings[0].what, 10.0, ask)


async def _for_ever() -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


def outcome(checks: Sequence[Check], seconds: float = 28.0) -> tuple[bool, list[Finding], float]:
    """Whether all succeeded, the findings, and the time it took."""
    said: list[Finding] = []

    async def main() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await run_checks(checks, seconds, said.append), loop.time() - began

    well, took = run(main())
    return well, said, took


def test_they_run_in_parallel_and_are_reported_in_the_order_of_the_list() -> None:
    """In sequence they would take the sum of all time limits; in order of arrival two runs could not be compared."""
    well, said, took = outcome([answers(ok("slow"), after=8.0), answers(ok("quick"), ok("quick too"), after=5.0)])
    assert well
    assert [finding.what for finding in said] == ["slow", "quick", "quick too"]
    assert took == 8.0


@pytest.mark.parametrize(("state", "well"), [(State.OK, True), (State.WARNING, True), (State.FAILED, False)])
def test_only_a_failure_is_not_well(state: State, well: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """A warning must not make an init container fail, a failure must."""
    assert outcome([answers(ok("a"), Finding(state, "b", "", ""))])[0] is well


def test_a_check_that_depends_on_a_failure_is_skipped_and_names_it() -> None:
    """It would only fail too, ten seconds later, and hide the one line that matters."""
    asked: list[str] = []

    async def ask() -> Sequence[Finding]:
        asked.append("x")
        return [ok("never")]

    well, said, _ = outcome([answers(ok("base"), bad("base 2")), Check("upper", 5.0, ask, ("base",))])
    assert not well
    assert said[-1] == Finding(State.SKIPPED, "upper", "because base failed")
    assert asked == []
    assert outcome([answers(ok("base")), Check("upper", 5.0, ask, ("base",))])[1][-1] == ok("never")


def test_each_has_its_time_and_all_together_have_one_too() -> None:
    """A chain of checks that each hang for their own limit would delay a start by minutes."""
    hanging = [Check("one", 20.0, _for_ever), Check("two", 40.0, _for_ever)]
    well, said, took = outcome(hanging)
    assert not well
    assert [(f.state, f.detail) for f in said] == [
        (State.FAILED, "no answer in 20 s"),
        (State.FAILED, "no answer in 28 s"),
    ]
    assert took == 28.0

    chain = [answers(ok("base"), after=9.0), Check("upper", 40.0, _for_ever, ("base",))]
    assert outcome(chain)[2] == 28.0


def test_a_check_that_breaks_is_a_finding_and_shows_no_more_than_its_kind() -> None:
    """A traceback would hide the other findings, and an exception's text may hold anything."""

    async def breaks() -> Sequence[Finding]:
        msg = "hush"
        raise LookupError(msg)

    async def refuses() -> Sequence[Finding]:
        raise CheckFailed("seen", "fix it")  # noqa: EM101 - the texts of the case

    well, said, _ = outcome([Check("broken", 1.0, breaks), Check("wrong", 1.0, refuses), answers(ok("after"))])
    assert not well
    assert said[0].state is State.FAILED
    assert "LookupError" in said[0].detail
    assert "hush" not in str(said)
    assert said[1:] == [Finding(State.FAILED, "wrong", "seen", "fix it"), ok("after")]


def test_steps_stop_at_the_first_that_fails() -> None:
    """Without an address there is no port to try: the later lines say so instead of failing too."""

    async def fine() -> str:
        return "found"

    async def warns() -> Finding:
        return Finding(State.WARNING, "server TLS", "ends soon", "renew")

    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    async def fails() -> str:
        raise CheckFailed("refused", "start it")  # noqa: EM101 - the texts of the case

    found = run(in_turn("server", [("DNS", 1, fine), ("TLS", 1, warns), ("TCP", 1, fails), ("login", 1, fine)]))
    assert found == [
        Finding(State.OK, "server DNS", "found"),
        Finding(State.WARNING, "server TLS", "ends soon", "renew"),
        Finding(State.FAILED, "server TCP", "refused", "start it"),
        Finding(State.SKIPPED, "server login", "because TCP failed"),
    ]
    silent = run(in_turn("server", [("DNS", 3, hangs), ("TCP", 1, fine)]))
    assert [(f.state, f.detail) for f in silent] == [
        (State.FAILED, "no answer in 3 s"),
        (State.SKIPPED, "because DNS failed"),
    ]


def test_a_line_cannot_steer_the_terminal() -> None:
    """An attribute's name may hold an escape sequence, or a line break and a forged line of ours."""
    said = text_line(Finding(State.FAILED, "a", "profile.\x1b[2J\nok       b", "fix it"))
    assert said == "failed   a: profile.?[2J?ok       b -> fix it"


def test_a_call_that_blocks_in_a_thread_is_left_behind() -> None:
    """A name look-up cannot be cancelled: waiting for its thread would keep the program alive while the DNS hangs.

    The usual executor does wait for it, at the end of the loop.
    """
    held = threading.Event()
    ended = threading.Event()

    def blocks() -> None:
        held.wait()
        ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread(blocks)

    asyncio.run(main())
    assert not ended.is_set()
    held.set()
    assert ended.wait(30)


def test_a_thread_gives_its_result_or_its_error() -> None:
    """An error lost in the thread would be a check that never ends."""

    def fails() -> None:
        msg = "no"
        raise LookupError(msg)

    async def main() -> None:
        assert await in_thread(lambda: 7) == 7
        with pytest.raises(LookupError):
            await in_thread(fails)

    asyncio.run(main())
