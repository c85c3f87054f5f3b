"""The brake on dead letters, so that a wrong setting does not move a whole topic into the dead-letter topic."""

from collections import deque

RECENT = 1_000


class DeadLetterGuard:
    """Watches one stage (decoding, or Target's verdict) for too many dead letters, in a row or among the last 1,000.

    A stage of its own each, because they settle at different times: records that cannot be decoded are known at once,
    those that can only after a linger and a request, so in one common row the bad ones would always come first.
    """

    __slots__ = ("_failures", "_in_a_row", "_max_in_a_row", "_max_ratio", "_recent_failures", "_settled")

    def __init__(self, max_in_a_row: int, max_ratio: float) -> None:
        """0 turns either limit off."""
        self._max_in_a_row = max_in_a_row
        self._max_ratio = max_ratio
        self._settled = 0
        self._in_a_row = 0
        self._failures: deque[tuple[int, int]] = deque()
        self._recent_failures = 0

    def passed(self, records: int) -> None:
        """So many records got through this stage."""
        if records:
            self._settled += records
            self._in_a_row = 0

    def failed(self, records: int) -> str | None:
        """So many records are to be dead letters; the reason to stop instead, if there is one."""
        self._settled += records
        self._in_a_row += records
        self._failures.append((self._settled, records))
        self._recent_failures += records
        while self._failures[0][0] <= self._settled - RECENT:
            self._recent_failures -= self._failures.popleft()[1]
        if self._max_in_a_row and self._in_a_row > self._max_in_a_row:
            return f"{self._in_a_row} dead letters in a row, DEAD_LETTER_MAX_CONSECUTIVE is {self._max_in_a_row}"
        ended, weight = self._failures[0]
        outside = max(0, self._settled - RECENT - (ended - weight))
        share = (self._recent_failures - outside) / RECENT
        if self._max_ratio and self._settled >= RECENT and share > self._max_ratio:
            limit = f"DEAD_LETTER_MAX_RATIO is {self._max_ratio}"
            return f"{share:.1%} of the last {RECENT} records are dead letters, {limit}"
        return None
