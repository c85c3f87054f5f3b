"""`connector plan`: what linger the quota needs and what each setting saves, by the events that were really there."""

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence

from connector.cli.numbers import number, whole
from connector.cli.plan_advice import advise
from connector.cli.plan_view import Progress, print_json, print_text
from connector.cli.settings import print_mistakes
from connector.decoding import EventReader
from connector.delivery.coalescer import Order
from connector.errors import CommandError, Fatal, UnusableSetting
from connector.kafka.config import KafkaConfig
from connector.plan import Assumptions, Merge, Quota, Survey, SurveyResult, calls_per_update
from connector.settings import BadSettings, Settings, load

_EXAMPLE = """\
example:
  export KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPICS=profile-changes
  connector plan
  connector plan --hours 72 --linger 0 5 30 120
  connector plan --format json | jq .advice

It reads, and changes nothing: it joins no group, commits nothing and calls no endpoint. It takes the settings of
`connector run`, of which it needs only those of Kafka. Exit code 0; 1 when Kafka cannot be read, 2 on bad settings.
"""
LINGERS = (0.0, 1.0, 10.0, 60.0, 600.0, 3_600.0)
LONGEST_LINGER = 3_600.0
"""What COALESCE_LINGER_SECONDS allows."""
LONGEST_HOURS = 24 * 366
MOST_UPDATES = 1_000_000_000
"""What QUOTA_UPDATES allows."""
NO_CLIENT_CODE = {"TARGET_CLIENT_CODE": "none"}
"""Nothing is sent, so nobody has to say to whom."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "plan",
        help="the calls that a topic's last hours would have cost, by linger, and what each setting saves",
        description="Read the topics' last hours and forecast updates, delay and memory for several linger times, and "
        "what each setting saves.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    hours = number("number of hours from 1/60 (a minute) to 8784 (a year)", 1 / 60, LONGEST_HOURS)
    linger = number("number of seconds from 0 to 3600", 0.0, LONGEST_LINGER)
    quota = whole("number of updates from 0 (no quota) to 1000000000", 0, MOST_UPDATES)
    window = number("number of seconds from 1 to 31622400 (a year)", 1.0, LONGEST_HOURS * 3_600)
    add("--hours", type=hours, default=24.0, help="how far back to read (default 24)")
    add("--linger", type=linger, nargs="+", default=LINGERS, metavar="SECONDS", help="default 0 1 10 60 600 3600")
    add(
        "--replicas",
        type=whole("number of replicas from 1 to 1000", 1, 1_000),
        default=1,
        help="that share the work: each holds a part of the visitors (default 1)",
    )
    add(
        "--unknown-share",
        type=number("number from 0 to 1", 0.0, 1.0),
        default=0.0,
        metavar="SHARE",
        help="part of the updates whose visitor Target does not know: each takes up to three calls (default 0)",
    )
    add("--quota", type=quota, metavar="UPDATES", help="updates in the window, 0 for none (default: QUOTA_UPDATES)")
    add("--window", type=window, metavar="SECONDS", help="the rolling window (default: QUOTA_WINDOW_SECONDS)")
    add("--format", choices=("text", "json"), default="text", help="json: one JSON object (default text)")


def run(args: argparse.Namespace) -> int:
    """Read, reckon, print."""
    try:
        settings = load(NO_CLIENT_CODE | os.environ)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return 2
    # What lives at the end of a forecast is most of what was made: looking at it often would be half of the work.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    from connector.service import kafka_config  # noqa: PLC0415 - a wrong setting is said before the heavy imports
    from connector.service.command_reading import command_reading  # noqa: PLC0415
    from connector.service.reading import event_mapping  # noqa: PLC0415

    quota, lingers = _quota(args, settings), sorted(set(args.linger))
    assumed = _assumptions(settings, quota, args.replicas, args.unknown_share)
    try:
        with command_reading(settings, event_mapping(settings)) as events:
            found = _read(kafka_config(settings), args.hours, lingers, quota, assumed, events)
    except Fatal as fatal:
        about = "Kafka cannot be read: " if fatal.failure.event.startswith("kafka") else ""
        sys.stderr.write(f"connector plan: {about}{fatal.failure}\n")
        return 1
    except (CommandError, UnusableSetting) as error:
        sys.stderr.write(f"connector plan: {error}\n")
        return 1
    best, advice = advise(found, quota, assumed, settings.coalesce_linger_seconds)
    show = print_json if args.format == "json" else print_text
    show(sys.stdout, settings.kafka_topics, found, quota, best, advice)
    return 0


def _quota(args: argparse.Namespace, settings: Settings) -> Quota:
    """What was asked for on the command line, else what is set."""
    return Quota(
        settings.quota_updates if args.quota is None else args.quota,
        settings.quota_window_seconds if args.window is None else args.window,
    )


def _assumptions(settings: Settings, quota: Quota, replicas: int, unknown_share: float) -> Assumptions:
    return Assumptions(
        order=Order(settings.coalesce_order),
        updates_per_second=_rate(settings, quota),
        max_visitors=settings.coalesce_max_visitors * replicas,
        max_bytes=settings.coalesce_max_bytes * replicas,
        window=quota.seconds,
        unchanged_seconds=settings.coalesce_unchanged_seconds,
        unchanged_max_visitors=settings.coalesce_unchanged_max_visitors * replicas,
        max_age=settings.event_max_age_seconds,
        calls_per_update=calls_per_update(unknown_share, settings.target_unknown_visitor_wait_seconds),
    )


def _rate(settings: Settings, quota: Quota) -> float:
    """Updates a second at most: the rate that is set, or the pace at which a quota that is wholly free is spread."""
    rate = settings.target_max_updates_per_second
    if not quota.updates:
        return rate
    pace = quota.updates / min(settings.quota_horizon, quota.seconds)
    return min(rate, pace) if rate else pace


def _read(
    config: KafkaConfig,
    hours: float,
    lingers: Sequence[float],
    quota: Quota,
    assumed: Assumptions,
    events: EventReader,
) -> SurveyResult:
    """One pass over the records, all lingers side by side."""
    from connector.kafka.inspect.history_reader import History  # noqa: PLC0415 - `--help` needs no client

    until = time.time()
    since = until - hours * 3_600
    survey = Survey(lingers, assumed, events.decode, events.topics)
    with History(config, since) as history:
        stretches = history.stretches.values()
        expected = sum(stretch.end - stretch.begin for stretch in stretches)
        merge = Merge(history.left, int(since * 1_000), int(until * 1_000))
        progress = Progress(sys.stderr, expected)
        while not merge.is_over:
            left = set(history.left)
            for record in history.read(merge.ahead()):
                merge.add(record)
            for name in left - set(history.left):
                merge.end(name)
            survey.take(merge.ready())
            progress.show(survey.records)
        progress.clear()
        return survey.finish(
            quota,
            asked_since=since,
            until=until,
            older=any(stretch.older for stretch in stretches),
            timeless=merge.timeless,
            expected=expected,
        )
