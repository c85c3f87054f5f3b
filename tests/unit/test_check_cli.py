"""What `connector check` prints, for a person and for an init container: lines, an exit code, and no secret."""

from contextlib import ExitStack

import pytest

from connector.cli.check import checks
from connector.settings import load
from tests.support.check import GOOD, SECRET, checked


def test_bad_settings_are_code_2_and_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A supervisor retries on 1, and need not on 2."""
    code, lines = checked(monkeypatch, capsys, {"KAFKA_TOPICS": "t", "KAFKA_SASL_PASSWORD": SECRET})
    assert code == 2
    assert all(line.startswith("failed   setting ") for line in lines)
    assert any("KAFKA_BOOTSTRAP_SERVERS: missing" in line for line in lines)
    assert SECRET not in "".join(lines)


def test_only_the_probe_sends_anything() -> None:
    """It costs a call of the quota, so it is on request; and every dependency names a check before it."""
    names: list[str] = []
    with ExitStack() as closing:
        for check in checks(load(GOOD), closing, probe=True):
            assert {*check.needs} <= {*names}
            names.append(check.name)
        assert len(names) == len(set(names))
        assert [check.name for check in checks(load(GOOD), closing, probe=False)] == names[:-1]
    assert names[-1] == "probe"
