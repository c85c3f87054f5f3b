"""How many letters of each reason there are and what became of them, in the words of both commands."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from connector.cli.terminal import printable
from connector.kafka.inspect.dead_letter_format import Letter, ReplayState

MOST_REASONS: Final = 1_000
"""Reasons that are told apart; a reason may name a field, and a producer chooses the names of its fields."""
SHOWN_REASONS: Final = 10
SHOWN_TEXT: Final = 100
OTHERS: Final = ("", "other reasons")
LEFT: Final = "left"

Reason = tuple[str, str]
"""The class of the error and its message."""


class Counters:
    """Counts by reason; bounded, whatever the letters hold."""

    def __init__(self) -> None:
        self._by_reason: dict[Reason, Counter[str]] = {}
        self.total: Counter[str] = Counter()

    def count(self, letter: Letter, fate: ReplayState | None, number: int = 1) -> None:
        """None: it is left where it is, to be replayed."""
        reason = letter.error or "?", letter.reason
        if reason not in self._by_reason and len(self._by_reason) >= MOST_REASONS:
            reason = OTHERS
        name = LEFT if fate is None else str(fate)
        self._by_reason.setdefault(reason, Counter())[name] += number
        self.total[name] += number

    def rows(self) -> list[tuple[Reason, Counter[str]]]:
        """The most frequent first."""
        return sorted(self._by_reason.items(), key=lambda row: (-row[1].total(), row[0]))


def sentence(total: Counter[str], topic: str) -> str:
    """All in one line."""
    parts = ", ".join(
        f"{total[name]} {name}" for name in (str(ReplayState.REPLAYED), str(ReplayState.SUPERSEDED), LEFT)
    )
    return f"{total.total()} dead letters of {topic}: {parts}"


def table(tally: Counters, most: int | None = SHOWN_REASONS) -> Iterator[str]:
    """A header, and a line for each reason."""
    rows = tally.rows()
    if not rows:
        return
    yield "replayed  superseded      left  reason"
    for (error, reason), of_one in rows[:most]:
        text = printable(f"{error}  {reason}" if error else reason)
        shown = text if most is None or len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
        replayed, superseded = of_one[str(ReplayState.REPLAYED)], of_one[str(ReplayState.SUPERSEDED)]
        yield f"{replayed:>8}  {superseded:>10}  {of_one[LEFT]:>8}  {shown}"
    if most is not None and len(rows) > most:
        yield f"and {len(rows) - most} more reasons: `connector dlq list --by reason` shows all"
