"""`connector produce`: writes events to a topic by hand, each checked first by the connector's own decoder."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from connector.cli.settings import print_mistakes
from connector.errors import CommandError
from connector.events import Change, JsonDecoder, Nulls, Refused
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

Each event is checked by the decoder of `connector run` first; one that it would refuse is not written. Of the settings
only those of Kafka are needed. Events given as arguments are all checked before the first is written; with - each line
of stdin is an event, and the first one that is refused ends the command.
Exit code 0: all written; 1: Kafka failed; 2: bad settings, bad usage, or an event that would be refused.
"""


class Writer(Protocol):
    """Where events go: connector.kafka.event_writer, or a list in tests."""

    def write(self, key: bytes, value: bytes) -> None:
        """Take one record."""


class EventRefused(CommandError):
    """The decoder would refuse this event."""

    def __init__(self, where: str, refused: Refused) -> None:
        """`where` names the argument or the line; the refusal names the field and the rule, never a value."""
        super().__init__(f"{where}: {refused}")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "produce",
        help="writes events to a topic, each checked first",
        description="Check events of version 1, and write them to a Kafka topic.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--topic", type=_topic, help="where to write (default: KAFKA_TOPICS, if it names one topic)")
    add("--key", help="the record's key (default: the visitor's id, which keeps a visitor's events in order)")
    add("event", nargs="+", metavar="EVENT", help="an event as JSON; - reads one from each line of stdin")


def run(args: argparse.Namespace) -> int:
    """Check, write, say what became of it."""
    if STDIN in args.event and len(args.event) > 1:
        return _say("- reads the events from stdin: give it alone, or give events", BAD_USAGE)
    asked = {} if args.topic is None else {"KAFKA_TOPICS": args.topic}
    try:
        settings = load(NO_CLIENT_CODE | os.environ | asked)
        if len(settings.kafka_topics) != 1:
            return _say("KAFKA_TOPICS names several topics: choose one by --topic", BAD_USAGE)
        decode = JsonDecoder(Nulls(settings.event_nulls))
        if args.event == [STDIN]:
            return _write(settings, records(lines(sys.stdin.buffer), decode, args.key))
        # All of them, before Kafka is asked for anything.
        return _write(settings, list(records(arguments(args.event), decode, args.key)))
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_USAGE
    except EventRefused as refused:
        return _say(f"{refused}; nothing was written", BAD_USAGE)


def arguments(events: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each event of the command line."""
    return ((f"event {number}", os.fsencode(text)) for number, text in enumerate(events, 1))


def lines(source: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each line that is not empty."""
    return ((f"line {number}", text.strip()) for number, text in enumerate(source, 1) if text.strip())


def records(
    events: Iterable[tuple[str, bytes]], decode: Callable[[bytes], Change], key: str | None
) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of each event. Raises EventRefused at the first that the decoder refuses."""
    for where, value in events:
        try:
            change = decode(value)
        except Refused as refused:
            raise EventRefused(where, refused) from refused
        yield (change.visitor.id if key is None else key).encode(), value


def write_all(writer: Writer, found: Iterable[tuple[bytes, bytes]]) -> EventRefused | None:
    """Write until the end, or to the first event that is refused, which is returned."""
    try:
        for key, value in found:
            writer.write(key, value)
    except EventRefused as refused:
        return refused
    return None


def _write(settings: Settings, found: Iterable[tuple[bytes, bytes]]) -> int:
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
