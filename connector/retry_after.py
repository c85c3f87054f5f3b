"""The header Retry-After, which every HTTP service may send."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_AFTER_SECONDS = 86_400.0
"""Nothing longer is believed: a quota's window is a day."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")


def parse_retry_after(text: str | None, now_epoch: float) -> float | None:
    """Seconds to wait, by RFC 9110 section 10.2.3 (seconds or a date), at most a day; None when it says nothing usable.

    A date that has passed is 0. A negative number is no valid value, so it says nothing.
    """
    if text is None:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.fromtimestamp(now_epoch, UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS)
