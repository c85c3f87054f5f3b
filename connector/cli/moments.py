"""A time as text, also where what others wrote gives one that no calendar of Python holds."""

from datetime import UTC, datetime

NO_TIME = "no-time"
"""Stands for the timestamp of a record that has none: Kafka's number for that is -1."""


def utc_text(milliseconds: int) -> str:
    """As UTC in ISO 8601, `2026-11-22T10:15:00Z`; outside the years 1 to 9999 seconds since 1970, `@253402300800`."""
    if milliseconds == -1:
        return NO_TIME
    try:
        moment = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"@{milliseconds // 1_000}"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def local_text(seconds: float) -> str:
    """By this machine's zone, with the day, `Sun 22 Nov 11:15:00 CET`; beyond its calendar the seconds since 1970."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%a %d %b %H:%M:%S %Z}"
    except (ValueError, OverflowError, OSError):
        return f"@{seconds:.0f}"
