"""`--round-trip`: two updates of one known visitor, by each form of the path, and which of them a fetch gives back.

No answer of the endpoint proves path or account: both forms may be answered alike. Each update has an attribute and a
value of its own, so what is read back shows which form arrived.
"""

import asyncio
import enum
import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from connector.cli.verify.endpoint import Endpoint
from connector.cli.verify.fetching import Fetch
from connector.delivery.answer import Answer
from connector.errors import CommandError
from connector.events.change import Visitor
from connector.target.profile import FetchOutcome, Profile
from connector.target.render import Method, Renderer, Request

FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0
LEAST_MORE_SECONDS: Final = 60.0
"""Both were sent together: once the form that is set has come, the other is waited for as long again, at least so."""

Send = Callable[[Request], Awaitable[Answer]]


class RoundTripFailed(CommandError):
    """Nothing can be proved, with the reason and what to do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"{reason}; {hint}")


class Outcome(enum.Enum):
    """What the round trip proved; the value is the exit code."""

    CONFIGURED = 0
    OTHER = 1
    NONE = 3


@dataclass(slots=True)
class Form:
    """One form of the path, the attribute that goes by it, and when that came back."""

    path: str
    setting: str
    """What TARGET_UPDATE_PATH has to be for it."""
    is_configured: bool
    attribute: str
    value: str = field(default_factory=lambda: uuid.uuid4().hex)
    answer: Answer | None = None
    seen_after: float | None = None


class Calls(Protocol):
    """Where the two calls are booked."""

    async def take(self, calls: int) -> float:
        """Lease them; returns until when they may begin."""
        ...

    @property
    def boottime(self) -> Callable[[], float]:
        """The clock of that time."""
        ...


def forms(where: Endpoint, settings_path: str) -> Sequence[Form]:
    """Both forms, the one that is set last.

    If consecutive updates override each other, the later one takes the earlier one's attribute away: then the form
    that is set is still told rightly.
    """
    known = [
        Form(where.literal, "/m2/client/profile/update", where.literal == where.configured, "connectorRoundTripWord"),
        Form(where.code, "/m2/{client_code}/profile/update", where.code == where.configured, "connectorRoundTripCode"),
    ]
    distinct = list({form.path: form for form in reversed(known)}.values())
    if not any(form.is_configured for form in distinct):
        # Two updates at most: the form that is set, and the documented one.
        mine = Form(where.configured, settings_path, is_configured=True, attribute="connectorRoundTripOwn")
        distinct = [next(form for form in distinct if form.path == where.literal), mine]
    return sorted(distinct, key=lambda form: form.is_configured)


async def round_trip(
    visitor: Visitor, tried: Sequence[Form], method: Method, fetch: Fetch, send: Send, calls: Calls | None, wait: float
) -> Outcome:
    """Send, and read back for at most `wait` seconds; each form is told what came of it. Raises RoundTripFailed."""
    await _known(visitor, fetch)
    end = math.inf if calls is None else await calls.take(len(tried))
    for form in tried:
        if calls is not None and calls.boottime() >= end:
            msg, hint = "not sent: its lease of the quota's window is over", "try again; this machine stood still"
            raise RoundTripFailed(msg, hint)
        (request,) = Renderer(form.path, method)(visitor, {form.attribute: form.value}).requests
        form.answer = await send(request)
    await _read_back(visitor, tried, fetch, wait)
    if any(form.seen_after is not None for form in tried if form.is_configured):
        return Outcome.CONFIGURED
    return Outcome.OTHER if any(form.seen_after is not None for form in tried) else Outcome.NONE


async def _known(visitor: Visitor, fetch: Fetch) -> None:
    found = await fetch(visitor)
    if found.outcome is FetchOutcome.UNKNOWN:
        msg = "Target has no profile of this visitor, so an update would vanish; nothing was sent"
        raise RoundTripFailed(
            msg, "let the visitor open a page, wait until its session is over (30 minutes), try again"
        )
    if found.outcome is not FetchOutcome.FOUND:
        msg = f"the profile cannot be fetched, so nothing was sent: {found.reason}"
        raise RoundTripFailed(msg, "look at TARGET_BASE_URL and the token, then try again")


async def _read_back(visitor: Visitor, tried: Sequence[Form], fetch: Fetch, wait: float) -> None:
    """Fetch with longer and longer pauses, until all forms are seen, or the other one has had its time."""
    loop = asyncio.get_running_loop()
    began, pause = loop.time(), FIRST_PAUSE_SECONDS
    end = began + wait
    while loop.time() < end:
        await asyncio.sleep(min(pause, end - loop.time()))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        found = await fetch(visitor)
        for form in tried:
            if found.profile is not None and form.seen_after is None and _has(found.profile, form):
                form.seen_after = loop.time() - began
                if form.is_configured:
                    end = min(end, loop.time() + max(form.seen_after, LEAST_MORE_SECONDS))
        if all(form.seen_after is not None for form in tried):
            return


def _has(profile: Profile, form: Form) -> bool:
    found = profile.attributes.get(form.attribute)
    return found is not None and found.value == form.value


def advice(tried: Sequence[Form], outcome: Outcome) -> str:
    """What TARGET_UPDATE_PATH should be."""
    proved = [form for form in tried if form.seen_after is not None]
    if outcome is Outcome.CONFIGURED:
        return "TARGET_UPDATE_PATH is right as it is, and so are the account and the token."
    if outcome is Outcome.OTHER:
        return f"Set TARGET_UPDATE_PATH={proved[0].setting}: what is set now did not arrive."
    return (
        "Nothing came back in time. Target may take up to 24 hours: look at the profile's attributes "
        f"{' and '.join(form.attribute for form in tried)} later, or try again with a longer --wait."
    )
