"""The program in a process of its own: its streams, its signals, and its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from connector.sandbox.broker import EmbeddedBroker
from tests.support.process import Command, Program, environment

PRODUCE = ["produce", '{"pcId": "1", "profile": {"a": 1}}']


def program(*words: str, script: str = "from connector.cli import main; import sys; sys.exit(main())") -> list[str]:
    """The command line of the program in a process of its own."""
    return [sys.executable, "-c", script, *words]


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


@pytest.mark.parametrize("words", [["settings", "--format", "json"], ["produce"]], ids=" ".join)
def test_a_fork_is_what_users_start(words: list[str], tmp_path: Path) -> None:
    """Most tests start the program as a fork of a process that has loaded it: output and code must not differ."""
    wrong = {"KAFKA_TOPICS": "t", "KAFKA_BOOTSTRAP_SERVERS": "nowhere"}
    with Program(tmp_path, words, wrong) as users, Command(tmp_path, words, wrong) as ours:
        assert users.wait() == ours.wait()
        assert (users.stdout, users.stderr) == (ours.stdout, ours.stderr)
        assert ours.stdout + ours.stderr


def test_a_fork_is_frozen_and_killed_as_any_process(tmp_path: Path) -> None:
    """A frozen one does not end by SIGTERM until it is resumed, and a killed one ends by that signal."""
    with ExitStack() as open_:
        frozen, killed = (open_.enter_context(Command(tmp_path, ["sandbox", "--port", "0"], {})) for _ in range(2))
        frozen.until(lambda: frozen.stdout, "it says where it is")
        frozen.freeze()
        frozen.terminate()
        killed.kill9()
        assert (frozen.exit_code, killed.exit_code) == (None, -signal.SIGKILL)
        frozen.thaw()
        assert frozen.wait() == 0


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
    """A full disk is for the caller to fix: a traceback would point to our code."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(program(*words), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"connector: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (["plan"], signal.SIGINT, 130),
        (["plan"], signal.SIGTERM, 143),
        (["dlq", "list"], signal.SIGINT, 130),
        (["dlq", "replay", "--yes"], signal.SIGTERM, 143),
        (["check"], signal.SIGINT, 130),
        (["quota"], signal.SIGTERM, 143),
        (["verify"], signal.SIGTERM, 143),
        (PRODUCE, signal.SIGINT, 130),
    ],
    ids=str,
)
def test_a_signal_ends_a_command_that_waits_for_kafka(
    words: list[str], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Without a handler a container's first process ignores SIGTERM, and in one long call the client holds both back.

    The broker here accepts connections and never answers: such a call would last ten seconds and more.
    """
    with ExitStack() as open_:
        silent = open_.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(60)

        def heard() -> bytes:
            return open_.enter_context(silent.accept()[0]).recv(1)

        settings = environment(f"127.0.0.1:{silent.getsockname()[1]}", "t", "http://127.0.0.1:9", QUOTA_UPDATES="9")
        running = open_.enter_context(Command(tmp_path, words, settings))
        while not heard():
            pass  # `check` first probes whether the port is open, and sends nothing.
        began = time.monotonic()
        running.interrupt() if number is signal.SIGINT else running.terminate()
        assert running.wait(60) == code
        assert time.monotonic() - began < 9
        assert running.stderr == ""


@pytest.mark.parametrize(
    "words", [["run"], ["check"], ["plan"], ["dlq", "list"], ["dlq", "replay", "--yes"], PRODUCE], ids=" ".join
)
def test_no_kafka_client_writes_past_the_log(words: list[str], tmp_path: Path) -> None:
    """By itself each writes to stderr, in a form of its own and without redaction: no JSON, and perhaps a secret."""
    talk = {"LOG_LEVEL": "debug", "KAFKA_PROPERTIES": '{"debug": "all"}', "KAFKA_GROUP_PROTOCOL": "consumer"}
    with EmbeddedBroker() as broker:
        broker.create_topic("t")
        settings = environment(broker.bootstrap, "t", "http://127.0.0.1:9", **talk)
        with Command(tmp_path, words, settings) as running:
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
    """Ctrl-C is a request and no error: code 130, as a shell counts it, and no output."""
    done = subprocess.run(
        program(script=COMMAND_THAT_FAILS.format(error="KeyboardInterrupt")), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_broken_pipe_elsewhere_is_not_hidden() -> None:
    """A socket breaks with the same exception as our output; only the latter may end silently."""
    done = subprocess.run(
        program(script=COMMAND_THAT_FAILS.format(error="BrokenPipeError")), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"BrokenPipeError" in done.stderr
