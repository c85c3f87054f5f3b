"""One run of `connector token` in worlds of a few requests: what is asked in which order, and what is stored."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from connector.cli.token.renew import Done, NotHad, look, renew
from connector.target.profile_token.answers import ProfileToken
from tests.support.tokens import (
    BUSY,
    DOWN,
    DROPPED,
    FORBIDDEN,
    GARBLED,
    GATEWAY,
    LATE,
    LOST,
    REFUSED,
    FakeServices,
    FakeStore,
    Fault,
)
from tests.support.virtual_time import run

WEEK = 604_800.0


async def once(services: FakeServices, place: FakeStore) -> Done:
    """One run, renewing a week ahead."""
    return await renew(services.client(), place.open(), WEEK, random.Random(1), services.now)


def in_world(
    story: Callable[[FakeServices, FakeStore], Awaitable[None]], *faults: Fault | None, left: float | None = None
) -> FakeServices:
    """Tell a story in an account whose token is good for `left` seconds, or that has none."""

    async def scenario() -> FakeServices:
        services = FakeServices(faults)
        if left is not None:
            services.token, services.ends = "S3CR3T-0", services.now() + left
        await story(services, FakeStore())
        return services

    return run(scenario())


def test_a_first_token_is_made_and_then_kept() -> None:
    """The second run stores nothing: a Secret that changes each day would be read anew by every replica."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        done = await once(services, place)
        assert (done.made, done.written, done.place) == (True, True, "the store")
        assert place.stored is not None
        assert (place.stored.text, done.expires) == (services.token, place.stored.ends)
        done = await once(services, place)
        assert (done.made, done.written, place.writes) == (False, False, 1)

    assert in_world(story).requests == ["sign in", "GET", "POST", "sign in", "GET"]


def test_a_token_that_lasts_is_stored_without_a_post() -> None:
    """A second installation, or a lost file, must not end the token that others use."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        done = await once(services, place)
        assert (done.made, done.written) == (False, True)
        assert place.stored is not None
        assert place.stored.text == "S3CR3T-0"

    assert in_world(story, left=WEEK + 60).requests == ["sign in", "GET"]


def test_a_token_that_ends_soon_is_renewed() -> None:
    """In time, and for good."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        assert (await once(services, place)).made

    assert in_world(story, left=WEEK - 60).requests == ["sign in", "GET", "POST"]


@pytest.mark.parametrize("fault", [LOST, LATE, GATEWAY, GARBLED])
def test_a_post_whose_answer_is_lost_is_looked_for_and_not_sent_again(fault: Fault) -> None:
    """It took effect: sent again, it would end the token that it made."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        done = await once(services, place)
        assert (done.made, done.written) == (True, True)
        assert place.stored is not None
        assert place.stored.text == services.token

    assert in_world(story, None, None, fault).requests == ["sign in", "GET", "POST", "GET"]


@pytest.mark.parametrize("fault", [DROPPED, REFUSED, BUSY, DOWN])
def test_a_post_that_did_not_happen_is_sent_again_after_a_look(fault: Fault) -> None:
    """Looking shows the old token, so another one is asked for."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        assert (await once(services, place)).made

    services = in_world(story, None, None, fault, left=60)
    assert services.requests == ["sign in", "GET", "POST", "GET", "POST"]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_outage_ends_the_run_after_five_failures(step: int) -> None:
    """A CronJob's next run is the longer pause; what may have happened is said."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(NotHad, match="HTTP 503") as caught:
            await once(services, place)
        assert asyncio.get_running_loop().time() - began < 120
        assert ("may have been made" in str(caught.value)) == (step == 2)
        assert place.stored is None

    # A look that works is no end of the failures: they are counted for the whole run.
    faults = [None, None, DOWN, *[None, DOWN] * 4] if step == 2 else [None] * step + [DOWN] * 5
    services = in_world(story, *faults)
    assert len([fault for fault in faults[: len(services.requests)] if fault is DOWN]) == 5


def test_a_pause_that_is_asked_for_is_kept() -> None:
    """50 calls a minute are for all who use the Admin API: asking at once would keep others out too."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        began = asyncio.get_running_loop().time()
        await once(services, place)
        assert asyncio.get_running_loop().time() - began >= 7.0

    in_world(story, None, BUSY)


def test_a_refusal_is_not_asked_again() -> None:
    """A missing role does not pass in a minute."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        with pytest.raises(NotHad, match="Approver"):
            await once(services, place)

    assert in_world(story, None, FORBIDDEN).requests == ["sign in", "GET"]


def test_an_end_that_moves_away_with_each_look_is_not_believed() -> None:
    """If `expiresIn` of a GET were the whole life, a token would seem to be good for ever, until it ends."""

    async def story(services: FakeServices, place: FakeStore) -> None:
        truly = services.now() + WEEK - 60
        place.stored = ProfileToken("S3CR3T-0", truly)
        done = await once(services, place)
        assert done.made

    assert in_world(story, left=7_776_000.0).requests == ["sign in", "GET", "POST"]


def test_a_check_says_when_it_ends_or_that_there_is_none() -> None:
    """Without a token its remedy is the command itself."""

    async def with_one(services: FakeServices, _: FakeStore) -> None:
        done = await look(services.client(), random.Random(1), services.now)
        assert (done.made, done.written) == (False, False)
        assert done.expires == pytest.approx(services.ends, abs=1.0)

    async def without(services: FakeServices, _: FakeStore) -> None:
        with pytest.raises(NotHad, match="without --check"):
            await look(services.client(), random.Random(1), services.now)

    assert in_world(with_one, left=60).requests == ["sign in", "GET"]
    # One that ends while it is told of.
    assert in_world(without, left=0.35).requests == ["sign in", "GET"]
    assert in_world(without).requests == ["sign in", "GET"]
