"""The program `connector`: one table of commands; only the module of the command that is asked for is imported."""

import argparse
import difflib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from connector import __version__

PROGRAM: Final = "connector"
INTERRUPTED: Final = 128 + signal.SIGINT  # As a shell counts an end by a signal.
TERMINATED: Final = 128 + signal.SIGTERM
BAD_USAGE: Final = 2

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse names it no other way


class Command(NamedTuple):
    """A row of the table: what is typed, where it lives, and what it does in one line."""

    name: str
    module: str
    summary: str


class CommandModule(Protocol):
    """What a command's module offers."""

    def add_parser(self, subparsers: Subparsers) -> object:
        """Add the command's own parser, by `subparsers.add_parser(name, …)`, with an example in its epilog."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and give the exit code."""


COMMANDS: Final = (
    Command("run", "connector.cli.run", "the service: Kafka events in, updates out, until SIGTERM"),
    Command("demo", "connector.cli.demo", "the whole job on embedded broker and sandbox, in a minute"),
    Command("check", "connector.cli.check", "whether Kafka and Target can be used as set; changes nothing"),
    Command("map", "connector.cli.map", "what the mapping makes of samples; shows their values"),
    Command("plan", "connector.cli.plan", "the updates that a topic's last hours would have cost, by linger"),
    Command("quota", "connector.cli.quota", "what is used of the rolling window, and calls that others made"),
    Command("verify", "connector.cli.verify", "whether Target's profiles hold what was sent, by a sample"),
    Command("produce", "connector.cli.produce", "writes events to a topic, each checked first"),
    Command("dlq", "connector.cli.dlq", "lists the dead letters, and writes them back to their topics"),
    Command("token", "connector.cli.token", "gets Target's profile token, and renews it before it ends"),
    Command("settings", "connector.cli.settings", "every setting: name, type, unit, default, what for"),
    Command("sandbox", "connector.cli.sandbox", "a stand-in for Target on a port, with its rules and its faults"),
)

_EXAMPLE: Final = f"""\
example:
  {PROGRAM} demo
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPICS=profile-changes TARGET_CLIENT_CODE=acmeinc {PROGRAM} run
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; 2 is bad usage, 130 an interrupt from the keyboard, 143 a SIGTERM."""
    words = list(sys.argv[1:] if argv is None else argv)
    told: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        """End as Ctrl-C does, by its present handler: asyncio cancels what runs and cleans up."""
        told.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        (interrupt if callable(interrupt) else signal.default_int_handler)(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    # Without a handler the kernel ignores SIGTERM for a container's first process. The service puts its own in place.
    before = signal.signal(signal.SIGTERM, terminate) if is_main else None
    try:
        code = _main(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return TERMINATED if told else INTERRUPTED
    except OSError:
        return _output_lost()
    except Exception as error:
        from connector.settings import BadSettings  # noqa: PLC0415 - `--help` and most commands need none of it

        if not isinstance(error, BadSettings):
            raise
        # What librdkafka refuses is known only when its clients are made, after the settings were read.
        sys.stderr.write(f"{error}\n")
        return BAD_USAGE
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)
    return code


def _main(words: list[str]) -> int:
    asked = next((command for command in COMMANDS if words[:1] == [command.name]), None)
    if asked is None and words and not words[0].startswith("-"):
        return _unknown(words[0])
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Keeps Adobe Target visitor profiles true to a stream of changes in Kafka.",
        epilog=_EXAMPLE + f"\n{PROGRAM} COMMAND --help says more about one command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    gc.disable()  # Modules stay: the collector would find nothing, ten times over, while they are loaded.
    module = cast("CommandModule", importlib.import_module(asked.module)) if asked else None
    gc.enable()
    for command in COMMANDS:
        if module is not None and command == asked:
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(command.name, help=command.summary)
    try:
        args = parser.parse_args(words)
    except SystemExit as end:  # argparse ends the process for --help and for bad usage; the caller of `main` decides.
        return end.code if isinstance(end.code, int) else 0
    if module is None:
        parser.print_help()
        return 0
    return module.run(args)


def _unknown(word: str) -> int:
    names = [command.name for command in COMMANDS]
    nearest = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names)}"
    print(f"{PROGRAM}: {word!r} is not a command; {hint}", file=sys.stderr)  # noqa: T201 - a command speaks by printing
    return BAD_USAGE


def _output_lost() -> int:
    """End when our output cannot be written: quietly when its reader has gone, as `head` does, else with a line.

    Any other error of the system is a fault.
    """
    try:
        print(flush=True)  # noqa: T201 - what failed may have been dropped from the buffer: only a new write tells
    except OSError as lost:
        # Python flushes once more at exit, which must find something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(lost, BrokenPipeError):
            with suppress(OSError):
                print(f"{PROGRAM}: the output cannot be written: {lost.strerror}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    raise  # noqa: PLE0704 - called while the first one is handled
