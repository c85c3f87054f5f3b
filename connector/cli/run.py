"""`connector run`: the service."""

import argparse
import asyncio
import gc
import os
import sys

import structlog

from connector.cli.event_loop import loop_factory
from connector.cli.settings import print_mistakes
from connector.ops.logs import VisitorIds, configure, unblocked
from connector.settings import BadSettings, Settings, load

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_EXAMPLE = """\
example:
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPICS=profile-changes TARGET_CLIENT_CODE=acmeinc connector run

It is configured by environment variables alone: `connector settings` prints them all.
Ends on SIGTERM or SIGINT after a drain; exit code 0 after a clean drain, 1 on a fatal error, 2 on bad settings.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what the command does."""
    subparsers.add_parser(
        "run",
        help="the service: Kafka events in, profile updates out, until SIGTERM",
        description="Consume profile changes, coalesce them by visitor, send them to Target, commit what is done.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(_args: argparse.Namespace) -> int:
    """Load the settings, set up the logs, serve."""
    try:
        settings = load(os.environ)
    except BadSettings as bad:
        return refuse(bad)
    configure_logs(settings)
    # What is loaded lives for good: the collector need not look at it, now or later, nor look often.
    gc.disable()
    from connector.service.service import serve  # noqa: PLC0415 - a wrong setting is said before the heavy imports

    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
    with unblocked(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(settings))


def refuse(bad: BadSettings) -> int:
    """A line for people for each mistake; off a terminal an event too, where log collectors look for it."""
    print_mistakes(bad, sys.stderr)
    if not sys.stdout.isatty():
        configure("info", "json", VisitorIds.HASH, sys.stdout)
        for mistake in bad.mistakes:
            log.error("settings_refused", setting=mistake.setting, remedy=mistake.remedy)
        log.error("connector_stopped", reason="settings_refused", exit_code=2)
    return 2


def configure_logs(settings: Settings) -> None:
    """JSON off a terminal, lines for people on one, unless the settings say."""
    fmt = settings.log_format or ("console" if sys.stdout.isatty() else "json")
    configure(settings.log_level, fmt, VisitorIds(settings.log_visitor_ids), sys.stdout, settings.secret_values())
