"""The command line: its output and exit code for right and wrong input."""

import importlib
import json
import signal
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from connector import __version__
from connector.cli import COMMANDS, main
from connector.cli.settings import print_mistakes
from connector.settings import BadSettings, describe, json_schema, load, markdown

ROOT = Path(__file__).parents[2]
PRODUCE = ["produce", '{"pcId": "1", "profile": {"a": 1}}']


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_command_it_lists_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """For a new user: all commands with a line each, and an example to type next."""
    assert main(words) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert any(line.split()[:1] == [command.name] and line.endswith(command.summary) for line in out.splitlines())
    assert "example:\n  connector demo\n" in out
    assert "connector COMMAND --help" in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """It is defined once; the build, the chart and the release read it there."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"connector {__version__}\n"
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    assert "version" in project["dynamic"]
    assert document["tool"]["hatch"]["version"] == {"path": "connector/__init__.py"}
    assert project["scripts"] == {"connector": "connector.cli:main"}


@pytest.mark.parametrize(
    ("word", "hint"),
    [("setings", "did you mean settings?"), ("rum", "did you mean run?"), ("zzz", "there are run, demo, ")],
)
def test_an_unknown_command_gets_the_nearest(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is bad usage, code 2, and one line."""
    assert main([word]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"connector: '{word}' is not a command; {hint}")


def test_bad_options_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2 as for bad settings, so that a supervisor need not retry."""
    assert main(["settings", "--format", "xml"]) == 2
    assert main(["--nonsense"]) == 2
    assert "invalid choice: 'xml'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "hint"),
    [
        ("--events", "0", "'0' is no whole number from 1 to 1000000000"),
        ("--visitors", "-1", "'-1' is no whole number from 1 to 1000000000"),
        ("--events", "many", "'many' is no whole number from 1 to 1000000000"),
        ("--seed", "x", "'x' is no whole number, 0 or more"),
        ("--format", "xml", "invalid choice: 'xml'"),
    ],
)
def test_a_demo_that_cannot_be_asked_for_is_bad_usage(
    option: str, text: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2, the option's name and what it takes, before anything is started."""
    assert main(["demo", option, text]) == 2
    said = capsys.readouterr()
    assert f"argument {option}: {hint}" in said.err
    assert said.out == ""


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An example is read before any option."""
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "example" in out
    assert f"connector {command}" in out.split("example", 1)[1]


@pytest.mark.parametrize("words", [["quota", "spend"], ["dlq", "list"], ["dlq", "replay"]], ids=" ".join)
def test_so_has_every_command_of_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An irreversible command is explained before, on its own page."""
    assert main([*words, "--help"]) == 0
    assert f"\nexample:\n  connector {' '.join(words)} " in capsys.readouterr().out


def test_settings_are_a_plain_table_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In a file or a mail it must stay readable: no colour codes, at most 100 columns, nothing cut off."""
    assert main(["settings"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out
    firsts = [line.split()[0] for line in out.splitlines() if line.split() and line[:2].strip()]
    assert [name for name in firsts if name.isupper()] == [doc.name for doc in describe()]


def test_settings_are_a_schema_for_tools(capsys: pytest.CaptureFixture[str]) -> None:
    """An editor or a chart reads this and nothing around it."""
    assert main(["settings", "--format", "json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == json_schema()
    Draft202012Validator.check_schema(schema)


def test_settings_are_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """`docs/settings.md` is generated from it."""
    assert main(["settings", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == markdown()


def test_mistakes_are_printed_one_a_line() -> None:
    """The output of `connector run` for bad settings."""
    out = StringIO()
    with pytest.raises(BadSettings) as caught:
        load({"KAFKA_TOPIC": "x"})
    print_mistakes(caught.value, out)
    assert out.getvalue().splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    assert out.getvalue().endswith("KAFKA_TOPIC: not a setting; did you mean KAFKA_TOPICS?\n")


def test_importing_the_main_module_starts_nothing() -> None:
    """A child process of multiprocessing imports it again; that must not run the program."""
    assert importlib.import_module("connector.__main__").main is main


def test_sigterm_has_a_handler_while_a_command_runs_and_the_old_one_after_it() -> None:
    """A container's first process gets the signal only with a handler; the caller's own is restored."""
    before = signal.getsignal(signal.SIGTERM)
    assert main(["settings"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
