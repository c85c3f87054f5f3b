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

from connector.cli.settings import WIDTH_OFF_A_TERMINAL, print_mistakes
from connector.errors import Fatal
from connector.quota.ledger import Ledger
from connector.quota.ports import Appended, LedgerLog
from connector.quota.records import NewerLedger, Spend, decode, encode
from connector.quota.view import View, view
from connector.settings import BadSettings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers

WAIT_SECONDS: Final = 30.0
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


class _Reading:
    """Folds the ledger to its end, then books, and reads on until the booking was read."""

    def __init__(self, log: LedgerLog, booking: bytes | None) -> None:
        self.ledger = Ledger()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = log
        self._booking = booking
        self._behind = True
        self._reason = f"Kafka did not answer within {WAIT_SECONDS:.0f} s"

    def read(self, batch: Sequence[Appended]) -> None:
        """These came next."""
        try:
            for value, appended in batch:
                if (record := decode(value)) is not None:
                    self.ledger.apply(record, appended)
                if value == self._booking and not self._behind:
                    self._finish()
        except NewerLedger as error:
            self.failed(Fatal("quota_ledger_unusable", str(error)))

    def caught_up(self) -> None:
        """All that was there was read."""
        self._behind = False
        if self._booking is None:
            self._finish()
        else:
            self._log.append(self._booking, self._not_booked)

    def delayed(self, reason: str) -> None:
        """It is tried again until the time is over."""
        self._reason = reason

    def failed(self, error: Exception) -> None:
        """It cannot be read."""
        if not self.done.done():
            self.done.set_exception(error)

    def late(self) -> None:
        """The time is over."""
        self.failed(Fatal("quota_ledger_unusable", self._reason))

    def _not_booked(self) -> None:
        reason = "the booking was not acknowledged and may still come: look before you book it again"
        self.failed(Fatal("quota_ledger_unusable", reason))

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def read_ledger(log: LedgerLog, booking: bytes | None) -> Ledger:
    """The ledger as it is at its end, with the booking. Raises Fatal when it cannot be had."""
    reading = _Reading(log, booking)
    timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, reading.late)
    log.start(reading)
    try:
        await reading.done
    finally:
        timer.cancel()
        await log.close(1.0)
    return reading.ledger
