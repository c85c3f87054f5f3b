"""What can be got wrong before anything is read."""

import pytest

from connector.cli import main
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
