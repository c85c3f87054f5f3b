"""What `connector plan` would have read, so that a test of its view or of its advice states only what is special."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from connector.plan import LingerForecast, SurveyResult

DAY: Final = 86_400.0


def found(outlooks: Sequence[LingerForecast], **others: Any) -> SurveyResult:
    """A day's records, in the order of the lingers."""
    usual = SurveyResult(
        asked_since=0.0,
        since=0.0,
        until=DAY,
        records=1_000,
        events=1_000,
        refused=0,
        first_refused="",
        tombstones=0,
        empty=0,
        skipped={},
        timeless=0,
        missing=0,
        outlooks=outlooks,
    )
    return replace(usual, **others)
