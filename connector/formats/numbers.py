"""Numbers and times of binary formats as the text that is sent."""

import functools
import struct
from datetime import date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the text gets its `Z`, or none where the type has no zone.
_EPOCH_ORDINAL = _EPOCH.toordinal()
_SINGLE = struct.Struct("<f")
_SMALLEST_NORMAL = 2.0**-126
_BEYOND_SINGLE = 2.0**128 - 2.0**103  # What rounds to a 32-bit number is below this.
_SECONDS_PER_DAY = 86_400
_SURE = 8  # characters: 6 digits, which 32 bits always hold, with point and sign.
_NANOS = 1_000_000_000
NOT_FINITE = frozenset({"nan", "inf", "-inf"})
"""What Python writes for a number that is none."""


def double_text(value: float) -> str | float:
    """Return the shortest text that gives the number back; NaN and infinities stay what they are."""
    text = repr(value)
    return value if text in NOT_FINITE else text


def single_text(value: float) -> str | float:
    """Return the shortest text that gives the 32-bit number back: `0.1`, not `0.10000000149011612`."""
    text = repr(value)
    if text in NOT_FINITE:
        return value
    if len(text) <= _SURE and "e" not in text:
        return text
    return _shortest_single(value)


@functools.lru_cache(4_096)
def _shortest_single(value: float) -> str:
    fewest = 6 if abs(value) >= _SMALLEST_NORMAL else 1
    for digits in range(fewest, 9):
        short = float(f"{value:.{digits}g}")
        if abs(short) < _BEYOND_SINGLE and _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return repr(short)
    return repr(float(f"{value:.9g}"))


def decimal_text(unscaled: bytes, scale: int) -> str:
    """Return a two's complement big-endian number with its scale kept: `12.30`.

    ValueError when it has more digits than Python writes (4,300).
    """
    number = int.from_bytes(unscaled, "big", signed=True)
    digits = str(abs(number))
    if scale:
        digits = digits.rjust(scale + 1, "0")
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    return f"-{digits}" if number < 0 else digits


def date_text(days: int) -> str:
    """Return the date `days` after 1970-01-01; OverflowError outside years 1 to 9999."""
    try:
        return date.fromordinal(_EPOCH_ORDINAL + days).isoformat()
    except ValueError:
        raise OverflowError from None


@functools.lru_cache(4_096)
def second_text(seconds: int) -> str:
    """Return a date and time to the second; OverflowError outside years 1 to 9999. Events of an hour share them."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def local_millis(value: int) -> str:
    """Return a date and time without zone; OverflowError outside years 1 to 9999, as for all that follow."""
    return f"{second_text(value // 1_000)}.{value % 1_000:03}"


def local_micros(value: int) -> str:
    """Return a date and time without zone."""
    return f"{second_text(value // 1_000_000)}.{value % 1_000_000:06}"


def local_nanos(value: int) -> str:
    """Return a date and time without zone."""
    return f"{second_text(value // _NANOS)}.{value % _NANOS:09}"


def utc_millis(value: int) -> str:
    """Return RFC 3339 in UTC."""
    return f"{second_text(value // 1_000)}.{value % 1_000:03}Z"


def utc_micros(value: int) -> str:
    """Return RFC 3339 in UTC."""
    return f"{second_text(value // 1_000_000)}.{value % 1_000_000:06}Z"


def utc_nanos(value: int) -> str:
    """Return RFC 3339 in UTC."""
    return f"{second_text(value // _NANOS)}.{value % _NANOS:09}Z"


def utc_seconds(seconds: int, nanos: int) -> str:
    """Return RFC 3339 in UTC with 0, 3, 6 or 9 digits of the second; OverflowError outside years 1 to 9999."""
    if not 0 <= nanos < _NANOS:
        raise OverflowError
    return f"{second_text(seconds)}{_fraction(nanos)}Z"


def duration_text(seconds: int, nanos: int) -> str:
    """Return a duration as Protobuf writes it in JSON: `-1.500s`."""
    if seconds < 0 < nanos or nanos < 0 < seconds or abs(nanos) >= _NANOS:
        raise OverflowError
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def time_of_day(units: int, per_second: int, timespec: str) -> str:
    """Return a time of a day; OverflowError when it is outside a day."""
    seconds, rest = divmod(units, per_second)
    if not 0 <= seconds < _SECONDS_PER_DAY:
        raise OverflowError
    return (
        (_EPOCH + timedelta(seconds=seconds, microseconds=rest * (1_000_000 // per_second))).time().isoformat(timespec)
    )


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    text = f"{nanos:09}"
    if text.endswith("000000"):
        return f".{text[:3]}"
    return f".{text[:6]}" if text.endswith("000") else f".{text}"
