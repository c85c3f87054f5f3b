"""The last things that went wrong, kept for the status page: who opens it has no log at hand, or not this replica's."""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

MOST: Final = 20
"""Kinds of trouble that are kept; the one unseen for longest goes first."""
MAX_TEXT: Final = 400
"""Characters of one text: the answer of `/status` is fetched every few seconds."""

MAX_FIELD: Final = 200
"""Characters of a field's name, which a producer chooses."""

_LEVELS: Final = frozenset({"warning", "error", "critical"})
_REASONS: Final = ("code", "logger", "setting", "path", "reason", "detail", "message", "error", "name")
"""The fields that say what happened, in the order in which a person reads them."""
_CAUSES: Final = frozenset({"kafka_unreachable", "kafka_authentication_failed"})
"""Each is one entry, whatever broker its newest line is about."""
_EFFECTS: Final = frozenset(
    {"commit_failed", "quota_ledger_delayed", "dead_letter_delayed", "dead_letter_topic_unavailable"}
)
"""What comes of a cause is no trouble of its own while the cause lasts."""
_OVER: Final = "kafka_reached"
_EFFECT_SECONDS: Final = 60.0
"""An effect may be said this long before its cause."""
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
    field: str = ""
    """The event's field that was refused; `reason` begins with it."""


class Problems:
    """A structlog processor that passes every line as it came, and keeps what the warnings and errors say.

    It redacts what it keeps, and more strictly than the log does: a page that is open to the cluster's network shows no
    visitor, not even a hashed one, and no stack. Called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], Problem] = OrderedDict()
        self._redactors: tuple[Redact, ...] = ()
        self._has_cause = False

    def begin(self, *redactors: Redact) -> None:
        """Forget what was kept; from now on each line passes these, one after the other, before it is kept."""
        with self._lock:
            self._kept.clear()
            self._has_cause = False
            self._redactors = redactors

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep it, if it is a warning or worse, and not what a cause that is kept brings about."""
        name = event.get("event")
        if name == _OVER:
            self._has_cause = False
        if name in _EFFECTS and self._has_cause:
            return event
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
        is_cause = problem.event in _CAUSES
        # An offset or a process number makes no new kind of trouble, nor does the name of a field.
        kind = "" if is_cause else _DIGITS.sub("", problem.reason.removeprefix(problem.field))
        key = (problem.event, problem.level, kind)
        with self._lock:
            if is_cause and not self._has_cause:
                self._has_cause = True
                self._forget_effects(problem.last)
            before = self._kept.pop(key, None)
            if before is not None:
                problem = replace(problem, first=before.first, count=before.count + problem.count)
            self._kept[key] = problem
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def _forget_effects(self, now: str) -> None:
        for key, kept in list(self._kept.items()):
            if kept.event in _EFFECTS and _seconds_between(kept.last, now) <= _EFFECT_SECONDS:
                del self._kept[key]


RECENT: Final = Problems()
"""Of this process, as its logging is: `configure` fills it, the status shows it."""


def _problem(line: Mapping[str, Any]) -> Problem:
    repeated = line.get("repeated")
    time = str(line.get("timestamp", ""))
    said = ": ".join(text for name in _REASONS if (text := line.get(name)) and isinstance(text, str))
    field = _cut(named, MAX_FIELD) if isinstance(named := line.get("field"), str) else ""
    return Problem(
        event=str(line.get("event")),
        level=str(line["level"]),
        first=time,
        last=time,
        count=1 + (repeated if isinstance(repeated, int) else 0),
        reason=_cut(f"{field} {said}" if field else said),
        remedy=_cut(remedy) if isinstance(remedy := line.get("remedy"), str) else "",
        place=_cut(_place(line)),
        field=field,
    )


def _place(line: Mapping[str, Any]) -> str:
    place = str(line.get("topic", ""))
    if isinstance(line.get("partition"), int):
        place += f"/{line['partition']}"
    if isinstance(line.get("offset"), int):
        place += f"@{line['offset']}"
    return place


def _seconds_between(earlier: str, later: str) -> float:
    """Infinitely many where a line has no time."""
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    except ValueError:
        return math.inf


def _cut(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[:most] + " …"
