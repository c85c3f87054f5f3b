"""The last things that went wrong, kept for the status page: who opens it has no log at hand, or not this replica's."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final

MOST: Final = 20
"""Kinds of trouble that are kept; the one unseen for longest goes first."""
MAX_TEXT: Final = 400
"""Characters of one text: the answer of `/status` is fetched every few seconds."""

_LEVELS: Final = frozenset({"warning", "error", "critical"})
_REASONS: Final = ("code", "logger", "setting", "path", "reason", "detail", "message", "error", "name")
"""The fields that say what happened, in the order in which a person reads them."""
_DIGITS: Final = re.compile(r"\d+")

Redact = Callable[[object, str, MutableMapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of trouble: its newest line, and how often it came. Times are UTC in ISO 8601."""

    event: str
    level: str
    first: str
    last: str
    count: int
    """Occurrences, those that the log left unsaid included."""
    reason: str
    remedy: str
    place: str
    """`topic/partition@offset` of the record, if it is about one."""


class Problems:
    """A structlog processor that passes every line as it came, and keeps what the warnings and errors say.

    It redacts what it keeps, and more strictly than the log does: a page that is open to the cluster's network shows no
    visitor, not even a hashed one, and no stack. Called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], Problem] = OrderedDict()
        self._redactors: tuple[Redact, ...] = ()

    def begin(self, *redactors: Redact) -> None:
        """Forget what was kept; from now on each line passes these, one after the other, before it is kept."""
        with self._lock:
            self._kept.clear()
            self._redactors = redactors

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep it, if it is a warning or worse."""
        if event.get("level") in _LEVELS:
            line: MutableMapping[str, Any] = dict(event)
            for redact in self._redactors:
                line = redact(logger, method, line)
            self._keep(_problem(line))
        return event

    def newest_first(self) -> list[Problem]:
        """What is kept."""
        with self._lock:
            return [*reversed(self._kept.values())]

    def _keep(self, problem: Problem) -> None:
        # An offset or a process number makes no new kind of trouble.
        key = (problem.event, problem.level, _DIGITS.sub("", problem.reason))
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                problem = replace(problem, first=before.first, count=before.count + problem.count)
            self._kept[key] = problem
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)


RECENT: Final = Problems()
"""Of this process, as its logging is: `configure` fills it, the status shows it."""


def _problem(line: Mapping[str, Any]) -> Problem:
    repeated = line.get("repeated")
    time = str(line.get("timestamp", ""))
    return Problem(
        event=str(line.get("event")),
        level=str(line["level"]),
        first=time,
        last=time,
        count=1 + (repeated if isinstance(repeated, int) else 0),
        reason=_cut(": ".join(text for name in _REASONS if (text := line.get(name)) and isinstance(text, str))),
        remedy=_cut(remedy) if isinstance(remedy := line.get("remedy"), str) else "",
        place=_cut(_place(line)),
    )


def _place(line: Mapping[str, Any]) -> str:
    place = str(line.get("topic", ""))
    if isinstance(line.get("partition"), int):
        place += f"/{line['partition']}"
    if isinstance(line.get("offset"), int):
        place += f"@{line['offset']}"
    return place


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"
