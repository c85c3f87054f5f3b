"""Faults as text, `status=503,p=0.1,retry_after=1`: one form for the command line, the sandbox's own API and tests."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, TypeVar

_Number = TypeVar("_Number", int, float)


class Kind(StrEnum):
    """What can go wrong; docs/sandbox.md says of each whether the update was applied."""

    STATUS = "status"
    DELAY = "delay"
    DROP = "drop"
    LOST_ANSWER = "lost_answer"
    HANG = "hang"
    FALSE = "false"
    XML = "xml"
    JSON = "json"
    HTML = "html"
    EMPTY = "empty"
    REDIRECT = "redirect"
    UNAUTHORIZED_AFTER = "unauthorized_after"
    QUOTA = "quota"
    LAG = "lag"
    LOST = "lost"
    REORDERED = "reordered"
    OVERWRITTEN = "overwritten"
    FETCH = "fetch"


PROCESSING: Final = frozenset({Kind.LAG, Kind.LOST, Kind.REORDERED, Kind.OVERWRITTEN})
"""What happens to an update after its answer; the client cannot see it."""


class FaultTextError(ValueError):
    """A fault's text that cannot be read; the message names the part and what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what happens, and to which requests.

    status: HTTP status of the answer. seconds: the delay, the longest hang, the age at which the token ends, the
    quota's window, the time until another writes, or the least lag; most_seconds: the most. requests: the quota's size.
    location: where a redirect points. retry_after: seconds, None for no header. probability: 0 to 1. limit: the largest
    number of hits. visitor_share: 0 to 1, by a hash of the id. visitor_contains: part of the id. start, end: seconds
    since the plan was set.
    """

    text: str
    kind: Kind
    status: int = 200
    seconds: float = 0.0
    most_seconds: float = 0.0
    requests: int = 0
    location: str = "/"
    retry_after: int | None = None
    probability: float = 1.0
    limit: int | None = None
    visitor_share: float | None = None
    visitor_contains: str | None = None
    start: float = 0.0
    end: float = math.inf


_VALUE_HELP: Final = {
    Kind.STATUS: "status=503 (200 to 599)",
    Kind.DELAY: "delay=0.2 (seconds)",
    Kind.HANG: "hang or hang=60 (seconds at most)",
    Kind.XML: "xml or xml=500 (the status)",
    Kind.JSON: "json or json=500 (the status)",
    Kind.HTML: "html or html=502 (the status)",
    Kind.REDIRECT: "redirect or redirect=/elsewhere",
    Kind.UNAUTHORIZED_AFTER: "unauthorized_after=30 (seconds)",
    Kind.QUOTA: "quota=1000/60 (requests/seconds)",
    Kind.LAG: "lag=60 or lag=60-3600 (seconds)",
    Kind.OVERWRITTEN: "overwritten or overwritten=60 (seconds after it was applied)",
    Kind.FETCH: "fetch or fetch=503 (the status)",
}
_DEFAULT_VALUE: Final = {
    Kind.HANG: "60",
    Kind.XML: "500",
    Kind.JSON: "500",
    Kind.HTML: "502",
    Kind.REDIRECT: "/elsewhere",
    Kind.OVERWRITTEN: "1",
    Kind.FETCH: "503",
}
_SECONDS_KINDS: Final = {Kind.DELAY, Kind.HANG, Kind.UNAUTHORIZED_AFTER, Kind.OVERWRITTEN}
_STATUS_KINDS: Final = {Kind.STATUS, Kind.XML, Kind.JSON, Kind.HTML, Kind.FETCH}
_OPTIONS: Final = ("p", "limit", "visitors", "start", "end", "retry_after", "status")


def parse_fault(text: str) -> Fault:
    """Read `kind[=value][,option=value…]`.

    Raises FaultTextError with a message for the person who wrote it.
    """
    head, *rest = (part.strip() for part in text.split(","))
    name, equals, value = head.partition("=")
    try:
        kind = Kind(name)
    except ValueError:
        raise _error(text, f"{name!r} is no kind of fault; known are {', '.join(Kind)}") from None
    options: dict[str, str] = {}
    for part in rest:
        key, _, given = part.partition("=")
        if key not in _OPTIONS or not given or key in options:
            known = ", ".join(f"{option}=…" for option in _OPTIONS)
            raise _error(text, f"{part!r} is no option or given twice; options are {known}")
        options[key] = given
    if not equals:
        value = _DEFAULT_VALUE.get(kind, "")
    seconds, most_seconds, requests = _amounts(text, kind, value)
    status = _status_of(text, kind, value, options.get("status"))
    visitors = options.get("visitors")
    share = _number(text, "visitors", visitors[:-1], 100) / 100 if visitors and visitors.endswith("%") else None
    start = _number(text, "start", options.get("start", "0"))
    end = _number(text, "end", options["end"]) if "end" in options else math.inf
    if end <= start:
        raise _error(text, "end must be later than start")
    return Fault(
        text=text,
        kind=kind,
        status=status,
        seconds=seconds,
        most_seconds=most_seconds,
        requests=requests,
        location=value if kind is Kind.REDIRECT else "/",
        retry_after=_whole(text, "retry_after", options["retry_after"]) if "retry_after" in options else None,
        probability=_number(text, "p", options.get("p", "1"), 1),
        limit=_whole(text, "limit", options["limit"]) if "limit" in options else None,
        visitor_share=share,
        visitor_contains=visitors if share is None else None,
        start=start,
        end=end,
    )


def _amounts(text: str, kind: Kind, value: str) -> tuple[float, float, int]:
    """The least and the most seconds, and the number of requests, after a check that the kind may have a value."""
    if kind not in _VALUE_HELP and value:
        raise _error(text, f"{kind} takes no value")
    if kind in _VALUE_HELP and not value:
        raise _error(text, f"a value is missing, as in {_VALUE_HELP[kind]}")
    if kind in _SECONDS_KINDS:
        return _read(text, kind, value, float), 0.0, 0
    if kind is Kind.QUOTA:
        requests, _, window = value.partition("/")
        return _read(text, kind, window, float), 0.0, _read(text, kind, requests, int)
    if kind is Kind.LAG:
        least, _, most = value.partition("-")
        seconds = _read(text, kind, least, float)
        most_seconds = _read(text, kind, most, float) if most else seconds
        if most_seconds < seconds:
            raise _error(text, f"the second number is the larger one, as in {_VALUE_HELP[kind]}")
        return seconds, most_seconds, 0
    return 0.0, 0.0, 0


def _status_of(text: str, kind: Kind, value: str, option: str | None) -> int:
    """The HTTP status a fault answers with: its value, or for a quota and a redirect the `status` option."""
    if option is not None and kind not in {Kind.QUOTA, Kind.REDIRECT}:
        raise _error(text, f"status=… is an option of {Kind.QUOTA} and {Kind.REDIRECT} only")
    if kind in _STATUS_KINDS:
        status = _read(text, kind, value, int)
    elif option is not None:
        status = _whole(text, "status", option)
    else:
        own = {Kind.QUOTA: 429, Kind.REDIRECT: 302, Kind.UNAUTHORIZED_AFTER: 401}
        status = own.get(kind, int(HTTPStatus.OK))
    if not 200 <= status <= 599:  # noqa: PLR2004 - the range of final HTTP statuses
        raise _error(text, "a status is 200 to 599")
    return status


def _read(text: str, kind: Kind, value: str, number: Callable[[str], _Number]) -> _Number:
    try:
        result = number(value)
    except ValueError:
        raise _error(text, f"{value!r} is no number, write {_VALUE_HELP[kind]}") from None
    if not 0 < result < math.inf:
        raise _error(text, f"{value!r} must be above 0, as in {_VALUE_HELP[kind]}")
    return result


def _number(text: str, option: str, value: str, highest: float = math.inf) -> float:
    try:
        result = float(value)
    except ValueError:
        result = math.nan
    if not (0 <= result <= highest and result != math.inf):
        bound = "0 or more" if highest == math.inf else f"0 to {highest:g}"
        raise _error(text, f"{option} is a number, {bound}, not {value!r}")
    return result


def _whole(text: str, option: str, value: str) -> int:
    number = _number(text, option, value)
    if not number.is_integer():
        raise _error(text, f"{option} is a whole number, not {value!r}")
    return int(number)


def _error(text: str, problem: str) -> FaultTextError:
    return FaultTextError(f"fault {text!r}: {problem}")
