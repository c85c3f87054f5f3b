"""Fetches the profiles of the sample, one after the other and never faster than asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from connector.events.change import Visitor
from connector.target.profile import Fetched, FetchOutcome, Profile

ATTEMPTS: Final = 3
"""For one visitor."""
MOST_FAILURES: Final = 3
"""Visitors in a row who could not be fetched; then nobody is asked for any more."""
THROTTLED_SECONDS: Final = 60.0
"""Without a word of the endpoint: its limits count by the minute."""
LONGEST_SECONDS: Final = 900.0
"""No longer wait is kept, whatever the endpoint asks for."""
MINUTE: Final = 60.0

Fetch = Callable[[Visitor], Awaitable[Fetched]]


@dataclass(slots=True)
class Results:
    """What was fetched, by visitor with the time of it."""

    found: dict[Visitor, tuple[Profile | None, float]] = field(default_factory=dict)
    failed: int = 0
    reason: str = ""
    """Of the last failure."""
    has_stopped: bool = False
    """Too many failed in a row, or the token is refused: the rest was not asked for."""


class Pace:
    """One call in every part of a minute: no minute holds more than are allowed."""

    def __init__(self, per_minute: int) -> None:
        self._pause = MINUTE / per_minute
        self._next = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Until the next call may be made."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next - loop.time()))
        self._next = max(self._next, loop.time()) + self._pause


async def fetch_all(
    visitors: Iterable[Visitor],
    fetch: Fetch,
    per_minute: int,
    now: Callable[[], float],
    progress: Callable[[int], None],
) -> Results:
    """Fetch each once; what is throttled or failed is tried again. `now`: seconds since the epoch."""
    results = Results()
    pace = Pace(per_minute)
    in_a_row = 0
    for number, visitor in enumerate(visitors):
        progress(number)
        answer = await _fetch(visitor, fetch, pace)
        if answer.outcome in (FetchOutcome.FOUND, FetchOutcome.UNKNOWN):
            results.found[visitor] = answer.profile, now()
            in_a_row = 0
            continue
        results.failed += 1
        results.reason = answer.reason
        in_a_row += 1
        if in_a_row == MOST_FAILURES or answer.outcome is FetchOutcome.UNAUTHORIZED:
            results.has_stopped = True
            break
    return results


async def _fetch(visitor: Visitor, fetch: Fetch, pace: Pace) -> Fetched:
    """The last of some attempts."""
    for attempt in range(1, ATTEMPTS + 1):
        await pace.wait()
        answer = await fetch(visitor)
        if answer.outcome in (FetchOutcome.FOUND, FetchOutcome.UNKNOWN) or attempt == ATTEMPTS:
            break
        if answer.outcome is FetchOutcome.THROTTLED:
            await asyncio.sleep(min(answer.retry_after or THROTTLED_SECONDS, LONGEST_SECONDS))
    return answer
