"""`connector token` before the sandbox's token services, over real sockets: what it does, prints, and never prints."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli import main
from connector.sandbox.config import SandboxConfig, TokenServiceConfig
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.server import SandboxTarget
from tests.component.test_sandbox_server import Client, serving

UPDATE = "/m2/client/profile/update?mbox3rdPartyId=ann&profile.tier=gold"
DAY = 86_400.0


class Account:
    """A sandbox with token services, and this process's settings for it."""

    def __init__(self, target: SandboxTarget, config: TokenServiceConfig, folder: Path) -> None:
        self.target = target
        self.file = folder / "token"
        self.settings = {
            "TARGET_TENANT": config.tenant,
            "TARGET_TOKEN_CLIENT_ID": config.client_id,
            "TARGET_TOKEN_CLIENT_SECRET": config.client_secret,
            "TARGET_TOKEN_IMS_URL": f"{target.url}/ims/token/v3",
            "TARGET_TOKEN_URL": f"{target.url}/{{tenant}}/target/authentication/token?authorizationScope=profile_api",
        }
        self.client = Client(target.port)

    @property
    def counts(self) -> dict[str, float]:
        """What the services were asked."""
        counts: dict[str, float] = self.client.ask("/sandbox/token-service").json
        return counts

    def update(self, token: str) -> int:
        """The status of an update with this token."""
        return self.client.ask(UPDATE, headers={"Authorization": f"Bearer {token}"}).status


@pytest.fixture
def account(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """By the parameters of the test: faults of the services."""
    faults = tuple(parse_fault(text) for text in getattr(request, "param", ()))
    config = TokenServiceConfig(90 * DAY, faults=faults)
    with serving(SandboxConfig(token_service=config)) as target:
        account = Account(target, config, tmp_path)
        for name, value in account.settings.items():
            monkeypatch.setenv(name, value)
        yield account


def test_a_token_is_made_kept_and_renewed(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole life of one: each is taken by the endpoint until the next one ends it."""
    assert account.update("anything") == 401
    assert main(["token", "--check"]) == 1
    assert main(["token", "--file", str(account.file)]) == 0
    first = account.file.read_text().strip()
    assert account.update(first) == 200
    assert main(["token", "--file", str(account.file)]) == 0
    assert main(["token", "--check"]) == 0
    assert account.file.read_text().strip() == first
    assert account.counts["post"] == 1
    assert main(["token", "--file", str(account.file), "--renew-before", str(91 * DAY)]) == 0
    second = account.file.read_text().strip()
    assert (account.update(first), account.update(second)) == (401, 200)
    said = capsys.readouterr()
    assert [line.split("; ")[1:] for line in said.out.splitlines()] == [
        ["made now", f"written to {account.file}"],
        ["kept", f"unchanged in {account.file}"],
        [],
        ["made now", f"written to {account.file}"],
    ]
    assert "for 90 days" in said.out
    assert said.err.splitlines() == [
        "token: the account has no profile token; run `connector token` without --check, which makes one",
        "token: the new token ends within --renew-before, so each run makes another: set it lower",
    ]
    secret = account.settings["TARGET_TOKEN_CLIENT_SECRET"]
    assert not any(word in said.out + said.err for word in (first, second, secret))


def test_for_a_program_it_is_one_object(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """With the end as a moment and as seconds."""
    assert main(["token", "--file", str(account.file), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["written"]) == (True, True)
    assert told["expires_seconds"] == pytest.approx(90 * DAY, abs=60)
    assert json.loads(account.file.with_name("token.expires").read_text())["expires"] == told["expires"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TARGET_TOKEN_CLIENT_SECRET", "wrong", "invalid_client; look at TARGET_TOKEN_CLIENT_ID and"),
        ("TARGET_TOKEN_SCOPE", "openid", "invalid_scope; set TARGET_TOKEN_SCOPE"),
        ("TARGET_TENANT", "another", "HTTP 403: the credential may not have this organisation's token; TARGET_TENANT"),
        (
            "TARGET_TOKEN_URL",
            "{url}/sandbox-tenant/target/authentication/token?scope=profile_api",
            "HTTP 400, which is not known of it; look at TARGET_TOKEN_URL",
        ),
        ("TARGET_TOKEN_IMS_URL", "{url}/nothing", "IMS refused"),
    ],
)
def test_a_wrong_setting_is_told_with_its_remedy(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    name: str, value: str, said: str,
) -> None:  # fmt: skip
    """Nothing is stored, and no token made."""
    monkeypatch.setenv(name, value.format(url=account.target.url))
    assert main(["token", "--file", str(account.file)]) == 1
    assert said in capsys.readouterr().err
    assert not account.file.exists()
    assert account.counts["post"] == 0


@pytest.mark.parametrize(
    "account", [["lost_answer,visitors=post,limit=1", "status=503,visitors=get,limit=1"]], indirect=True
)
def test_an_answer_that_is_lost_on_the_wire_costs_a_look(account: Account) -> None:
    """One token is made, and it is the one that is stored."""
    assert main(["token", "--file", str(account.file)]) == 0
    assert account.update(account.file.read_text().strip()) == 200
    assert account.counts["post"] == 1


def test_it_goes_through_the_proxy_of_the_environment(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the service does: a name that only the proxy could look up is no failure of ours."""
    monkeypatch.setenv("TARGET_TOKEN_IMS_URL", "http://ims.invalid/ims/token/v3")
    monkeypatch.setenv("HTTP_PROXY", account.target.url.replace("://", "://me:hidden@"))
    assert main(["token", "--check"]) == 1
    said = capsys.readouterr().err
    # The sandbox is no proxy: to it this is an update, without a token.
    assert said.startswith("token: IMS refused the credentials: HTTP 403")
    assert "hidden" not in said
    assert account.client.stats()["requests"] == 1


def test_more_than_fifty_calls_a_minute_are_refused(account: Account) -> None:
    """The documented limit, which a loop around the command would meet."""
    statuses = [account.client.ask("/sandbox-tenant/target/authentication/token").status for _ in range(51)]
    assert (statuses[:50], statuses[50]) == ([401] * 50, 429)


def test_a_token_that_was_set_by_hand_has_no_end_and_is_kept(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of Target's administration: ending it would stop the client that uses it."""
    account.client.ask("/sandbox/token", "PUT", json.dumps({"token": "by-hand"}))
    assert main(["token", "--file", str(account.file)]) == 0
    assert capsys.readouterr().out == f"token: its end is not told; kept; written to {account.file}\n"
    assert account.file.read_text() == "by-hand\n"


def test_a_token_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates with it are refused from then on, and the service says that there is none."""
    config = TokenServiceConfig(0.3)
    with serving(SandboxConfig(token="first", token_service=config)) as target:
        account = Account(target, config, tmp_path)
        for name, value in account.settings.items():
            monkeypatch.setenv(name, value)
        assert account.update("first") == 200
        deadline = time.monotonic() + 5
        while account.update("first") != 401:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert main(["token", "--check"]) == 1
