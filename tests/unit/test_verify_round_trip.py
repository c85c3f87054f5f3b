"""The round trip must name the right path whatever Target does with it: lag, one form that vanishes, overrides."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

import pytest

from connector.cli.verify.endpoint import CODE, LITERAL, Endpoint
from connector.cli.verify.round_trip import Form, Outcome, RoundTripFailed, advice, forms, round_trip
from connector.delivery.answer import Answer
from connector.delivery.answer import Verdict as Said
from connector.events.change import Visitor
from connector.sandbox.fates import Processing
from connector.sandbox.profiles import ProfileStore
from connector.sandbox.rules import Visitor as Named
from connector.target.profile import Fetched, FetchOutcome, Profile, ProfileAttribute
from connector.target.profile_fetch import FetchConfig
from connector.target.render import Method, Request
from connector.target.sender import SenderConfig
from tests.support.virtual_time import run

ANN = Visitor("mbox3rdPartyId", "ann")
NAMED = Named("mbox3rdPartyId", "ann")
CODE_PATH = "/m2/demo/profile/update"


def tried(configured: str, own: str = "") -> Sequence[Form]:
    """The forms where this path is set."""
    where = Endpoint(
        FetchConfig("http://x", "/rest/v1/profiles", "demo", "agent"),
        SenderConfig("http://x", "agent"),
        configured,
        LITERAL,
        CODE_PATH,
    )
    return forms(where, own)


class Target:
    """A Target that takes one or both forms, and applies what it takes after a lag."""

    def __init__(self, *paths: str, lag: float = 20.0, override: bool = False, known: bool = True) -> None:
        self.paths = paths
        self.lag = lag
        self.sent: list[str] = []
        self.store = ProfileStore(update_only=True, override=override)
        if known:
            self.store.visit(NAMED, 0.0)

    async def fetch(self, _: Visitor) -> Fetched:
        stored = self.store.stored(NAMED, asyncio.get_running_loop().time())
        if stored is None:
            return Fetched(FetchOutcome.UNKNOWN)
        held = {name: ProfileAttribute(each.value, None) for name, each in stored.attributes.items()}
        return Fetched(FetchOutcome.FOUND, Profile(held))

    async def send(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        self.sent.append(path)
        if path in self.paths:
            values = {name.removeprefix("profile."): value for name, value in parse_qsl(query) if "profile." in name}
            self.store.update(NAMED, values, asyncio.get_running_loop().time(), Processing(lag=self.lag))
        return Answer(Said.ACCEPTED)


class Calls(NamedTuple):
    """Leases that end at a time."""

    end: float
    taken: list[int]

    async def take(self, calls: int) -> float:
        self.taken.append(calls)
        return self.end

    def boottime(self) -> float:
        return 0.0


def tripped(target: Target, forms: Sequence[Form], wait: float = 3_600.0) -> tuple[Outcome, float]:
    """The outcome, and how long it took."""

    async def scenario() -> tuple[Outcome, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = await round_trip(ANN, forms, Method.AUTO, target.fetch, target.send, None, wait)
        return outcome, loop.time() - began

    return run(scenario())


@pytest.mark.parametrize("configured", [LITERAL, CODE_PATH])
@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize(
    ("taken", "others"), [((LITERAL,), CODE_PATH), ((CODE_PATH,), LITERAL), ((LITERAL, CODE_PATH), "")]
)
def test_the_form_that_arrived_is_named(
    configured: str,
    override: bool,  # noqa: FBT001 - a column of the table
    taken: tuple[str, ...],
    others: str,
) -> None:
    """Also where consecutive updates override each other: the form that is set goes last, and so stays."""
    target, both = Target(*taken, override=override), tried(configured)
    outcome, _ = tripped(target, both)
    assert target.sent[-1] == configured
    assert sorted(target.sent) == sorted([LITERAL, CODE_PATH])
    if configured in taken:
        assert outcome is Outcome.CONFIGURED
        assert "is right as it is" in advice(both, outcome)
    else:
        assert (outcome, configured) == (Outcome.OTHER, others)
        assert f"Set TARGET_UPDATE_PATH={LITERAL if taken == (LITERAL,) else CODE}:" in advice(both, outcome)


def test_it_ends_when_all_is_known() -> None:
    """Both came; or the one that is set, and the other had as long again; or the time is over."""
    assert tripped(Target(LITERAL, CODE_PATH), tried(LITERAL))[1] < 40
    assert 60 < tripped(Target(LITERAL), tried(LITERAL))[1] < 130
    outcome, seconds = tripped(Target(LITERAL, lag=5_000.0), tried(LITERAL))
    assert (outcome, seconds) == (Outcome.NONE, 3_600.0)
    assert "longer --wait" in advice(tried(LITERAL), outcome)


def test_a_path_of_ones_own_is_tried_beside_the_documented_one() -> None:
    """Two updates at most, whatever is set."""
    own = "/proxy/m2/client/profile/update"
    target = Target(own)
    assert tripped(target, tried(own, own))[0] is Outcome.CONFIGURED
    assert target.sent == [LITERAL, own]


def test_a_client_code_that_is_the_word_needs_one_update() -> None:
    """Then both forms are the same path."""
    where = Endpoint(
        FetchConfig("http://x", "/rest/v1/profiles", "client", "agent"),
        SenderConfig("http://x", "agent"),
        LITERAL,
        LITERAL,
        LITERAL,
    )
    assert [form.is_configured for form in forms(where, LITERAL)] == [True]


def test_nothing_is_sent_for_a_visitor_that_target_does_not_know() -> None:
    """The update would vanish and cost a call; nor where the profile cannot be fetched, or without a call."""
    target = Target(LITERAL, known=False)
    with pytest.raises(RoundTripFailed, match="no profile of this visitor"):
        tripped(target, tried(LITERAL))

    async def broken(_: Visitor) -> Fetched:
        return Fetched(FetchOutcome.FAILED, reason="HTTP 500")

    with pytest.raises(RoundTripFailed, match="HTTP 500"):
        run(round_trip(ANN, tried(LITERAL), Method.AUTO, broken, target.send, None, 1.0))
    calls = Calls(-1.0, [])
    with pytest.raises(RoundTripFailed, match="lease"):
        run(round_trip(ANN, tried(LITERAL), Method.AUTO, Target().fetch, target.send, calls, 1.0))
    assert (target.sent, calls.taken) == ([], [2])
