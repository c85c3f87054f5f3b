"""The profile token under any order of faults: it is never ended early, and what is stored is the one that is good."""

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from contextlib import suppress

import hypothesis.strategies as st
from hypothesis import given

from connector.cli.token.renew import Done, NotHad, look, renew
from connector.cli.token.store import Superseded
from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.target.profile_token.answers import Problem, ProfileToken, read_existing, read_issued, read_sign_in
from connector.target.profile_token.decision import GiveUp
from connector.target.token_expiry import read_expiry, write_expiry
from tests.support.tokens import FAULTS, FakeServices, FakeStore, Fault
from tests.support.virtual_time import run

WEEK = 604_800.0
SPANS = st.sampled_from([0.0, 0.1, 1.0, 60.0, WEEK - 1, WEEK, WEEK + 1, 7_776_000.0]) | st.floats(0.0, 1e7)
FAULT_LISTS = st.lists(st.none() | st.sampled_from(FAULTS), max_size=12)
SEEDS = st.integers(0, 2**32)


async def runs(
    services: FakeServices, place: FakeStore, times: int, renew_before: float, seed: int
) -> list[Done | str]:
    """So many runs of the command, one after the other; what each of them says."""
    said: list[Done | str] = []
    for number in range(times):
        try:
            rng = random.Random(seed + number)
            said.append(await renew(services.client(), place.open(), renew_before, rng, services.now))
        except NotHad as error:
            said.append(str(error))
    return said


@given(FAULT_LISTS, SPANS, st.floats(-10.0, 10.0) | SPANS, SEEDS)
def test_a_token_that_lasts_is_never_ended(
    faults: Sequence[Fault | None], renew_before: float, beyond: float, seed: int
) -> None:
    """Catches a POST that is sent again without a look, and one after a look that failed.

    Each would end the token that all replicas use, perhaps a new one.
    """

    async def scenario() -> None:
        ends = asyncio.get_running_loop().time() + max(0.0, renew_before + beyond)
        services = FakeServices(faults, token="S3CR3T-0", ends=ends)
        await runs(services, FakeStore(), 3, renew_before, seed)
        assert all(lost <= renew_before for lost in services.overwritten)
        # Between two POSTs there is always a look.
        asked = [kind for kind in services.requests if kind != "sign in"]
        assert all(after == "GET" for before, after in itertools.pairwise(asked) if before == "POST")

    run(scenario())


@given(FAULT_LISTS, SPANS, SEEDS)
def test_a_token_whose_end_is_not_told_is_kept(faults: Sequence[Fault | None], renew_before: float, seed: int) -> None:
    """Catches an unknown end that is taken for one that is near: each run would end the token of all replicas."""

    async def scenario() -> None:
        ends = asyncio.get_running_loop().time() + 1e9
        services = FakeServices(faults, token="S3CR3T-0", ends=ends, tells_end=False)
        await runs(services, FakeStore(), 3, renew_before, seed)
        assert services.token == "S3CR3T-0"

    run(scenario())


@given(FAULT_LISTS, SPANS, SPANS, SEEDS)
def test_what_is_stored_is_the_token_that_is_good(
    faults: Sequence[Fault | None], left: float, renew_before: float, seed: int
) -> None:
    """Catches a store of a token that a later POST of the same run has ended, and a fault that outlasts its run.

    A POST whose answer was lost is made good by the next run.
    """

    async def scenario() -> None:
        services = FakeServices(faults, token="S3CR3T-0", ends=asyncio.get_running_loop().time() + left)
        place = FakeStore()
        said = await runs(services, place, 20, min(renew_before, services.life / 2), seed)
        assert isinstance(said[-1], Done)
        assert place.stored is not None
        assert place.stored.text == services.token
        assert place.stored.ends is not None
        assert -1.0 <= services.ends - place.stored.ends <= 61.0
        # Nothing is written again and again.
        assert place.writes <= 3

    run(scenario())


@given(SPANS, st.lists(st.floats(0.0, 2.0), min_size=2, max_size=3), SEEDS)
def test_runs_at_once_leave_the_token_that_is_good(left: float, starts: Sequence[float], seed: int) -> None:
    """Catches a store without a version: of two that have a token made, the last to write may have the ended one.

    A job by hand beside the CronJob is enough.
    """

    async def scenario() -> None:
        services = FakeServices(token="S3CR3T-0", ends=asyncio.get_running_loop().time() + left)
        place = FakeStore()

        async def one(number: int, start: float) -> None:
            await asyncio.sleep(start)
            with suppress(Superseded):
                rng = random.Random(seed + number)
                await renew(services.client(), place.open(), WEEK, rng, services.now)

        await asyncio.gather(*(one(number, start) for number, start in enumerate(starts)))
        assert place.stored is not None
        assert place.stored.text == services.token

    run(scenario())


@given(FAULT_LISTS, SPANS, SEEDS)
def test_a_check_makes_and_writes_nothing(faults: Sequence[Fault | None], left: float, seed: int) -> None:
    """Catches a check that POSTs where there is no token: `--check` is what one tries first."""

    async def scenario() -> None:
        services = FakeServices(faults, token="S3CR3T-0", ends=asyncio.get_running_loop().time() + left)
        with suppress(NotHad):
            await look(services.client(), random.Random(seed), services.now)
        assert "POST" not in services.requests

    run(scenario())


MARKED = st.text(max_size=20).map(lambda text: f"{text}S3CR3T{text}")
NAMES = st.sampled_from(["access_token", "accessToken", "expires_in", "expiresIn", "error", "S3CR3T"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | MARKED,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["access_token", "accessToken", "expires_in", "expiresIn", "error", "S3CR3T"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=30).map(lambda raw: raw + b"S3CR3T") | JSON.map(lambda value: json.dumps(value).encode())
GIVEN = st.builds(
    Answered, st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 407, 429, 500, 503]) | st.integers(100, 599),
    BODIES, st.none() | MARKED,
) | st.builds(Unanswered, st.sampled_from(Trouble))  # fmt: skip


@given(GIVEN, st.floats(0.0, 4e9))
def test_no_answer_gets_into_a_text_and_each_refusal_has_a_remedy(given: Answered | Unanswered, now: float) -> None:
    """Catches a reason that quotes a body: an error page may repeat the client secret, and a 200 holds the token."""
    for read in (read_sign_in, read_existing, read_issued):
        outcome = read(given, now)
        assert "S3CR3T" not in repr(outcome)
        if isinstance(outcome, Problem):
            assert outcome.reason
            assert outcome.remedy
            assert "S3CR3T" not in str(NotHad(GiveUp(outcome, unsure=True)))
        if isinstance(outcome, ProfileToken) and outcome.ends is not None:
            write_expiry(outcome.text, outcome.ends)


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(WORDS, WORDS, st.floats(0.0, 4e9))
def test_an_end_is_that_of_its_own_token(token: str, other: str, ends: float) -> None:
    """Catches a note that outlives its token: a token put there by hand would seem to have ended, or to last."""
    note = write_expiry(token, ends)
    assert token.encode() not in note or len(token) < 8
    read = read_expiry(note, token)
    assert read is not None
    assert 0.0 <= ends - read < 1.0
    if other != token:
        assert read_expiry(note, other) is None


@given(BODIES, WORDS)
def test_any_note_is_read_or_passed_over(note: bytes, token: str) -> None:
    """Catches a note of a person's own that ends the service."""
    assert read_expiry(note, token) is None
