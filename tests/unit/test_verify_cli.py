"""What `connector verify` refuses before it reads anything: in words, with exit code 2."""

from pathlib import Path

import pytest

from connector.cli import main
from tests.support.check import GOOD


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sample", "0"], "'0' is no number of visitors from 1 to 5000"),
        (["--per-minute", "41"], "'41' is no number of fetches from 1 to 40"),
        (["--hours", "0"], "'0' is no number of hours"),
        (["--delay", "-1"], "'-1' is no number of hours"),
        (["--round-trip", "123"], "names no visitor: write mbox3rdPartyId:ID or pcId:ID"),
        (["--round-trip", "pcId:"], "names no visitor"),
        (["--round-trip", "pcId:1", "--visitor", "1"], "not allowed with argument"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Target serves 40 fetches a minute to all clients together."""
    assert main(["verify", *options]) == 2
    assert words in capsys.readouterr().err


def test_wrong_settings_and_a_missing_folder_are_told_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Eight minutes of fetches before a file that cannot be written would be wasted."""
    assert main(["verify"]) == 2
    assert "KAFKA_BOOTSTRAP_SERVERS: missing" in capsys.readouterr().err
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", "--textfile", str(tmp_path / "not" / "there")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_help_has_an_example_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A CronJob is written by it."""
    assert main(["verify", "--help"]) == 0
    out = capsys.readouterr().out
    assert "connector verify --round-trip mbox3rdPartyId:test-visitor" in out
    assert "3: too few could be judged" in out
