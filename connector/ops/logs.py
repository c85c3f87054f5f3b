"""One JSON object a line: the program's own events and the libraries' messages, in one form, by one redaction."""

import io
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog
from structlog.types import Processor

from connector.ops.events import add_remedy, name_unlisted
from connector.ops.failures import current, describe, places
from connector.ops.lines import FLUSH_SECONDS, Lines
from connector.ops.problems import RECENT
from connector.ops.redact import Redactor, VisitorIds
from connector.ops.repeats import Repeats

__all__ = ["Format", "Redactor", "VisitorIds", "configure", "learn", "unblocked"]

Format = Literal["json", "console"]

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ENCODER: Final = msgspec.json.Encoder()
_DIGITS: Final = re.compile(r"\d+")
"""A port or an address in memory makes no new kind of trouble."""
_TIMESTAMP: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)


class _Output:
    """Where lines go. Loggers are cached for good and hold this one, so that a second `configure` reaches them too."""

    __slots__ = ("_lines", "_lock", "_stream")

    def __init__(self) -> None:
        self._stream: TextIO | None = sys.stdout
        self._lines: Lines | None = None
        self._lock = threading.Lock()

    def redirect(self, stream: TextIO | None) -> None:
        """Write to `stream` from now on; None: nowhere."""
        with self._lock:
            self._stream = stream

    def buffer(self, lines: Lines | None) -> None:
        """Give lines to this, which never waits, instead of the stream; None: to the stream again."""
        self._lines = lines

    @property
    def stream(self) -> TextIO | None:
        """What is written to."""
        return self._stream

    def write(self, line: str) -> None:
        """One line, whole even when threads write at once. A reader that has gone away must not stop a delivery."""
        if (lines := self._lines) is not None:
            lines.put(line + "\n")
            return
        with self._lock:
            try:
                if self._stream is not None:
                    self._stream.write(line + "\n")
                    self._stream.flush()
            except (OSError, ValueError):
                return

    debug = info = warning = error = critical = write


@contextmanager
def unblocked(seconds: float = FLUSH_SECONDS) -> Iterator[None]:
    """Within it no line waits for its reader; at the end at most `seconds` are spent on what is left.

    If that is not enough, nobody reads: nothing is written any more, since the next line would wait for ever.
    """
    lines = _lines()
    if lines is None:
        yield
        return
    _OUTPUT.buffer(lines)
    try:
        yield
    finally:
        if not lines.close(seconds):
            _OUTPUT.redirect(None)
        _OUTPUT.buffer(None)


def _lines() -> Lines | None:
    """A buffer for what is written to now; None: that is no file, or there are no more descriptors."""
    stream = _OUTPUT.stream
    try:
        return (
            None
            if stream is None
            else Lines(
                stream.fileno(),
                lambda missing: log.warning("log_lines_dropped", lines=missing),
                encoding=stream.encoding or "utf-8",
            )
        )
    except (OSError, ValueError):
        return None


class _LibraryHandler(logging.Handler):
    """Takes what libraries say by the standard library's logging; their warnings once, and then ever more rarely."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()  # The standard library calls `emit` under a lock.

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; one whose message cannot be made is said to be such, without its arguments."""
        try:
            if not self._admit(record):
                return
            line = self.format(record)
        except Exception:  # noqa: BLE001 - the default answer to it prints the arguments, unredacted, to stderr
            record = logging.makeLogRecord({"name": record.name, "levelname": record.levelname, "msg": "(unprintable)"})
            line = self.format(record)
        _OUTPUT.write(line)

    def _admit(self, record: logging.LogRecord) -> bool:
        """Whether it is its turn; how many were left unsaid goes along."""
        if record.levelno < logging.WARNING:
            return True
        key = record.name, record.levelno, _DIGITS.sub("", record.getMessage())
        swallowed = self._repeats.admit(key, time.monotonic())
        setattr(record, _REPEATED, swallowed)
        return swallowed is not None


_REPEATED: Final = "connector_repeated"
"""Where a library's record carries the count of its like that were left unsaid."""
_OUTPUT: Final = _Output()
_PROCESSORS: Final[list[Processor]] = []
"""Changed in place: the loggers that are cached hold this very list."""


def configure(
    level: str, fmt: Format, visitor_ids: VisitorIds, stream: TextIO, secrets: Iterable[str] = ()
) -> Redactor:
    """Set up the process's logging: `structlog.get_logger()` and the standard library's, both to `stream`.

    `level` is debug, info, warning, error or critical (any case; ValueError for another); each logger keeps the level
    of its first use. `secrets` are texts that no line may hold; `learn` adds to them.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        msg = f"no such log level: {level}"
        raise ValueError(msg)
    if isinstance(stream, io.TextIOWrapper):
        # JSON is UTF-8 whatever the locale says, and an odd character must never cost the line.
        stream.reconfigure(encoding="utf-8" if fmt == "json" else None, errors="backslashreplace")
    _OUTPUT.redirect(stream)
    secrets = tuple(secrets)
    redactor = Redactor(visitor_ids, secrets)
    RECENT.begin(Redactor(VisitorIds.OMIT, secrets), redactor)
    last: list[Processor] = [add_remedy, RECENT, redactor, _json if fmt == "json" else _Console(colors=stream.isatty())]
    _PROCESSORS[:] = [name_unlisted, structlog.processors.add_log_level, _TIMESTAMP, _exceptions, *last]
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        context_class=dict,
        logger_factory=lambda *_: _OUTPUT,
        cache_logger_on_first_use=True,
    )
    _configure_libraries(threshold, last)
    return redactor


def learn(secret: str, *, lasting: bool = False) -> None:
    """No line may hold this text either, from now on; unless it is `lasting`, newer ones push it out in the end."""
    for each in _PROCESSORS:
        if isinstance(each, Redactor):
            each.learn(secret, lasting=lasting)


def _configure_libraries(threshold: int, last: list[Processor]) -> None:
    handler = _LibraryHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_library, _TIMESTAMP, _exceptions],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for ours in [each for each in root.handlers if isinstance(each, _LibraryHandler)]:
        root.removeHandler(ours)
    root.addHandler(handler)
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)
    # A line for each probe and each scrape says nothing that the metrics do not.
    logging.getLogger("aiohttp.access").disabled = True


def _from_library(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record: logging.LogRecord = event["_record"]
    message = event["event"]
    event.update(event="library_log", level=record.levelname.lower(), logger=record.name, message=message)
    if swallowed := getattr(record, _REPEATED, 0):
        event["repeated"] = swallowed
    return event


def _exceptions(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`exc_info` becomes `error` (unless the caller said one) and `stack`; local variables are never read."""
    event.pop("stack_info", None)
    error = current(event.pop("exc_info", None))
    if error is not None:
        event.setdefault("error", describe(error))
        event["stack"] = places(error)
    return event


def _json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return _ENCODER.encode(event).decode()


class _Console:
    """For people: one line an event, and a stack below it. Strings are quoted, so that no text can forge a line."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, repr_native_str=True, sort_keys=False)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        stack = event.pop("stack", None)
        below = stack if isinstance(stack, list) else []
        return "\n    ".join([self._render(logger, method, event), *below])
