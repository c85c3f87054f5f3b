"""Where samples come from: files, stdin, or the end of a topic."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from connector.cli.map.applied import Sample
from connector.cli.moments import utc_text
from connector.decoding import GivenRecord
from connector.errors import CommandError
from connector.settings import Settings

STDIN: Final = "-"
Header = tuple[str, bytes]


class NoSample(CommandError):
    """What was named as a sample cannot be read."""


def of_files(names: Sequence[str], topic: str, key: str | None, headers: Sequence[Header]) -> list[Sample]:
    """One record's value a file, byte for byte; `-` is stdin. Raises `NoSample`."""
    return [
        Sample(
            "stdin" if name == STDIN else name,
            GivenRecord(topic, _read(name), key=None if key is None else key.encode(), headers=headers),
        )
        for name in names
    ]


def of_topic(settings: Settings, topic: str, number: int) -> list[Sample]:
    """The last records of a topic by their timestamps, read beside the group. Raises `NoSample`."""
    # With files no client of Kafka is needed.
    from connector.kafka.inspect.tail_reader import last_records  # noqa: PLC0415
    from connector.service import kafka_config  # noqa: PLC0415

    found = last_records(kafka_config(settings), [topic], of_each_partition=number)
    if found.trouble is not None and not found.records:
        msg = f"{topic} cannot be read: {found.trouble.detail or found.trouble.code}; {found.trouble.hint}"
        raise NoSample(msg)
    records = sorted(found.records, key=lambda one: (one.timestamp()[1], one.partition(), one.offset()))
    return [
        Sample(f"{topic}/{one.partition()} offset {one.offset()}, {utc_text(one.timestamp()[1])}", one)
        for one in records[-number:]
    ]


def header(text: str) -> Header:
    """Read `NAME=VALUE`; a value's text is its bytes in UTF-8. Raises ValueError."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(text)
    return name, value.encode()


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror}"
        raise NoSample(msg) from error
