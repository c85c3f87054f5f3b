"""`connector quota`: what all who share the ledger have used of the rolling window, and calls that others made."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from connector.cli.ledger import read_ledger
from connector.cli.settings import WIDTH_OFF_A_TERMINAL, print_mistakes
from connector.errors import Fatal
from connector.quota.records import Spend, encode
from connector.quota.view import View, view
from connector.settings import BadSettings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers

_BARS: Final = " ▁▂▃▄▅▆▇█"
_EXAMPLE: Final = """\
example:
  connector quota
  connector quota --format json
  connector quota spend 50000 --note "nightly batch import"

It reads the settings of `connector run`. It takes part in no group and changes nothing; `spend` books calls that
someone else made on the account, which count for a whole window from now.
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
    parser.add_argument("--format", choices=("table", "json"), default="table", help="table (default) or json")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    spend = actions.add_parser("spend", help="book calls that someone else made on the account")
    spend.add_argument("updates", metavar="N", type=_count, help="how many calls")
    spend.add_argument("--note", default="", help="by whom, for people; at most 256 characters")


def run(args: argparse.Namespace) -> int:
    """Read the ledger to its end, book what is to be booked, and print what it says."""
    try:
        settings = load(os.environ)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return 2
    from connector.kafka.ledger import KafkaLedger  # noqa: PLC0415 - a wrong setting is said before the heavy imports
    from connector.service import kafka_config, ledger_topic, quota_terms  # noqa: PLC0415

    terms = quota_terms(settings)
    if terms is None:
        sys.stderr.write("QUOTA_UPDATES is 0: there is no quota and no ledger\n")
        return 2
    spends = args.action == "spend"
    log = KafkaLedger(kafka_config(settings), ledger_topic(settings.ledger_topic, terms), make=spends)
    booking = encode(Spend(updates=args.updates, counted=terms.settled, note=args.note[:256])) if spends else None
    try:
        ledger = asyncio.run(read_ledger(log, booking))
    except Fatal as fatal:
        sys.stderr.write(f"{settings.ledger_topic}: {fatal.remedy}\n")
        return 1
    seen = view(ledger, terms.limit, terms.window, max(ledger.now, time.time()))
    if args.format == "json":
        sys.stdout.write(json.dumps({"topic": settings.ledger_topic, **asdict(seen)}) + "\n")
    else:
        print_view(seen, settings.ledger_topic)
    return 0


def print_view(seen: View, topic: str) -> None:
    """Print it for people."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH_OFF_A_TERMINAL, force_terminal=terminal, highlight=False)
    window = timedelta(seconds=seen.window_seconds)
    share = 100 * seen.used / seen.limit
    console.print(f"{topic}: {seen.used:,} of {seen.limit:,} used in {window} ({share:.1f} %), {seen.free:,} free")
    if seen.next_free_seconds is not None:
        when = _clock(seen.next_free_seconds)
        console.print(
            f"next to come free: {seen.next_free_updates:,} updates in {seen.next_free_seconds:.0f} s ({when})"
        )
    if seen.used_up_seconds is not None:
        when = _clock(seen.used_up_seconds)
        console.print(
            f"with the use of late it is used up in {timedelta(seconds=round(seen.used_up_seconds))} ({when})"
        )
    console.print(f"used, oldest to newest   |{sparkline(seen.history)}|")
    console.print(f"comes free, soon to late |{sparkline(seen.releases)}|")
    if not seen.leases:
        console.print("nobody holds a lease")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("holder", "replica", "updates leased", "ends in"):
        table.add_column(title)
    for lease in seen.leases:
        table.add_row(
            lease.holder or "booked by hand", lease.name, f"{lease.updates:,}", f"{lease.ends_in_seconds:.1f} s"
        )
    console.print(table)


def sparkline(numbers: Sequence[int]) -> str:
    """A bar each; only nothing at all is blank."""
    most = max(numbers, default=0)
    return "".join(_BARS[0 if not number else 1 + (len(_BARS) - 2) * number // most] for number in numbers)


def _clock(seconds: float) -> str:
    return (datetime.now().astimezone() + timedelta(seconds=seconds)).strftime("%a %H:%M:%S")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < number <= 1_000_000_000:  # noqa: PLR2004 - the setting's own bound
        msg = f"{text!r} is no number of calls: 1 to 1000000000"
        raise argparse.ArgumentTypeError(msg)
    return number
