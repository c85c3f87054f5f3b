"""`connector dlq`: what could not be delivered, shown, and sent on its way again."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

from connector.cli.settings import print_mistakes
from connector.delivery.dead_letter import Stage
from connector.settings import BadSettings, Settings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers

BAD_SETTINGS: Final = 2
ERRORS: Final = ("Refused", "Rejected", "RetriesExhausted")
"""The classes that the pipeline gives its letters, as `docs/dead-letters.md` has them."""
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")

_EXAMPLE: Final = """\
example:
  connector dlq list --since 24h
  connector dlq replay --dry-run
  connector dlq replay --error RetriesExhausted --limit 10

It reads the same environment variables as `connector run`. Exit code 0; 1: Kafka failed; 2: bad settings, or
a replay off a terminal without --yes.
"""
_LIST_EXAMPLE: Final = """\
example:
  connector dlq list --stage VALUE_CONVERTER --since 2026-11-22T10:00:00Z
  connector dlq list --by reason

Shows no keys, values or headers, which hold personal data, unless --show-values is given. A source ends with [N] where
a record carries several changes and the letter is about the one at place N, counted from 0. A letter is `replayed`,
`superseded` (a replay found that newer events of its visitor have set all of its attributes), or `left`.
"""
_REPLAY_EXAMPLE: Final = """\
example:
  connector dlq replay --dry-run
  connector dlq replay --since 2h --yes

A letter is sent with key, value and headers as they came, and read by the mapping of now; one that is about an item
of a list is sent for that item alone.

A replayed record is the newest of its visitor, and the newest wins. So the source partitions are read from each letter
on, and every attribute that a newer event of the visitor has set to another value is left out; a letter of which
nothing remains is dropped as superseded. Where the source topic no longer holds a letter's event, newer values cannot
be seen, and the letter is left. --force sends all letters whole: they overwrite what was delivered since.
On a terminal it asks first, unless --yes is given; off a terminal it needs --yes.

Without --stage only updates (TASK_PUT) are replayed: events that the decoder refused are refused again, unless the
connector was set or changed to take them. What was replayed or dropped is noted in the dead-letter topic, and a second
run looks only at the rest.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Say what the commands do."""
    parser = subparsers.add_parser(
        "dlq",
        help="lists the dead letters, and writes them back to their topics",
        description="Shows the dead-letter topic, or writes letters back to the topics that they came from.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="dlq", required=True)
    listing = _add(commands, "list", "shows where each came from and why it is there", _LIST_EXAMPLE)
    listing.add_argument("--show-values", action="store_true", help="also keys, values and headers: personal data")
    listing.add_argument(
        "--by", choices=("reason",), help="only how many there are of each reason, and what became of them"
    )
    listing.add_argument(
        "--format", choices=("text", "json"), default="text", help="lines for people (default), or a JSON object a line"
    )
    replay = _add(commands, "replay", "writes them back to their source topics", _REPLAY_EXAMPLE)
    replay.add_argument("--dry-run", action="store_true", help="only show which ones it would be")
    replay.add_argument("--from-beginning", action="store_true", help="also those that were replayed before")
    replay.add_argument(
        "--force", action="store_true", help="all of each letter, also what newer events of its visitor have set since"
    )
    replay.add_argument("--yes", action="store_true", help="do not ask; needed where no person can be asked")


def run(args: argparse.Namespace) -> int:
    """Load the settings, then list or replay."""
    try:
        settings = load(os.environ)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_SETTINGS
    if wrong := _pointless(args, settings):
        sys.stderr.write(f"{wrong}\n")
        return BAD_SETTINGS
    return _act(args, settings)


def _act(args: argparse.Namespace, settings: Settings) -> int:
    # Wrong settings are said before Kafka's client is loaded.
    from connector.cli.dlq.listing import Shown, list_letters  # noqa: PLC0415
    from connector.cli.dlq.replay import Options, Rules, replay  # noqa: PLC0415
    from connector.cli.dlq.selection import Selection  # noqa: PLC0415
    from connector.delivery.coalescer import Order  # noqa: PLC0415
    from connector.errors import ConnectorError  # noqa: PLC0415
    from connector.service import kafka_config  # noqa: PLC0415
    from connector.service.command_reading import command_reading  # noqa: PLC0415
    from connector.service.reading import event_mapping  # noqa: PLC0415

    wanted = Selection(args.stage, args.topic, args.error, args.since, args.until)
    try:
        config = kafka_config(settings)
        if args.dlq == "list":
            shown = Shown(args.limit, args.format == "json", args.show_values, args.by == "reason")
            return list_letters(config, wanted, shown)
        if wrong := _unwilling(args):
            sys.stderr.write(f"{wrong}\n")
            return BAD_SETTINGS
        options = Options(args.limit, args.dry_run, args.from_beginning, args.yes, args.force)
        topics = [] if args.topic is None else [args.topic]
        with command_reading(settings, event_mapping(settings), topics=topics) as events:
            return replay(config, wanted, options, Rules(events, Order(settings.coalesce_order)))
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_SETTINGS
    except ConnectorError as error:
        sys.stderr.write(f"dlq: {error}\n")
        return 1


def _unwilling(args: argparse.Namespace) -> str:
    """Why nothing is written: no person can be asked, and none has said yes; empty when there is no reason."""
    stdin: TextIO | None = sys.stdin  # None where it was closed before the start.
    if args.dlq == "replay" and not (args.yes or args.dry_run or (stdin is not None and stdin.isatty())):
        return "dlq replay: there is no terminal to ask at; look at it with --dry-run, then give --yes"
    return ""


def _pointless(args: argparse.Namespace, settings: Settings) -> str:
    """Why nothing could be found, whatever Kafka holds; empty when something could."""
    if settings.dead_letter_topic is None:
        return "KAFKA_DEAD_LETTER_TOPIC: is empty, so there are no dead letters; name the topic to look at"
    if args.since is not None and args.until is not None and args.since >= args.until:
        return "dlq: --since is not before --until, so there is no time between them; an age counts back from now"
    return ""


def _add(commands: "Subparsers", name: str, summary: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    when = "a time (2026-11-22T10:00:00Z; without a zone UTC) or an age (90s, 15m, 2h, 3d)"
    parser.add_argument(
        "--stage", choices=[stage.value for stage in Stage], help="refused by the decoder, or by Target"
    )
    parser.add_argument("--topic", help="only those that came from this topic")
    parser.add_argument("--error", choices=ERRORS, help="only this class of error")
    parser.add_argument("--since", type=_moment(time.time), metavar="WHEN", help=f"only those written since: {when}")
    parser.add_argument("--until", type=_moment(time.time), metavar="WHEN", help="only those written before")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N, by partition and offset")
    return parser


def _moment(now: Callable[[], float]) -> Callable[[str], int]:
    """Read a time as milliseconds since the epoch."""

    def moment(text: str) -> int:
        if ago := _AGO.fullmatch(text):
            return int((now() - int(ago[1]) * _SECONDS[ago[2]]) * 1_000)
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            msg = f"{text!r} is neither a time (2026-11-22T10:00:00Z) nor an age (90s, 15m, 2h, 3d)"
            raise argparse.ArgumentTypeError(msg) from error
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)

    return moment


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        msg = f"{text!r} is no whole number, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
