"""`connector check`: whether the service could run as it is set, said before it runs; it changes nothing."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

from connector.cli.check.findings import Check, Finding, State, run_checks, text_line
from connector.errors import Fatal
from connector.ops.redact import Redactor, VisitorIds
from connector.settings import BadSettings, Settings, load

if TYPE_CHECKING:
    from connector.cli import Subparsers

ALL_SECONDS: Final = 28.0
"""For everything together; starting and ending the program comes on top."""
PROBE_SECONDS: Final = 26.0
"""Two leases and three requests, if each takes all its time; what is left of the whole bounds it too."""
BAD_SETTINGS: Final = 2

_EXAMPLE: Final = """\
example:
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPICS=profile-changes TARGET_CLIENT_CODE=acmeinc connector check
  connector check --format json

It reads the same environment variables as `connector run`, and changes nothing. One line a thing: ok, warning, failed
or skipped (it rests on one that failed), what was seen, and after an arrow what to do.
Exit code 0: all well, perhaps with warnings; 1: something is unreachable or missing; 2: bad settings.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Say what the command does."""
    parser = subparsers.add_parser(
        "check",
        help="whether Kafka and Target can be used as set; changes nothing",
        description="Looks at settings, Kafka and Target, and says how each thing stands; half a minute at most.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="also send one update, for a visitor that cannot exist, and where its path is refused one to each other "
        "known path; each is a call of the quota, and is booked there",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="lines for people (default), or a JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Load the settings, ask, and print each answer as soon as it is there."""
    with ExitStack() as closing:
        return _run(args, closing)


def _run(args: argparse.Namespace, closing: ExitStack) -> int:
    write: Callable[[Finding], None] = _write_json if args.format == "json" else _write_text
    try:
        settings = load(os.environ)
        wanted = checks(settings, closing, probe=args.probe)
    except Fatal as fatal:
        # A file that may come later: the service would end with code 1 too.
        wrong = fatal.failure
        write(Finding(State.FAILED, f"setting {wrong.setting}", wrong.reason, wrong.hint))
        return 1
    except BadSettings as bad:
        for mistake in bad.mistakes:
            what = f"setting {mistake.setting}"
            write(Finding(State.FAILED, what, mistake.remedy, "`connector settings` prints them all"))
        return BAD_SETTINGS
    redact = Redactor(VisitorIds.HASH, settings.secret_values())

    def say(finding: Finding) -> None:
        # By names that mean nothing to the redactor: it is to look at the texts.
        seen = redact(None, "", {"event": "", "a": finding.what, "b": finding.detail, "c": finding.remedy})
        write(Finding(finding.state, seen["a"], seen["b"], seen["c"]))

    say(Finding(State.OK, "settings", "all can be read and fit together"))
    return 0 if asyncio.run(run_checks(wanted, ALL_SECONDS, say)) else 1


def checks(settings: Settings, closing: ExitStack, *, probe: bool) -> Sequence[Check]:
    """The list. A further one is a line here: its name, its seconds, what asks, and the check that it rests on.

    `closing` gets what is to be closed when all were asked. Raises Fatal for a file that cannot be read.
    """
    # Wrong settings are said before the clients of Kafka and HTTP are loaded.
    from connector.cli.check import kafka as k  # noqa: PLC0415
    from connector.cli.check import reading as r  # noqa: PLC0415
    from connector.cli.check import target as t  # noqa: PLC0415
    from connector.cli.check.lease import Leases  # noqa: PLC0415
    from connector.cli.check.samples import Samples  # noqa: PLC0415
    from connector.kafka.quota_log import KafkaQuotaLog  # noqa: PLC0415
    from connector.service import boottime, kafka_config, ledger_topic, quota_policy  # noqa: PLC0415
    from connector.service.command_reading import command_schemas  # noqa: PLC0415
    from connector.service.reading import event_mapping, reader, registry_config  # noqa: PLC0415

    config = kafka_config(settings)
    mapping = event_mapping(settings)
    schemas = closing.enter_context(command_schemas(settings))
    samples = Samples(reader(settings, mapping, schemas), mapping, schemas)
    reading = r.ReadingChecks(settings, mapping, None if schemas is None else registry_config(settings))
    kafka = k.KafkaChecks(config, samples.judge)
    terms = quota_policy(settings)
    ledger = leases = None
    if terms is not None:
        ledger = ledger_topic(settings.ledger_topic, terms)
        leases = Leases(terms, partial(KafkaQuotaLog, config, ledger), boottime)
    target = t.TargetChecks(settings, leases)
    return [
        *([Check("mapping", 1.0, reading.sources)] if mapping is not None else ()),
        *([Check("schema registry", r.REGISTRY_SECONDS, reading.registry)] if schemas is not None else ()),
        *([Check("paths", r.PATHS_SECONDS, reading.paths, ("schema registry",))] if schemas is not None else ()),
        Check("kafka servers", k.SERVERS_SECONDS, kafka.servers),
        Check("topics", k.TOPICS_SECONDS, kafka.topics, ("kafka servers",)),
        Check("group", k.GROUP_SECONDS, kafka.group, ("kafka servers",)),
        Check("dead-letter topic", k.ASK_SECONDS, kafka.dead_letters, ("kafka servers",)),
        Check("quota topic", k.ASK_SECONDS, lambda: kafka.ledger(ledger), ("kafka servers",)),
        Check("target endpoint", t.REACH_SECONDS, target.endpoint),
        Check("update path", t.TOKEN_SECONDS, target.path),
        Check("token", t.TOKEN_SECONDS, target.token),
        # After the look at the quota's topic, since its call is booked there, and the booking may make it.
        *([Check("probe", PROBE_SECONDS, target.probe, ("target endpoint", "quota topic"))] if probe else ()),
    ]


def _write_text(finding: Finding) -> None:
    _write(text_line(finding))


def _write_json(finding: Finding) -> None:
    words = asdict(finding)
    _write(json.dumps({"state": words.pop("state"), "check": words.pop("what"), **words}))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
