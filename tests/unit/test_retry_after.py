"""The header Retry-After in every form that a server may give it."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, formatdate

import pytest

from connector.retry_after import parse_retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("999999999", 86_400.0),
        ("9" * 5_000, 86_400.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        (formatdate(NOW + 10**7, usegmt=True), 86_400.0),
        (format_datetime(datetime.fromtimestamp(NOW + 60, timezone(timedelta(hours=-5)))), 60.0),
        ("Fri, 15 Jan 2027 08:00:10 -0000", 10.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999", None),
    ],
)
def test_retry_after_in_every_form(text: str | None, seconds: float | None) -> None:
    """Seconds and dates are read; what makes no sense is as if it were not said; nothing waits longer than a day."""
    assert parse_retry_after(text, NOW) == seconds
