"""The probe is the one step of the check that costs a call: it must cost one, and say which path answers."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from connector.cli.check.findings import CheckFailed, Finding, State
from connector.cli.check.lease import LEASE_SECONDS, Leases
from connector.cli.check.target import TargetChecks
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Spend, encode
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.rules import PathForm
from connector.sandbox.server import SandboxConfig, SandboxTarget
from connector.settings import load
from connector.target.token_expiry import expiry_path, write_expiry
from tests.support.captured_logs import as_logged
from tests.support.ledger import EPOCH, FakeLedgerLog, FakeLedgerTopic
from tests.support.loopback import own_address
from tests.support.virtual_time import run

TERMS = QuotaPolicy(limit=4, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
LITERAL, CODE = "/m2/client/profile/update", "/m2/demo/profile/update"


def probed(
    config: SandboxConfig, ledger: FakeLedgerTopic | None = None, *, lasting: float = 0.0, **settings: str
) -> tuple[Sequence[Finding], int, int]:
    """What the probe reports of a sandbox, how many requests came, and how many profiles exist afterwards.

    `ledger`: the quota's, of 4 calls; `lasting`: seconds that seem to pass with each look at the clock.
    """

    async def main() -> tuple[Sequence[Finding], int, int]:
        target = SandboxTarget(replace(config, host=own_address()))
        looks = itertools.count()
        leases = None
        if ledger is not None:
            leases = Leases(TERMS, lambda: FakeLedgerLog(ledger), lambda: lasting * next(looks))
        await target.start()
        try:
            given = {
                "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
                "KAFKA_TOPICS": "t",
                "TARGET_CLIENT_CODE": "demo",
                "TARGET_BASE_URL": target.url,
                **settings,
            }
            checks = TargetChecks(load(given), leases)
            await checks.token()
            try:
                findings = await checks.probe()
            except CheckFailed as wrong:
                findings = [Finding(State.FAILED, "probe", wrong.detail, wrong.remedy)]
            return findings, target.endpoint.stats()["requests"], len(target.profiles)
        finally:
            await target.stop()

    return asyncio.run(main())


@pytest.mark.parametrize("path", [LITERAL, "/m2/{client_code}/profile/update"])
def test_a_path_that_answers_costs_one_call_and_makes_no_profile(path: str) -> None:
    """The sandbox creates no profile for an unknown visitor, as Target does not."""
    config = SandboxConfig(path=PathForm.EITHER, update_only=True)
    findings, requests, profiles = probed(config, TARGET_UPDATE_PATH=path)
    assert [finding.state for finding in findings] == [State.OK]
    assert path.replace("{client_code}", "demo") in findings[0].what
    assert (requests, profiles) == (1, 0)


def test_a_path_that_is_refused_is_held_against_the_other_known_one() -> None:
    """Which part of the path the server checks is unknown: the remedy is the variable and its right value."""
    findings, requests, _ = probed(SandboxConfig(path=PathForm.CODE))
    assert [(f.what, f.state) for f in findings] == [
        (f"probe of {LITERAL}", State.FAILED),
        (f"probe of {CODE}", State.OK),
    ]
    assert f"TARGET_UPDATE_PATH={CODE}" in findings[0].remedy
    assert requests == 2


def test_a_path_of_ones_own_is_held_against_both() -> None:
    """A typing error in it is the likeliest cause."""
    findings, requests, _ = probed(SandboxConfig(), TARGET_UPDATE_PATH="/m2/cleint/profile/update")
    assert [str(f.state) for f in findings] == ["failed", "ok", "failed"]
    assert LITERAL in findings[0].remedy
    assert requests == 3


def test_each_call_is_booked_before_it_is_sent_and_no_other() -> None:
    """Invariant: the quota counts every request of ours. A probe is one, and a second round one more."""
    ledger = FakeLedgerTopic()
    for path, used in ((LITERAL, 1), (LITERAL, 2)):
        findings, requests, _ = probed(SandboxConfig(), ledger, TARGET_UPDATE_PATH=path)
        assert (findings[0].state, requests, ledger.ledger.used) == (State.OK, 1, used)
    probed(SandboxConfig(path=PathForm.CODE), ledger)
    assert ledger.ledger.used == 4


def test_a_probe_without_a_free_call_is_not_sent() -> None:
    """A full window stays full, for the check as for a replica. Two forms of the path need two calls."""
    for before, sent in ((4, 0), (3, 1)):
        ledger = FakeLedgerTopic()
        ledger.values.append((encode(Spend(updates=before, counted=1e9)), EPOCH))
        findings, requests, _ = probed(SandboxConfig(path=PathForm.CODE), ledger)
        assert [str(finding.state) for finding in findings] == ["failed"]
        assert requests == sent
        assert "4 of the 4 calls of the window" in findings[0].detail
        assert "connector quota" in findings[0].remedy


def test_a_probe_whose_lease_is_over_is_not_sent() -> None:
    """A suspended machine may wake after the lease: others may have spent that call meanwhile."""
    findings, requests, _ = probed(SandboxConfig(), FakeLedgerTopic(), lasting=30.0)
    assert "lease" in findings[0].detail
    assert requests == 0


def test_a_ledger_that_does_not_answer_is_reported_in_time() -> None:
    """The whole check may take half a minute."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        topic.down = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(CheckFailed, match="no broker answers") as caught:
            await Leases(TERMS, lambda: FakeLedgerLog(topic), loop.time).take(1)
        assert loop.time() - began < LEASE_SECONDS + 15
        assert "QUOTA_UPDATES=0" in caught.value.remedy

    run(scenario())


def test_a_missing_token_is_named_and_never_shown(tmp_path: Path) -> None:
    """The likeliest cause of a 401, and the one text that must be in no line."""
    refused, *_ = probed(SandboxConfig(token="right-token"), TARGET_AUTH_TOKEN="wrong-token")
    assert refused[0].state is State.FAILED
    assert "token" in refused[0].detail
    assert "wrong-token" not in str(refused)
    file = tmp_path / "token"
    file.write_text("right-token\n")
    accepted, *_ = probed(SandboxConfig(token="right-token"), TARGET_AUTH_TOKEN_FILE=str(file))
    assert accepted[0].state is State.OK


def test_an_answer_in_no_known_form_is_a_warning() -> None:
    """A setting decides how it is classified, so the finding names that."""
    findings, *_ = probed(SandboxConfig(faults=(parse_fault("empty"),)))
    assert findings[0].state is State.WARNING
    assert "TARGET_UNCONFIRMED_SUCCESS" in findings[0].remedy


def test_an_endpoint_that_is_not_there_is_asked_once() -> None:
    """Other paths of a server that cannot be reached cannot be reached either."""
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "KAFKA_TOPICS": "t",
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": "http://127.0.0.1:9",
    }
    findings = asyncio.run(_probe(TargetChecks(load(given))))
    assert [f.state for f in findings] == [State.FAILED]


async def _probe(checks: TargetChecks) -> Sequence[Finding]:
    return await checks.probe()


@pytest.mark.parametrize(
    ("left", "state", "said"),
    [
        (30 * 86_400, State.OK, "can be read, ends "),
        (3_600, State.WARNING, "in 60 min"),
        (-3_600, State.FAILED, "ended "),
    ],
)
def test_the_end_of_a_token_is_told_where_it_is_known(tmp_path: Path, left: float, state: State, said: str) -> None:
    """One that has ended stops every update; one that was not renewed in time soon will."""
    file = tmp_path / "token"
    file.write_text("hidden-token")
    expiry_path(file).write_bytes(write_expiry("hidden-token", time.time() + left))
    given = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}
    (finding,) = asyncio.run(TargetChecks(load({**given, "TARGET_AUTH_TOKEN_FILE": str(file)})).token())
    assert finding.state is state
    assert said in finding.detail
    assert ("connector token" in finding.remedy) == (state is not State.OK)
    assert [as_logged(text) for text in (finding.detail, finding.remedy)] == [finding.detail, finding.remedy]


@pytest.mark.parametrize(
    ("path", "shown", "form"),
    [
        (LITERAL, LITERAL, "the form with the word client"),
        ("/m2/{client_code}/profile/update", CODE, "the form with the client code"),
        ("/gateway/update", "/gateway/update", "a form of your own"),
    ],
)
def test_the_path_that_is_set_is_named_with_what_would_prove_it(path: str, shown: str, form: str) -> None:
    """Nothing that is looked at here tells whether it is right, and a reader must not think so."""
    given = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}
    (finding,) = asyncio.run(_path(TargetChecks(load({**given, "TARGET_UPDATE_PATH": path}))))
    assert finding.state is State.OK
    assert finding.detail.startswith(f"{shown}, {form}")
    assert "connector verify --round-trip" in finding.detail


async def _path(checks: TargetChecks) -> Sequence[Finding]:
    return await checks.path()


def test_an_unreadable_token_file_is_named_by_its_path(tmp_path: Path) -> None:
    """The service would refuse to start; here it is one finding beside the others."""

    async def token(**settings: str) -> Sequence[Finding]:
        given = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}
        return await TargetChecks(load({**given, **settings})).token()

    missing = tmp_path / "missing"
    with pytest.raises(CheckFailed) as caught:
        asyncio.run(token(TARGET_AUTH_TOKEN_FILE=str(missing)))
    assert str(missing) in caught.value.detail
    assert asyncio.run(token())[0].state is State.OK
    assert "hidden-token" not in str(asyncio.run(token(TARGET_AUTH_TOKEN="hidden-token")))
