"""The brake on dead letters, so that a wrong setting does not move a whole topic into the dead-letter topic."""

from collections import deque

RECENT = 1_000


class DeadLetterLimit:
    """Watches one stage (decoding, or Target's verdict) for too many dead letters, in a row or among the last 1,000.

    A stage of its own each, because they settle at different times: records that cannot be decoded are known at once,
    those that can only after a linger and a request, so in one common row the bad ones would always come first.
    """

    __slots__ = ("_failures", "_in_a_row", "_max_in_a_row", "_max_ratio", "_settled")

    def __init__(self, max_in_a_row: int, max_ratio: float) -> None:
        """0 turns either limit off."""
        self._max_in_a_row = max_in_a_row
        self._max_ratio = max_ratio
        self._settled = 0
        self._in_a_row = 0
        self._failures: deque[int] = deque()

    def passed(self, count: int) -> None:
        """Count records or updates that got through this stage."""
        if count:
            self._settled += count
            self._in_a_row = 0

    def failed(self) -> str | None:
        """One is to be a dead letter; returns the reason to stop instead, if there is one.

        A merged update is one, however many records it stands for: one bad visitor must not look like a bad set-up.
        """
        self._settled += 1
        self._in_a_row += 1
        self._failures.append(self._settled)
        while self._failures[0] <= self._settled - RECENT:
            self._failures.popleft()
        if self._max_in_a_row and self._in_a_row > self._max_in_a_row:
            return f"{self._in_a_row} dead letters in a row, DEAD_LETTER_MAX_CONSECUTIVE is {self._max_in_a_row}"
        share = len(self._failures) / RECENT
        if self._max_ratio and self._settled >= RECENT and share > self._max_ratio:
            limit = f"DEAD_LETTER_MAX_RATIO is {self._max_ratio}"
            return f"{share:.1%} of the last {RECENT} are dead letters, {limit}"
        return None
