"""Logs what can happen many times a second: once, then with backoff and a count of what was left unsaid."""

import re
from collections.abc import Callable

import structlog

from connector.ops.repeats import Repeats

log: structlog.stdlib.BoundLogger = structlog.get_logger()


_DIGITS = re.compile(r"\d+")
"""A place in a record or a process number makes no new kind of trouble."""


class ThrottledLogger:
    """Called as `say("circuit_opened", reason=…)`; `about` keeps apart what should not silence each other."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._repeats = Repeats()

    def __call__(self, event: str, *, level: str = "warning", about: str = "", **fields: object) -> None:
        """Log it, if it is its turn."""
        swallowed = self._repeats.admit((event, _DIGITS.sub("", about)), self._now())
        if swallowed is not None:
            getattr(log, level)(event, **fields, **({"repeated": swallowed} if swallowed else {}))
