"""`connector quota`: what all who share the ledger have used of the rolling window, and calls that others made."""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

from connector.cli.ledger import read_ledger
from connector.cli.numbers import whole
from connector.cli.quota_view import calls, print_view
from connector.cli.settings import print_mistakes
from connector.cli.terminal import printable
from connector.cli.units import span
from connector.errors import CommandError, Fatal
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.ports import LedgerLog
from connector.quota.records import Spend, encode
from connector.quota.view import View, view
from connector.settings import BadSettings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers

REFUSED: Final = 2
MOST_CALLS: Final = 1_000_000_000
"""The setting's own bound."""
LONGEST_NOTE: Final = 256
"""What the ledger's record holds."""

_EXAMPLE: Final = """\
example:
  connector quota
  connector quota --format json
  connector quota spend 50000 --note "nightly batch import"

It reads the settings of `connector run`. It takes part in no group and changes nothing; `spend` books calls that
someone else made on the account, which count for a whole window from now and cannot be taken back. Exit code 0, also
while there is no ledger yet and so nothing is used; 1 when it cannot be read or written, 2 on bad settings, or when
nothing was booked because it is more than is free.
"""
_SPEND_EXAMPLE: Final = """\
example:
  connector quota spend 50000 --note "nightly batch import"
  connector quota spend 50000 --note "nightly batch import" --format json | jq .free

They count for a whole window from now. More than is free is booked only with --yes (else exit code 2), since nobody who
shares the ledger sends until enough comes free.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "quota",
        help="what is used of the rolling window, what comes free when, and who holds leases",
        description="Prints what all who share the quota's ledger have used of the rolling window.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_format(parser, "table")
    actions = parser.add_subparsers(title="actions", metavar="[ACTION]", dest="action")
    spend = actions.add_parser(
        "spend",
        help="book calls that someone else made on the account",
        description="Books calls that someone else made on the account. They cannot be taken back.",
        epilog=_SPEND_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_format(spend, argparse.SUPPRESS)  # Unless it is given here too, what stands before `spend` counts.
    count = whole(f"number of calls from 1 to {MOST_CALLS}", 1, MOST_CALLS)
    spend.add_argument("updates", metavar="N", type=count, help="how many calls")
    spend.add_argument(
        "--note", type=_note, default="", help=f"by whom, for people; at most {LONGEST_NOTE} characters, no secrets"
    )
    spend.add_argument("--yes", action="store_true", help="also when it is more than is free")


def _add_format(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--format", choices=("table", "json"), default=default, help="table (default) or json")


class TooMuch(CommandError):
    """More would be booked than is free; nothing was."""


def run(args: argparse.Namespace) -> int:
    """Read the ledger to its end, book what is to be booked, and print what it says."""
    try:
        settings = load(os.environ)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return 2
    from connector.kafka.errors import KafkaUnavailable  # noqa: PLC0415
    from connector.kafka.quota_log import KafkaQuotaLog  # noqa: PLC0415 - a wrong setting is said before the heavy imports
    from connector.kafka.quota_topic import MISSING  # noqa: PLC0415
    from connector.service import kafka_config, ledger_topic, quota_policy  # noqa: PLC0415

    terms = quota_policy(settings)
    if terms is None:
        sys.stderr.write("QUOTA_UPDATES is 0: there is no quota and no ledger\n")
        return 2
    # A name of its own, or two equal bookings at once would each take the other's record for theirs.
    spends = args.action == "spend"
    booking = Spend(args.updates, terms.settled, args.note, uuid.uuid4().hex) if spends else None

    config, topic = kafka_config(settings), ledger_topic(settings.ledger_topic, terms)
    open_log = partial(KafkaQuotaLog, config, topic, make=booking is not None)

    try:
        ledger = asyncio.run(look(open_log, terms, booking, anyway=booking is None or args.yes))
    except Fatal as fatal:
        sys.stderr.write(f"{topic.name}: {fatal.failure}\n")
        cause = fatal.__cause__
        if not (isinstance(cause, KafkaUnavailable) and cause.failure.code == MISSING):
            return 1
        ledger = Ledger()  # Nobody ever sent: nothing is used.
    except TooMuch as refused:
        sys.stderr.write(f"{settings.ledger_topic}: {refused}\n")
        return REFUSED
    for asker in ledger.differing(terms, max(ledger.now, time.time())):
        sys.stderr.write(
            f"{printable(asker.name)} takes leases under QUOTA_UPDATES={asker.limit} and QUOTA_WINDOW_SECONDS="
            f"{asker.window:g}, and here they are {terms.limit} and {terms.window:g}: set them alike\n"
        )
    seen = _seen(ledger, terms)
    if args.format == "json":
        sys.stdout.write(json.dumps({"topic": settings.ledger_topic, **asdict(seen)}) + "\n")
        return 0
    if booking is not None:
        sys.stdout.write(f"booked: {calls(booking.updates)}, which count for {span(booking.counted)}\n")
    print_view(seen, settings.ledger_topic, sys.stdout)
    return 0


async def look(open_log: Callable[[], LedgerLog], terms: QuotaPolicy, booking: Spend | None, *, anyway: bool) -> Ledger:
    """The ledger with the booking. Raises TooMuch before it books more than is free, unless it is to do so anyway."""
    if booking is not None and not anyway:
        seen = _seen(await read_ledger(open_log(), None), terms)
        if booking.updates > seen.free:
            msg = (
                f"nothing was booked: {calls(booking.updates)} are more than the {seen.free:,} that are free "
                f"({seen.used:,} of {seen.limit:,} are used). A booking cannot be taken back, and after this one "
                f"nobody who shares the ledger sends until enough comes free, for up to {span(booking.counted)}. "
                f"If they really were made, add --yes"
            )
            raise TooMuch(msg)
    return await read_ledger(open_log(), None if booking is None else encode(booking))


def _seen(ledger: Ledger, terms: QuotaPolicy) -> View:
    return view(ledger, terms, max(ledger.now, time.time()))


def _note(text: str) -> str:
    if len(text) > LONGEST_NOTE or not text.isprintable():
        msg = f"must be at most {LONGEST_NOTE} printable characters on one line, and has {len(text)}"
        raise argparse.ArgumentTypeError(msg)
    return text
