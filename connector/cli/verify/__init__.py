"""`connector verify`: whether Target's profiles hold what the topics asked for; a sample, judged from outside."""

import argparse
import asyncio
import math
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from connector.cli.numbers import number, whole
from connector.cli.settings import print_mistakes
from connector.errors import ConnectorError, UnusableSetting
from connector.ops.logs import VisitorIds, configure
from connector.settings import BadSettings, Settings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers
    from connector.cli.verify.fetching import Results
    from connector.cli.verify.view import Report
    from connector.decoding import EventReader
    from connector.verify.sample import Choice

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BAD_USAGE: Final = 2
TOO_FEW: Final = 3
MOST_PER_MINUTE: Final = 40
"""Below the 50 calls a minute that Target's other APIs allow; for fetches no limit a minute is documented."""
MOST_SAMPLE: Final = 5_000
LONGEST_HOURS: Final = 24 * 14
"""A profile lives for 14 days without a visit."""
HOUR: Final = 3_600.0
KINDS: Final = ("mbox3rdPartyId", "pcId")

_EXAMPLE: Final = """\
example:
  connector verify
  connector verify --hours 72 --sample 1000 --format json
  connector verify --round-trip mbox3rdPartyId:test-visitor

It takes the settings of `connector run`, joins no group, commits nothing, and sends no update: profile fetches are not
metered. Only --round-trip sends: two updates of a visitor that you name, booked in the quota's ledger like all others.
Exit code 0: nothing lost, replaced or cut; 1: something is; 2: bad settings or options; 3: too few could be judged, or
Kafka or the profiles could not be read.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "verify",
        help="whether Target's profiles hold what was sent, by a sample",
        description="Reread the topics' last hours, fetch the profiles of a sample of visitors, and judge each value.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    sample = whole(f"number of visitors from 1 to {MOST_SAMPLE}", 1, MOST_SAMPLE)
    hours = number(f"number of hours from 1/60 (a minute) to {LONGEST_HOURS}", 1 / 60, LONGEST_HOURS)
    pace = whole(f"number of fetches from 1 to {MOST_PER_MINUTE}", 1, MOST_PER_MINUTE)
    add("--sample", type=sample, default=300, metavar="N", help="visitors to look at (default %(default)s)")
    add(
        "--hours",
        type=hours,
        default=48.0,
        metavar="H",
        help="how far back to read; Target may take 24 hours, so less cannot tell late from lost (default 48)",
    )
    add(
        "--delay",
        type=number("number of hours from 0 to 336", 0.0, LONGEST_HOURS),
        default=1.0,
        metavar="H",
        help="hours from an event to its accepted update at most, by linger, quota and outages; more where the group "
        "is further behind now (default 1)",
    )
    add("--per-minute", type=pace, default=MOST_PER_MINUTE, metavar="N", help="fetches a minute (default %(default)s)")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--visitor", metavar="ID", help="this visitor alone: an id, or pcId:ID or mbox3rdPartyId:ID")
    one.add_argument(
        "--round-trip",
        type=_test_visitor,
        metavar="ID",
        help="update this test visitor by both forms of the path and read it back: pcId:ID or mbox3rdPartyId:ID",
    )
    add(
        "--wait",
        type=number("number of minutes from 0.1 to 1500", 0.1, 1_500.0),
        default=60.0,
        metavar="MINUTES",
        help="with --round-trip: how long to wait for the values to come back (default 60)",
    )
    add("--format", choices=("text", "json"), default="text", help="json: one JSON object (default text)")
    add(
        "--publish",
        action="store_true",
        help="also tell the replicas, by a record in the quota's topic: the page shows it",
    )
    add("--textfile", type=Path, metavar="PATH", help="also write the result for node_exporter's textfile collector")


def _test_visitor(text: str) -> str:
    """Its kind is named: an update of the wrong one would be of somebody else."""
    kind, _, visitor_id = text.partition(":")
    if kind not in KINDS or not visitor_id:
        msg = "names no visitor: write mbox3rdPartyId:ID or pcId:ID"
        raise argparse.ArgumentTypeError(msg)
    return text


def _misuse(args: argparse.Namespace, settings: Settings) -> str:
    """Why the options cannot be used so; empty: they can."""
    if args.textfile is not None and not args.textfile.absolute().parent.is_dir():
        return f"--textfile: there is no folder {args.textfile.absolute().parent}"
    if args.publish and (args.visitor is not None or args.round_trip is not None):
        return "--publish is for the result of a sample"
    if args.publish and not settings.quota_updates:
        return "--publish writes into the quota's topic, and QUOTA_UPDATES is 0"
    return ""


def run(args: argparse.Namespace) -> int:
    """Read, fetch, judge, tell."""
    try:
        settings = load(os.environ)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_USAGE
    if misuse := _misuse(args, settings):
        sys.stderr.write(f"connector verify: {misuse}\n")
        return BAD_USAGE
    fmt = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    configure(settings.log_level, fmt, VisitorIds(settings.log_visitor_ids), sys.stderr, settings.secret_values())
    try:
        if args.round_trip is not None:
            # Wrong settings are said before the clients are loaded.
            from connector.cli.verify.prove import prove  # noqa: PLC0415
            from connector.events import Visitor  # noqa: PLC0415

            kind, _, visitor_id = args.round_trip.partition(":")
            return prove(settings, Visitor(kind, visitor_id), args.wait * 60, as_json=args.format == "json")
        return _verify(args, settings)
    except (BadSettings, UnusableSetting) as error:
        # What librdkafka and the endpoint refuse is known only when they are to be used.
        sys.stderr.write(f"{error}\n")
        return BAD_USAGE
    except ConnectorError as error:
        sys.stderr.write(f"connector verify: {error}\n")
        return TOO_FEW


def _verify(args: argparse.Namespace, settings: Settings) -> int:
    from connector.cli.verify.view import facts, print_json, print_text  # noqa: PLC0415
    from connector.service.command_reading import command_reading  # noqa: PLC0415
    from connector.service.reading import event_mapping  # noqa: PLC0415

    with command_reading(settings, event_mapping(settings)) as events:
        report = _report(args, settings, events)
    (print_json if args.format == "json" else print_text)(sys.stdout, report)
    conclusion = report.tally.conclusion
    found = facts(report)
    log.info(
        "profiles_verified",
        conclusion=found["conclusion"],
        records=found["records"],
        visitors=found["visitors"],
        verdicts=found["attributes"],
        harmed_share=found["harmed_share"],
    )
    if args.publish:
        from connector.cli.verify.publish import publish  # noqa: PLC0415

        try:
            publish(settings, report)
        except ConnectorError as error:
            sys.stderr.write(f"connector verify: the replicas could not be told: {error}\n")
            return conclusion.value or TOO_FEW
    if args.textfile is not None:
        from connector.cli.verify.textfile import write  # noqa: PLC0415

        try:
            write(args.textfile, report, conclusion.value, time.time())
        except OSError as error:
            sys.stderr.write(f"connector verify: {args.textfile} cannot be written: {error.strerror}\n")
            return conclusion.value or TOO_FEW
    return conclusion.value


def _report(args: argparse.Namespace, settings: Settings, events: "EventReader") -> "Report":
    from connector.cli.verify.endpoint import open_endpoint  # noqa: PLC0415
    from connector.cli.verify.fetching import fetch_all  # noqa: PLC0415
    from connector.cli.verify.reading import Reader, TopicReading  # noqa: PLC0415
    from connector.cli.verify.view import Report  # noqa: PLC0415
    from connector.delivery.coalescer import Order  # noqa: PLC0415
    from connector.service import kafka_config  # noqa: PLC0415
    from connector.target.profile_fetch import ProfileFetcher  # noqa: PLC0415
    from connector.verify.judge import judge  # noqa: PLC0415
    from connector.verify.tally import Tally  # noqa: PLC0415

    where, choice = open_endpoint(settings), _choice(args)
    topics = TopicReading(kafka_config(settings), Reader(events), choice, time.time() - args.hours * HOUR)
    progress = _Progress()
    topics.read_settled(lambda read, expected: progress.show(f"{read:,} of {expected:,} records"))
    # Drawn already; their order is that of their numbers, which says nothing of them.
    visitors = list(choice.chosen)

    async def fetch() -> "Results":
        async with ProfileFetcher(where.fetching) as fetcher:
            return await fetch_all(
                visitors,
                fetcher.fetch,
                args.per_minute,
                time.time,
                lambda done: progress.show(f"{done:,} of {len(visitors):,} profiles"),
            )

    results = asyncio.run(fetch())
    progress.clear()
    if results.failed:
        stopped = "; the rest was not asked for" if results.has_stopped else ""
        sys.stderr.write(f"connector verify: {results.failed} not fetched, the last by: {results.reason}{stopped}\n")
    # What came meanwhile may be at Target already, and must not be taken for someone else's.
    topics.read_open()
    topics.read_dead_letters()
    delay = max(args.delay * HOUR, topics.behind)
    tally = Tally(drawn=len(visitors))
    order, max_age = Order(settings.coalesce_order), settings.event_max_age_seconds or math.inf
    for visitor, (profile, fetched_at) in results.found.items():
        asked = dict(choice.chosen[visitor].asked(order, delay))
        tally.add(judge(asked, profile, fetched_at, max_age), is_known=profile is not None)
    return Report(
        topics=settings.kafka_topics,
        hours=args.hours,
        records=topics.records,
        distinct=choice.distinct,
        delay=delay,
        tally=tally,
        failed=len(visitors) - tally.fetched,
    )


def _choice(args: argparse.Namespace) -> "Choice":
    from connector.verify.sample import Named, Sampler  # noqa: PLC0415

    return Sampler(args.sample, random.Random()) if args.visitor is None else Named(args.visitor)


class _Progress:
    """One line on a terminal, drawn over itself now and then; nothing elsewhere."""

    def __init__(self) -> None:
        self._next = 0.0 if sys.stderr.isatty() else float("inf")
        self._is_shown = False

    def show(self, how_far: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next, self._is_shown = now + 0.5, True
            sys.stderr.write(f"\r\x1b[K{how_far}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
