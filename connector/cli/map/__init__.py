"""`connector map`: what a mapping makes of samples, before anything is sent."""

import argparse
import os
import sys
from collections.abc import Mapping as Table
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from connector.cli.numbers import whole
from connector.cli.settings import print_mistakes
from connector.errors import ConnectorError, Fatal
from connector.settings import BadSettings, Settings, load
from connector.settings.errors import InvalidValue
from connector.settings.formats import topic as topic_name

if TYPE_CHECKING:
    from connector.cli import Subparsers
    from connector.cli.map.applied import Report, Sample
    from connector.cli.map.samples import Header
    from connector.mapping import Mapping

BAD_USAGE: Final = 2
LAST: Final = 20
MOST: Final = 1_000
_NO_TOPIC: Final = "-"
_STAND_INS: Final = {"TARGET_CLIENT_CODE": "none", "KAFKA_BOOTSTRAP_SERVERS": "none:9092", "KAFKA_TOPICS": _NO_TOPIC}
"""For what has no part in this: nothing is sent, and files need no Kafka."""

_EXAMPLE: Final = """\
example:
  connector map --mapping mapping.yaml --sample order.json --sample refund.json
  connector map --topic crm.customers --key C-1001 --header type=update --sample - < customer.json
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 connector map --from-topic segment-track --last 50
  connector map --sample order.json --format json

A sample is one record's value, byte for byte: of Avro and Protobuf with the schema id in front, as it lies in Kafka.
For each it shows the change, the condition by which it is skipped, or why it is refused; then every path of the mapping
that found nothing in any sample, with the nearest name, and what the Avro schemas of the samples say. A topic that the
mapping does not name is read as the service reads it: as event version 1, by EVENT_FORMAT.

It SHOWS VALUES, which may be personal data: that is what it is for. It sends and changes nothing, joins no group, and
needs no account at Target; with --sample no Kafka either. EVENT_* and SCHEMA_REGISTRY_* count as for `connector run`.
Exit code 0; 1: a sample is refused, or Kafka or the Schema Registry cannot be read; 2: bad settings, mapping or usage.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "map",
        help="what the mapping makes of samples; shows their values",
        description="Apply the mapping to samples, and show the change, the skip or the refusal of each.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--mapping", metavar="FILE", help="the mapping (default: EVENT_MAPPING_FILE or EVENT_MAPPING)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--sample", metavar="FILE", action="append", help="a record's value, - for stdin; repeatable")
    source.add_argument(
        "--from-topic", metavar="TOPIC", type=_topic, help="read the samples from the end of this topic"
    )
    add(
        "--last",
        type=whole(f"number of records from 1 to {MOST}", 1, MOST),
        metavar="N",
        help=f"with --from-topic: how many records, of all partitions together (default {LAST})",
    )
    add("--topic", type=_topic, help="whose record a file is (default: the only topic of mapping or KAFKA_TOPICS)")
    add("--key", help="the key of the files' records, as text")
    add("--header", type=_header, metavar="NAME=VALUE", action="append", help="a header of theirs; repeatable")
    add("--format", choices=("text", "json"), default="text", help="json: one JSON object (default text)")


def run(args: argparse.Namespace) -> int:
    """Load the mapping, read the samples, say what becomes of them."""
    if wrong := _pointless(args):
        return _say(wrong, BAD_USAGE)
    try:
        return _run(args)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_USAGE
    except Fatal as fatal:
        return _say(str(fatal.failure), BAD_USAGE)
    except ConnectorError as error:
        return _say(str(error), 1)


def _run(args: argparse.Namespace) -> int:
    # Wrong usage is said before the heavy imports.
    from connector.cli.map.samples import NoSample  # noqa: PLC0415
    from connector.cli.map.view import print_json, print_text  # noqa: PLC0415

    try:
        report = _report(args, load(_environ(args)))
    except NoSample as missing:
        return _say(str(missing), 1 if args.from_topic else BAD_USAGE)
    if report is None:
        return BAD_USAGE
    (print_json if args.format == "json" else print_text)(sys.stdout, report)
    return 1 if any(sample.is_refused for sample in report.samples) else 0


def _report(args: argparse.Namespace, settings: Settings) -> "Report | None":
    from connector.cli.map.applied import apply  # noqa: PLC0415 - wrong settings are said before
    from connector.mapping import Mapping  # noqa: PLC0415
    from connector.service.command_reading import command_schemas  # noqa: PLC0415
    from connector.service.reading import event_mapping, reader  # noqa: PLC0415

    mapping = event_mapping(settings, consumed=False)
    consumed = settings.kafka_topics if "KAFKA_TOPICS" in os.environ else []
    topic = args.from_topic or args.topic or only_topic(mapping, consumed)
    if topic is None:
        named = sorted({topic for source in mapping.sources for topic in source.topics} if mapping else consumed)
        _say(f"there are several topics: choose one by --topic ({', '.join(named)})", BAD_USAGE)
        return None
    for note in notes(mapping, consumed, topic):
        _say(note, 0)
    source = None if mapping is None else mapping.source(topic)
    with command_schemas(settings) as schemas:
        # The other sources may need what is not here, such as a registry.
        events = reader(settings, None if source is None else Mapping((source,)), schemas, topics=[topic])
        return apply(events, topic, source, schemas, _samples(args, settings, topic))


def _samples(args: argparse.Namespace, settings: Settings, topic: str) -> "Sequence[Sample]":
    from connector.cli.map.samples import of_files, of_topic  # noqa: PLC0415 - as above

    if args.from_topic:
        return of_topic(settings, topic, args.last or LAST)
    return of_files(args.sample, topic, args.key, args.header or ())


def only_topic(mapping: "Mapping | None", consumed: Sequence[str]) -> str | None:
    """The topic that is meant where none is named; None: it could be several.

    One source reads all its topics alike, so its first stands for them.
    """
    if mapping is not None:
        return mapping.sources[0].topics[0] if len(mapping.sources) == 1 else None
    return (consumed[0] if consumed else _NO_TOPIC) if len(consumed) <= 1 else None


def notes(mapping: "Mapping | None", consumed: Sequence[str], topic: str) -> list[str]:
    """What `connector run` would say of the topics, and here is only worth a line."""
    from connector.mapping import check_topics  # noqa: PLC0415 - `--help` needs none of it
    from connector.mapping.mistakes import meant  # noqa: PLC0415

    if mapping is None:
        return []
    told = [f"{mistake}; `connector run` refuses that" for mistake in check_topics(mapping, consumed or _all(mapping))]
    if mapping.source(topic) is None:
        told.append(
            f"the mapping has no source for {topic}, which is read as event version 1, by EVENT_FORMAT"
            + meant(topic, _all(mapping))
        )
    return told


def _all(mapping: "Mapping") -> list[str]:
    return [topic for source in mapping.sources for topic in source.topics]


def _environ(args: argparse.Namespace) -> Table[str, str]:
    given = _STAND_INS | os.environ
    if args.from_topic:
        given = {name: text for name, text in given.items() if name in os.environ or name != "KAFKA_BOOTSTRAP_SERVERS"}
    if args.mapping is not None:
        given.pop("EVENT_MAPPING", None)
        given["EVENT_MAPPING_FILE"] = args.mapping
    return given


def _pointless(args: argparse.Namespace) -> str:
    """Which options do not go together; empty where they do."""
    if args.from_topic:
        of_files = {"--topic": args.topic, "--key": args.key, "--header": args.header}
        wrong = [name for name, value in of_files.items() if value is not None]
        return f"{', '.join(wrong)} is for --sample: a record of a topic has its own" if wrong else ""
    if args.last is not None:
        return "--last is for --from-topic"
    return "stdin can be read once: give - once" if args.sample.count("-") > 1 else ""


def _topic(text: str) -> str:
    try:
        return topic_name(text)
    except InvalidValue as unfit:
        raise argparse.ArgumentTypeError("; ".join(unfit.reasons)) from unfit


def _header(text: str) -> "Header":
    from connector.cli.map.samples import header  # noqa: PLC0415 - `--help` needs none of it

    try:
        return header(text)
    except ValueError as error:
        msg = f"{text!r} is no NAME=VALUE"
        raise argparse.ArgumentTypeError(msg) from error


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"map: {line}\n")
    return code
