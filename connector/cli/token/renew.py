"""One run of `connector token`: what is stored, what Target has, and what is stored then."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from connector.cli.token.store import Store, Superseded
from connector.errors import CommandError
from connector.target.profile_token.client import TokenService, obtain
from connector.target.profile_token.decision import GiveUp, Have, Terms

SAME_SECONDS: Final = 60.0
"""Two ends of one token that differ by less are the same: each answer counts from its own moment."""
RUNS: Final = 4
"""Each time that another run stores a token meanwhile, what there is is looked at again."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it, without a part of the token; `expires` in seconds since the epoch, None: not known."""

    expires: float | None
    made: bool = False
    written: bool = False
    place: str = ""


class NotHad(CommandError):
    """There is no token to be had, with the reason and what to do."""

    def __init__(self, given: GiveUp) -> None:
        said = f"{given.problem.reason}; {given.problem.remedy}"
        if given.unsure:
            said += ". A new token may have been made, which ends the former one: run this again soon"
        super().__init__(said)


async def look(service: TokenService, rng: random.Random, clock: Callable[[], float]) -> Done:
    """When the token that there is ends; nothing is made. Raises `NotHad`."""
    return Done(_had(await obtain(service, Terms(0.0, may_issue=False), rng, clock)).token.ends)


async def renew(
    service: TokenService, store: Store, renew_before: float, rng: random.Random, clock: Callable[[], float]
) -> Done:
    """Get the token, renewed if it is time, and store it unless it is there. Raises `NotHad`, or what a store does."""
    made = False

    async def once() -> Done:
        nonlocal made
        stored = await store.read()
        had = _had(await obtain(service, Terms(renew_before, may_issue=True, stored=stored), rng, clock))
        made = made or had.made
        if stored is not None and stored.text == had.token.text and _same(stored.ends, had.token.ends):
            return Done(stored.ends, made, written=False, place=store.name)
        await store.write(had.token)
        return Done(had.token.ends, made, written=True, place=store.name)

    async with store:
        for _ in range(RUNS - 1):
            with suppress(Superseded):
                return await once()
        return await once()


def _had(given: Have | GiveUp) -> Have:
    if isinstance(given, GiveUp):
        raise NotHad(given)
    return given


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < SAME_SECONDS
