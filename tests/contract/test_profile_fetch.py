"""The profile fetch against the sandbox over HTTP: what is asked, and how each answer is read."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.events.change import Visitor
from connector.sandbox.config import SandboxConfig
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.rules import Visitor as Named
from connector.sandbox.server import SandboxTarget
from connector.target.profile import PROFILES_PATH, Fetched, FetchOutcome
from connector.target.profile_fetch import FetchConfig, ProfileFetcher
from connector.target.token import FileToken, FixedToken
from tests.support.hostile_server import Behaviour, HostileServer, answer, hangs, says, says_and_hangs_up
from tests.support.loopback import own_address

ANN = Visitor("mbox3rdPartyId", "ann")
SECRET = "visitor-4711"
CONFIG = FetchConfig(origin="", path=PROFILES_PATH, client_code="demo", user_agent="target-profile-connector/1.2.3")

Scenario = Callable[[ProfileFetcher, SandboxTarget], Awaitable[None]]


def against(scenario: Scenario, sandbox: SandboxConfig | None = None, config: FetchConfig = CONFIG) -> None:
    """Run it with a fetcher of a sandbox."""

    async def main() -> None:
        target = SandboxTarget(replace(sandbox or SandboxConfig(), host=own_address()))
        await target.start()
        try:
            async with ProfileFetcher(replace(config, origin=target.url)) as fetcher:
                await scenario(fetcher, target)
        finally:
            await target.stop()

    asyncio.run(main())


@pytest.mark.parametrize("visitor_id", ["ann", "a/b", "100%", "a b+c", "é😀", "?x=1&y#z", "..", "thirdPartyId"])
def test_a_profile_is_fetched_by_either_kind_of_id(visitor_id: str) -> None:
    """Any id that customers choose; values, `user.` attributes and times with an offset arrive as they are."""

    async def scenario(fetcher: ProfileFetcher, target: SandboxTarget) -> None:
        for kind, named in (("mbox3rdPartyId", "mbox3rdPartyId"), ("pcId", "mboxPC")):
            now = target.endpoint.now()
            target.profiles.visit(Named(named, visitor_id), now, {"user.score": "7"})
            target.profiles.update(Named(named, visitor_id), {"by": kind, "text": "ü & +"}, now)
            found = await fetcher.fetch(Visitor(kind, visitor_id))
            assert found.profile is not None
            held = found.profile.attributes
            assert {name: each.value for name, each in held.items()} == {"user.score": "7", "by": kind, "text": "ü & +"}
            assert held["by"].modified_at == pytest.approx(now, abs=0.002)
            assert found.profile.modified_at == held["by"].modified_at
        assert target.journal.requests == 0, "a fetch is no update"

    against(scenario, SandboxConfig(utc_offset_minutes=-240))


def test_no_profile_is_an_answer_and_a_fault_is_none() -> None:
    """Unknown and expired visitors look alike; what is throttled is told how long to wait."""

    async def scenario(fetcher: ProfileFetcher, _: SandboxTarget) -> None:
        outcomes = [await fetcher.fetch(ANN) for _ in range(4)]
        assert [each.outcome for each in outcomes] == [
            FetchOutcome.FAILED,
            FetchOutcome.THROTTLED,
            FetchOutcome.UNKNOWN,
            FetchOutcome.THROTTLED,
        ]
        assert outcomes[1].retry_after == 7.0

    faults = tuple(map(parse_fault, ("fetch=500,limit=1", "fetch=503,limit=1,retry_after=7")))
    against(scenario, SandboxConfig(faults=faults, fetch_quota=parse_fault("quota=3/60")))


def test_the_token_is_that_of_the_updates(tmp_path: Path) -> None:
    """A refused one is looked for again at once, as the sender does."""
    file = tmp_path / "token"
    file.write_text("old")
    token = FileToken(file, lambda: 0.0, lambda _: None)

    async def scenario(fetcher: ProfileFetcher, _: SandboxTarget) -> None:
        file.write_text("right")
        assert (await fetcher.fetch(ANN)).outcome is FetchOutcome.UNAUTHORIZED
        assert (await fetcher.fetch(ANN)).outcome is FetchOutcome.UNKNOWN

    against(scenario, SandboxConfig(token="right"), replace(CONFIG, token=token))


async def _fetch(server: HostileServer, config: FetchConfig) -> Fetched:
    async with ProfileFetcher(replace(config, origin=server.origin)) as fetcher:
        return await fetcher.fetch(Visitor("mbox3rdPartyId", SECRET))


def test_the_request_is_a_plain_get() -> None:
    """No cookie, no compression, nothing but what the endpoint needs; the id stands in the address alone."""

    async def main() -> None:
        async with HostileServer([says(answer(200, b'{"client": "demo"}'))]) as server:
            found = await _fetch(server, replace(CONFIG, token=FixedToken("t")))
            assert found.outcome is FetchOutcome.FOUND
            (received,) = server.received
            assert received.line == f"GET {PROFILES_PATH}/thirdPartyId/{SECRET}?client=demo HTTP/1.1"
            assert received.headers == {
                "host": server.origin.removeprefix("http://"),
                "user-agent": "target-profile-connector/1.2.3",
                "accept-encoding": "identity",
                "accept": "*/*",
                "authorization": "Bearer t",
            }

    asyncio.run(main())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hangs, "no whole answer in TARGET_TIMEOUT_SECONDS"),
        (says(b"nonsense"), "no whole answer in TARGET_TIMEOUT_SECONDS, or one that broke off"),
        (says(answer(302, b"", "Location: /elsewhere")), "a redirect, which is never followed"),
        (says(answer(200, b"<html>login</html>")), "HTTP 200 without a profile"),
    ],
)
def test_a_broken_answer_is_a_failure_that_names_no_one(behaviour: Behaviour, words: str) -> None:
    """The id stands in the address, and the address in the errors of libraries."""

    async def main() -> None:
        async with HostileServer([behaviour]) as server:
            found = await _fetch(server, replace(CONFIG, timeout_seconds=0.3))
        assert found.outcome is FetchOutcome.FAILED
        assert words in found.reason
        assert SECRET not in found.reason

    asyncio.run(main())


def test_a_plain_proxy_gets_the_whole_address_and_its_password() -> None:
    """For an http:// endpoint the proxy is the peer."""

    async def main() -> None:
        async with HostileServer([says(answer(200, b'{"client": "demo"}'))]) as proxy:
            address = proxy.origin.replace("//", "//user:pass%20word@")
            config = replace(CONFIG, origin="http://target.invalid", proxy=address)
            async with ProfileFetcher(config) as fetcher:
                assert (await fetcher.fetch(ANN)).outcome is FetchOutcome.FOUND
            (received,) = proxy.received
            assert received.line.startswith(f"GET http://target.invalid{PROFILES_PATH}/thirdPartyId/ann?")
            assert received.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="

    asyncio.run(main())


def test_a_proxy_of_a_tunnel_sees_neither_the_token_nor_the_visitor() -> None:
    """It gets its own password, and the name of the endpoint."""

    async def main() -> None:
        async with HostileServer([says_and_hangs_up(answer(407, b""))]) as proxy:
            address = proxy.origin.replace("//", "//user:word@")
            config = replace(CONFIG, origin="https://target.invalid", proxy=address, token=FixedToken("hidden"))
            async with ProfileFetcher(config) as fetcher:
                found = await fetcher.fetch(Visitor("mbox3rdPartyId", SECRET))
            assert (found.outcome, "HTTPS_PROXY" in found.reason) == (FetchOutcome.FAILED, True)
            (received,) = proxy.received
            assert received.line == "CONNECT target.invalid:443 HTTP/1.1"
            assert received.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"
            assert "hidden" not in str(proxy.received)
            assert SECRET not in str(proxy.received)

    asyncio.run(main())
