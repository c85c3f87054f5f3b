"""Fetches must never hurt the account: the pace, the waits, and when to give up, in virtual time."""

import asyncio
from collections.abc import Callable

from connector.cli.verify.fetching import LONGEST_SECONDS, THROTTLED_SECONDS, Results, fetch_all
from connector.events.change import Visitor
from connector.target.profile import Fetched, FetchOutcome, Profile
from tests.support.virtual_time import run

FOUND = Fetched(FetchOutcome.FOUND, Profile({}))
VISITORS = [Visitor("pcId", str(number)) for number in range(200)]


def fetched(answer: Callable[[int], Fetched], count: int = 200, per_minute: int = 40) -> tuple[Results, list[float]]:
    """The results, and when each call was made; `answer` is asked by the number of the call."""
    times: list[float] = []

    async def fetch(_: Visitor) -> Fetched:
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.2)
        return answer(len(times) - 1)

    async def scenario() -> Results:
        loop = asyncio.get_running_loop()
        return await fetch_all(VISITORS[:count], fetch, per_minute, loop.time, lambda _: None)

    return run(scenario()), times


def test_no_minute_holds_more_than_are_allowed() -> None:
    """Target's other APIs allow 50 a minute; slow answers and retries make no burst afterwards."""
    results, times = fetched(lambda number: Fetched(FetchOutcome.FAILED, reason="x") if number % 7 == 0 else FOUND)
    assert len(results.found) == 200
    for first in times:
        assert sum(first <= at < first + 60 for at in times) <= 40
    assert times[-1] - times[0] < len(times) * 60 / 40


def test_a_throttled_fetch_waits_as_it_is_told_and_is_made_again() -> None:
    """Without a word a minute; and never longer than a quarter of an hour."""
    for said, waits in ((None, THROTTLED_SECONDS), (7.0, 7.0), (1e6, LONGEST_SECONDS)):
        answers = [Fetched(FetchOutcome.THROTTLED, retry_after=said), FOUND]
        results, times = fetched(answers.__getitem__, count=1)
        assert (len(results.found), results.failed) == (1, 0)
        assert waits <= times[1] - times[0] < waits + 2


def test_a_run_of_failures_ends_it() -> None:
    """An endpoint that is down would be asked for hours; one visitor who fails costs only three calls."""
    failed = Fetched(FetchOutcome.FAILED, reason="the connection broke off")
    results, times = fetched(lambda _: failed)
    assert (results.failed, results.has_stopped, results.reason) == (3, True, "the connection broke off")
    assert len(times) == 9
    results, _ = fetched(lambda number: failed if number < 3 else FOUND)
    assert (results.failed, results.has_stopped, len(results.found)) == (1, False, 199)


def test_a_refused_token_ends_it_at_once() -> None:
    """After its file was read again, of which each attempt gives the chance."""
    results, times = fetched(lambda _: Fetched(FetchOutcome.UNAUTHORIZED, reason="HTTP 401"))
    assert (results.failed, results.has_stopped, len(times)) == (1, True, 3)
