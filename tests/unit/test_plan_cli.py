"""Mistakes that are found before anything is read."""

from io import StringIO

import pytest

from connector.cli import main
from connector.cli.plan_view import Progress
from connector.settings import describe


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings of the caller."""
    for doc in describe():
        monkeypatch.delenv(doc.name, raising=False)


def test_it_asks_only_for_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Planning needs no account, so no client code is required."""
    assert main(["plan"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPICS"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hours", "x"], "'x' is no number of hours from 1/60 (a minute) to 8784 (a year)"),
        (["--hours", "0"], "'0' is no number of hours"),
        (["--hours", "nan"], "'nan' is no number of hours"),
        (["--linger", "10s"], "'10s' is no number of seconds from 0 to 3600"),
        (["--linger", "-1"], "'-1' is no number of seconds"),
        (["--linger", "3601"], "'3601' is no number of seconds"),
        (["--linger"], "expected at least one argument"),
        (["--quota", "-1"], "'-1' is no number of updates from 0 (no quota) to 1000000000"),
        (["--quota", "1.5"], "'1.5' is no number of updates"),
        (["--quota", "9" * 5_000], "9…' is no number of updates"),
        (["--window", "0"], "'0' is no number of seconds from 1 to 31622400 (a year)"),
        (["--unknown-share", "2"], "'2' is no number from 0 to 1"),
        (["--unknown-share", "10%"], "'10%' is no number from 0 to 1"),
        (["--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_bad_options_are_bad_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A linger that the service would refuse is refused here too; the message has a unit and bounds."""
    assert main(["plan", *words]) == 2
    told = capsys.readouterr().err
    assert f"argument {words[0]}: " in told
    assert said in told


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_and_leaves_nothing_behind() -> None:
    """In a file it would be noise, and a line that stays would precede the report."""
    terminal, file = Terminal(), StringIO()
    for where in (terminal, file):
        progress = Progress(where, 4_000)
        progress.show(1_000)
        progress.show(2_000)
        progress.clear()
    assert terminal.getvalue() == "\r\x1b[K1,000 of 4,000 records (25%)\r\x1b[K"
    assert file.getvalue() == ""
