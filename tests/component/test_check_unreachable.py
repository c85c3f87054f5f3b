"""What `connector check` prints where neither Kafka nor Target can be reached."""

import json

import pytest

from tests.support.check import GOOD, SECRET, checked


def test_what_is_unreachable_is_code_1_and_what_rests_on_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line begins with its state, so that `grep ^failed` lists what to fix."""
    login = {
        "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": SECRET,
        "TARGET_AUTH_TOKEN": SECRET,
    }
    code, lines = checked(monkeypatch, capsys, {**GOOD, **login})
    assert code == 1
    assert [line.split(":")[0] for line in lines if line.startswith("failed")] == [
        "failed   kafka 127.0.0.1",
        "failed   target 127.0.0.1",
    ]
    assert all(" -> " in line for line in lines if line.startswith("failed"))
    skipped = [line for line in lines if line.startswith("skipped")]
    assert any("topics: because kafka servers failed" in line for line in skipped)
    assert any("login: because TCP failed" in line for line in skipped)
    assert SECRET not in "".join(lines)


def test_json_is_an_object_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As the log of the service, so that the same collector reads it."""
    code, lines = checked(monkeypatch, capsys, GOOD, "--format", "json")
    assert code == 1
    said = [json.loads(line) for line in lines]
    assert all(line.keys() == {"state", "check", "detail", "remedy"} for line in said)
    assert said[0] == {"state": "ok", "check": "settings", "detail": said[0]["detail"], "remedy": ""}
    assert {line["state"] for line in said} == {"ok", "failed", "skipped"}
