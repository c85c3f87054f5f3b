"""What can be got wrong before anything is read."""

from io import StringIO

import pytest

from connector.cli import main
from connector.cli.plan_view import Progress
from connector.settings import describe


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests."""
    for doc in describe():
        monkeypatch.delenv(doc.name, raising=False)


def test_it_asks_only_for_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Who plans may not have an account yet, so nobody asks for its client code."""
    assert main(["plan"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPICS"]


@pytest.mark.parametrize(
    "words",
    [
        ["--hours", "0"],
        ["--hours", "nan"],
        ["--linger", "-1"],
        ["--linger", "3601"],
        ["--linger"],
        ["--quota", "-1"],
        ["--quota", "1.5"],
        ["--window", "0"],
        ["--format", "xml"],
    ],
)
def test_bad_options_are_bad_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A linger that the service would refuse is none to plan with."""
    assert main(["plan", *words]) == 2
    assert words[0] in capsys.readouterr().err


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_and_leaves_nothing_behind() -> None:
    """In a file or a mail it would be noise, and a line that stays would stand before the first of the report."""
    terminal, file = Terminal(), StringIO()
    for where in (terminal, file):
        progress = Progress(where, 4_000)
        progress.show(1_000)
        progress.show(2_000)
        progress.clear()
    assert terminal.getvalue() == "\r\x1b[K1,000 of 4,000 records (25%)\r\x1b[K"
    assert file.getvalue() == ""
