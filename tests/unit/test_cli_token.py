"""`connector token` on the command line: which settings it asks for, and what it prints of what came of it."""

from pathlib import Path

import pytest

from connector.cli import main
from connector.cli.token import NAMES
from connector.settings import BadSettings, load_part

OWN = {
    "TARGET_TENANT": "acme",
    "TARGET_TOKEN_CLIENT_ID": "0a1b2c",
    "TARGET_TOKEN_CLIENT_SECRET": "p8e-hidden",
    # A port on which nobody listens: what passes the settings must not reach the network.
    "TARGET_TOKEN_IMS_URL": "http://127.0.0.1:9/ims/token/v3",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Only these settings."""
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_each_setting_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """In one go, with what it is; and none of those that only the service needs."""
    assert main(["token", "--check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "TARGET_TENANT",
        "TARGET_TOKEN_CLIENT_ID",
        "TARGET_TOKEN_CLIENT_SECRET",
    ]
    assert all(": missing; " in line for line in lines)


def test_a_file_takes_the_place_of_the_secret_and_an_address_that_of_the_tenant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then neither is missing."""
    monkeypatch.setenv("TARGET_TOKEN_CLIENT_SECRET_FILE", "/run/secrets/client")
    monkeypatch.setenv("TARGET_TOKEN_URL", "https://proxy/acme/token")
    assert main(["token", "--check"]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["TARGET_TOKEN_CLIENT_ID"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"TARGET_TENANT": "a/b"}, "TARGET_TENANT: "),
        ({"TARGET_TOKEN_CLIENT_ID": "a b"}, "TARGET_TOKEN_CLIENT_ID: "),
        ({"TARGET_TOKEN_CLIENT_SECRET": "p8e hidden"}, "TARGET_TOKEN_CLIENT_SECRET: was ***: it holds a space"),
        ({"TARGET_TOKEN_CLIENT_SECRET_FILE": "/x"}, "TARGET_TOKEN_CLIENT_SECRET_FILE is set too: set only one"),
        ({"TARGET_TOKEN_URL": "https://mc.adobe.io/{client_code}/token"}, "braces that are not {tenant}"),
        ({"TARGET_TOKEN_IMS_URL": "https://me:hidden@ims/token"}, "TARGET_TOKEN_IMS_URL: was ***: it holds a user"),
        ({"TARGET_TOKEN_SCOPE": "a, b"}, "TARGET_TOKEN_SCOPE: "),
        ({"TARGET_TIMEOUT_SECONDS": "0"}, "TARGET_TIMEOUT_SECONDS: "),
        ({"TARGET_TOKEN_CLIENTID": "x"}, "did you mean TARGET_TOKEN_CLIENT_ID?"),
    ],
)
def test_a_wrong_setting_is_code_2_and_shows_no_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, str], said: str
) -> None:
    """As of the service's settings."""
    for name, value in given.items():
        environment.setenv(name, value)
    assert main(["token", "--check"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "hidden" not in printed.err + printed.out


def test_what_only_the_service_reads_is_not_looked_at() -> None:
    """A CronJob may share variables with the service, of which some make sense only together with others."""
    environ = {**OWN, "KAFKA_SASL_PASSWORD": "hush", "KAFKA_TOPICS": "a b", "QUOTA_UPDATES": "many"}
    settings = load_part(environ, NAMES, ["TARGET_TENANT"])
    assert settings.target_tenant == "acme"
    assert settings.token_url.startswith("https://mc.adobe.io/acme/target/authentication/token?")
    with pytest.raises(BadSettings, match="TARGET_TOKEN_SCOPE: missing"):
        load_part(environ, NAMES, ["TARGET_TOKEN_SCOPE"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["token"], "one of the arguments --file --secret --check is required"),
        (["token", "--check", "--file", "x"], "not allowed with argument"),
        (["token", "--file", "x", "--secret", "x"], "not allowed with argument"),
        (["token", "--secret", "a/../b"], "is no name of a Secret"),
        (["token", "--check", "--renew-before", "week"], "'week' is no number of seconds"),
        (["token", "--check", "--renew-before", "-1"], "is no number of seconds"),
    ],
)
def test_bad_usage_is_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A place that is missing, and two of them."""
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_outside_of_a_pod_a_secret_cannot_be_written(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is asked for."""
    environment.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["token", "--secret", "target-token"]) == 2
    assert "--file" in capsys.readouterr().err


def test_a_client_secret_s_file_that_cannot_be_read_is_code_1(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It may be there at the next run."""
    environment.delenv("TARGET_TOKEN_CLIENT_SECRET")
    environment.setenv("TARGET_TOKEN_CLIENT_SECRET_FILE", str(tmp_path / "nothing"))
    assert main(["token", "--check"]) == 1
    assert capsys.readouterr().err.startswith(f"token: the client secret file {tmp_path}/nothing cannot be read: ")
