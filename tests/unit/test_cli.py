"""The program's frame: what a person who types something, right or wrong, gets to read, and which exit code."""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from connector import __version__
from connector.cli import COMMANDS, main
from connector.cli.settings import print_mistakes
from connector.sandbox.broker import EmbeddedBroker
from connector.settings import BadSettings, describe, json_schema, load, markdown
from tests.support.process import Program, environment

ROOT = Path(__file__).parents[2]
PRODUCE = ["produce", '{"pcId": "1", "profile": {"a": 1}}']


def program(*words: str, script: str = "from connector.cli import main; import sys; sys.exit(main())") -> list[str]:
    """The command line of the program in a process of its own."""
    return [sys.executable, "-c", script, *words]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_command_it_says_what_there_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The first contact: all commands with a line each, and something to type next."""
    assert main(words) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert any(line.split()[:1] == [command.name] and line.endswith(command.summary) for line in out.splitlines())
    assert "example:\n  connector demo\n" in out
    assert "connector COMMAND --help" in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """It is written in one place, from which the build, the chart and the release take it."""
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
def test_an_unknown_command_is_told_with_the_nearest(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is bad usage, code 2, and one line."""
    assert main([word]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"connector: '{word}' is not a command; {hint}")


def test_bad_options_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2 as for bad settings, so that a supervisor need not try again."""
    assert main(["settings", "--format", "xml"]) == 2
    assert main(["--nonsense"]) == 2
    assert "invalid choice: 'xml'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An example is read before any option."""
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "example" in out
    assert f"connector {command}" in out.split("example", 1)[1]


@pytest.mark.parametrize("words", [["quota", "spend"], ["dlq", "list"], ["dlq", "replay"]], ids=" ".join)
def test_so_has_every_command_of_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be taken back is read about before, on the page of that very command."""
    assert main([*words, "--help"]) == 0
    assert f"\nexample:\n  connector {' '.join(words)} " in capsys.readouterr().out


def test_settings_are_a_plain_table_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped into a file or a mail it must stay readable: no colour codes, at most 100 columns, nothing cut off."""
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
    """How `docs/settings.md` is made."""
    assert main(["settings", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == markdown()


def test_mistakes_are_printed_one_a_line() -> None:
    """What `connector run` shows for bad settings."""
    out = StringIO()
    with pytest.raises(BadSettings) as caught:
        load({"KAFKA_TOPIC": "x"})
    print_mistakes(caught.value, out)
    assert out.getvalue().splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    assert out.getvalue().endswith("KAFKA_TOPIC: not a setting; did you mean KAFKA_TOPICS?\n")


def test_python_dash_m_is_the_same_program() -> None:
    """Where scripts are not on the PATH; bare `settings` loads no client, and is plain also where CI forces colours."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "connector", "settings"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "FORCE_COLOR": "1"},
    )
    assert "KAFKA_TOPICS" in done.stdout
    assert "connector.settings" in done.stderr
    assert "\x1b" not in done.stdout
    assert "confluent_kafka" not in done.stderr
    assert "aiohttp" not in done.stderr


def test_importing_the_main_module_starts_nothing() -> None:
    """A child process of multiprocessing imports it again; that must not be a second run."""
    assert importlib.import_module("connector.__main__").main is main


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    """`connector settings | head` must not end in a traceback."""
    for words in (["settings"], ["settings", "--format", "json"], ["settings", "--format", "markdown"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(program(*words), stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN, this system has no /dev/full")
@pytest.mark.parametrize("words", [["settings"], ["settings", "--format", "json"], ["check"]], ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_code_1(words: list[str]) -> None:
    """A full disk is the caller's to mend: a traceback would send its reader into our code."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(program(*words), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"connector: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "words", [["plan"], ["dlq", "list"], ["dlq", "replay", "--yes"], ["check"], ["quota"], PRODUCE], ids=" ".join
)
def test_a_signal_ends_a_command_that_waits_for_kafka(
    words: list[str], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Without a handler a container's first process ignores SIGTERM, and in one long call the client holds both back.

    The broker here takes connections and never says a word: such a call would last ten seconds and more.
    """
    with ExitStack() as open_:
        silent = open_.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(60)

        def heard() -> bytes:
            return open_.enter_context(silent.accept()[0]).recv(1)

        settings = environment(f"127.0.0.1:{silent.getsockname()[1]}", "t", "http://127.0.0.1:9", QUOTA_UPDATES="9")
        running = open_.enter_context(Program(tmp_path, words, settings))
        while not heard():
            pass  # `check` first looks whether the port answers, without a word.
        began = time.monotonic()
        running.interrupt() if number is signal.SIGINT else running.terminate()
        assert running.wait(60) == code
        assert time.monotonic() - began < 5
        assert running.stderr == ""


def test_sigterm_has_a_handler_while_a_command_runs_and_the_old_one_after_it() -> None:
    """The kernel asks for one before it gives a container's first process the signal; a caller's stays its own."""
    before = signal.getsignal(signal.SIGTERM)
    assert main(["settings"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "words", [["run"], ["check"], ["plan"], ["dlq", "list"], ["dlq", "replay", "--yes"], PRODUCE], ids=" ".join
)
def test_no_kafka_client_writes_past_the_log(words: list[str], tmp_path: Path) -> None:
    """By itself each writes to stderr, in a form of its own and without redaction: no JSON, and perhaps a secret."""
    talk = {"LOG_LEVEL": "debug", "KAFKA_PROPERTIES": '{"debug": "all"}', "KAFKA_GROUP_PROTOCOL": "consumer"}
    with EmbeddedBroker() as broker:
        broker.create_topic("t")
        settings = environment(broker.bootstrap, "t", "http://127.0.0.1:9", **talk)
        with Program(tmp_path, words, settings) as running:
            if words == ["run"]:
                running.until(lambda: "INIT" in running.stdout, "the client's own lines are in the log")
                running.until(lambda: "partitions_assigned" in running.stdout, "it is at work")
                assert running.stop() == 0
                assert [line for line in running.stdout.splitlines() if not isinstance(json.loads(line), dict)] == []
            else:
                running.wait(120)
            assert "%7|" not in running.stderr


COMMAND_THAT_FAILS = """
import sys
from types import ModuleType
from connector import cli

def run(args):
    raise {error}

module = ModuleType("connector.cli.settings")
module.run = run
module.add_parser = lambda subparsers: subparsers.add_parser("settings")
sys.modules["connector.cli.settings"] = module
sys.exit(cli.main(["settings"]))
"""


def test_an_interrupt_has_no_traceback() -> None:
    """Ctrl-C is a wish and no error: code 130, as a shell counts it, and silence."""
    done = subprocess.run(
        program(script=COMMAND_THAT_FAILS.format(error="KeyboardInterrupt")), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_broken_pipe_elsewhere_is_not_hidden() -> None:
    """A socket breaks with the same exception as our output; only the latter may end quietly."""
    done = subprocess.run(
        program(script=COMMAND_THAT_FAILS.format(error="BrokenPipeError")), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"BrokenPipeError" in done.stderr
