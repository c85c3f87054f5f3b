"""`connector produce`: writes events to a topic by hand, each checked first by the connector's own decoder."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from connector.cli.settings import print_mistakes
from connector.decoding import EventReader, GivenRecord
from connector.errors import CommandError, Fatal
from connector.events import Change, Refused
from connector.mapping import Item, Skip
from connector.settings import BadSettings, Settings, load
from connector.settings.errors import InvalidValue
from connector.settings.formats import topic

BAD_USAGE: Final = 2
STDIN: Final = "-"
NO_CLIENT_CODE: Final = {"TARGET_CLIENT_CODE": "none"}
"""Nothing is sent to Target, so no account is needed."""

_EXAMPLE: Final = """\
example:
  export KAFKA_BOOTSTRAP_SERVERS=localhost:9092
  connector produce --topic profile-changes '{"mbox3rdPartyId": "123456", "profile": {"loyaltyTier": "gold"}}'
  connector produce --topic profile-changes - < events.jsonl

Each event is first checked as `connector run` would read it: by event version 1, or by the mapping's source of the
topic. One that it would refuse is not written, and one that it would skip is told. What a Schema Registry's serializer
writes (Avro, Protobuf, JSON Schema) cannot be typed, and is not written. Only the settings of Kafka are needed.
Events given as arguments are all checked before the first is written; with - each line of stdin is an event, and the
first one that is refused ends the command.
Exit code 0: all written; 1: Kafka failed; 2: bad settings, bad usage, or an event that would be refused.
"""


class Writer(Protocol):
    """Where events go: connector.kafka.event_writer, or a list in tests."""

    def write(self, key: bytes | None, value: bytes) -> None:
        """Take one record."""


class EventRefused(CommandError):
    """The service would refuse this event."""

    def __init__(self, where: str, refused: Refused, item: int | None = None) -> None:
        """`where` names the argument or the line; the refusal names the field and the rule, never a value."""
        super().__init__(f"{where}: {refused}" if item is None else f"{where} item {item}: {refused}")


class NotTyped(CommandError):
    """Records of this topic cannot be typed."""

    def __init__(self, topic: str, form: str) -> None:
        super().__init__(
            f"{topic} is read as {form}: its records begin with a schema id of the Schema Registry, which this command "
            "does not write; use the registry's own serializer, and `connector map` to see what becomes of its records"
        )


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "produce",
        help="writes events to a topic, each checked first",
        description="Check events as the service would, and write them to a Kafka topic.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--topic", type=_topic, help="where to write (default: KAFKA_TOPICS, if it names one topic)")
    add("--key", help="the record's key (default: the first visitor's id, which keeps a visitor's events in order)")
    add("event", nargs="+", metavar="EVENT", help="an event as JSON; - reads one from each line of stdin")


def run(args: argparse.Namespace) -> int:
    """Check, write, say what became of it."""
    if STDIN in args.event and len(args.event) > 1:
        return _say("- reads the events from stdin: give it alone, or give events", BAD_USAGE)
    try:
        return _run(args)
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_USAGE
    except (Fatal, NotTyped) as wrong:
        return _say(str(wrong), BAD_USAGE)
    except EventRefused as refused:
        return _say(f"{refused}; nothing was written", BAD_USAGE)


def _run(args: argparse.Namespace) -> int:
    asked = {} if args.topic is None else {"KAFKA_TOPICS": args.topic}
    settings = load(NO_CLIENT_CODE | os.environ | asked)
    if len(settings.kafka_topics) != 1:
        return _say("KAFKA_TOPICS names several topics: choose one by --topic", BAD_USAGE)
    check = Checked(_reader(settings), settings.kafka_topics[0], args.key)
    if args.event == [STDIN]:
        return _write(settings, check, check.records(lines(sys.stdin.buffer)))
    # All of them, before Kafka is asked for anything.
    return _write(settings, check, list(check.records(arguments(args.event))))


def _reader(settings: Settings) -> EventReader:
    """Raises `NotTyped`, and what reading the mapping raises."""
    from connector.mapping import Format, Mapping  # noqa: PLC0415 - `--help` needs none of it
    from connector.service.reading import event_mapping, reader  # noqa: PLC0415

    (name,) = settings.kafka_topics
    mapping = event_mapping(settings, consumed=False)
    source = None if mapping is None else mapping.source(name)
    form = settings.event_format.replace("_", "-") if source is None else str(source.format)
    if form in (Format.AVRO, Format.PROTOBUF, Format.JSON_SCHEMA):
        raise NotTyped(name, form)
    return reader(settings, None if source is None else Mapping((source,)), None)


def arguments(events: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each event of the command line."""
    return ((f"event {number}", os.fsencode(text)) for number, text in enumerate(events, 1))


def lines(source: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each line that is not empty."""
    return ((f"line {number}", text.strip()) for number, text in enumerate(source, 1) if text.strip())


class Checked:
    """Reads each event as the service would, before it is written."""

    def __init__(self, events: EventReader, topic: str, key: str | None) -> None:
        self._events = events
        self._topic = topic
        self._key = None if key is None else key.encode()
        self.skips: Counter[str] = Counter()
        """By condition, the events that the service will skip."""

    def records(self, events: Iterable[tuple[str, bytes]]) -> Iterator[tuple[bytes | None, bytes]]:
        """Give key and value of each event. Raises EventRefused at the first of which something would be refused."""
        for where, value in events:
            items = self._items(where, value)
            for place, item in enumerate(items):
                if isinstance(item, Refused):
                    raise EventRefused(where, item, place) from item
                if isinstance(item, Skip):
                    self.skips[item.condition] += 1
            first = next((item for item in items if isinstance(item, Change)), None)
            yield first.visitor.id.encode() if self._key is None and first is not None else self._key, value

    def _items(self, where: str, value: bytes) -> tuple[Item, ...]:
        try:
            outcome = self._events(GivenRecord(self._topic, value, key=self._key))
        except Refused as refused:
            raise EventRefused(where, refused) from refused
        if outcome is None:
            return ()
        return (outcome,) if isinstance(outcome, Skip) else outcome.items


def write_all(writer: Writer, found: Iterable[tuple[bytes | None, bytes]]) -> EventRefused | None:
    """Write until the end, or to the first event that is refused, which is returned."""
    try:
        for key, value in found:
            writer.write(key, value)
    except EventRefused as refused:
        return refused
    return None


def _write(settings: Settings, check: Checked, found: Iterable[tuple[bytes | None, bytes]]) -> int:
    # Wrong settings and wrong events are said before Kafka's client is loaded.
    from connector.kafka.errors import KafkaUnavailable  # noqa: PLC0415
    from connector.kafka.event_writer import EventWriter  # noqa: PLC0415
    from connector.service import kafka_config  # noqa: PLC0415

    (name,) = settings.kafka_topics
    writer = None
    try:
        writer = EventWriter(kafka_config(settings), name)
        refused = write_all(writer, found)
        writer.finish()
    except KafkaUnavailable as failed:
        return _say(f"{_count(writer.written if writer else 0)} written; Kafka failed: {failed}", 1)
    for condition, count in check.skips.items():
        _say(f"{_count(count)} of them will be skipped: `{condition}` does not hold", 0)
    if refused is not None:
        return _say(f"{refused}; {_count(writer.written)} written before it", BAD_USAGE)
    place = f" (partition {writer.last[0]}, offset {writer.last[1]})" if writer.written == 1 and writer.last else ""
    sys.stdout.write(f"{_count(writer.written)} written to {name}{place}\n")
    return 0


def _topic(text: str) -> str:
    try:
        return topic(text)
    except InvalidValue as unfit:
        raise argparse.ArgumentTypeError("; ".join(unfit.reasons)) from unfit


def _count(number: int) -> str:
    return f"{number} event" if number == 1 else f"{number} events"


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"produce: {line}\n")
    return code
