"""Runs the real logging set-up into a buffer and restores the previous one, so that tests do not share log lines."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from connector.kafka.config import LIBRDKAFKA
from connector.ops.logs import Format, Redactor, VisitorIds, configure


def as_logged(text: str) -> str:
    """A text after redaction without known secrets: our own words must come back unchanged."""
    return str(Redactor(VisitorIds.HASH)(None, "", {"event": "", "detail": text})["detail"])


class Captured:
    """The lines so far."""

    def __init__(self, stream: io.StringIO, redactor: Redactor) -> None:
        self.stream = stream
        self.redactor = redactor

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.split("\n")[:-1]]


def _threads() -> set[int]:
    """What the system calls the threads of this process, also those of librdkafka; none where it does not list them."""
    return {int(each.name) for each in Path("/proc/self/task").glob("*")}


def _of_threads_other_than(these: set[int]) -> Callable[[logging.LogRecord], bool]:
    return lambda _: threading.get_native_id() not in these


@contextmanager
def captured_logs(
    *,
    level: str = "debug",
    fmt: Format = "json",
    visitor_ids: VisitorIds = VisitorIds.HASH,
    secrets: Iterable[str] = (),
    stream: io.StringIO | None = None,
) -> Iterator[Captured]:
    """Configure as the program does, and restore on exit.

    A Kafka client that an earlier test has left behind may live for some seconds, and log that its broker has gone:
    lines of its threads are left out.
    """
    others = _of_threads_other_than(_threads() - {threading.get_native_id()})
    root, access = logging.getLogger(), logging.getLogger("aiohttp.access")
    before = list(root.handlers), root.level, access.disabled
    stream = io.StringIO() if stream is None else stream
    root.handlers.clear()
    LIBRDKAFKA.addFilter(others)
    try:
        redactor = configure(level, fmt, visitor_ids, stream, secrets)
        # Else a logger that is first used in here keeps this level, and its output, for all tests that follow.
        structlog.configure(cache_logger_on_first_use=False)
        yield Captured(stream, redactor)
    finally:
        LIBRDKAFKA.removeFilter(others)
        logging.captureWarnings(capture=False)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        access.disabled = before[2]
        structlog.reset_defaults()
