"""The sum over all visitors that were looked at; it holds counts and times, and nothing of any visitor."""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from connector.verify.confidence import lower, upper
from connector.verify.judge import HARM, JUDGED, Judgement, Verdict

CONFIDENCE: Final = 0.95
LEAST_JUDGED: Final = 0.5
"""Of the visitors that were drawn: where fewer could be judged, nothing is said."""
LEAST_FOLLOWED: Final = 5
"""Attributes by which consecutive updates are suspected to override each other."""


class Conclusion(enum.Enum):
    """What all of it says; the value is the exit code."""

    GOOD = 0
    HARMED = 1
    TOO_FEW = 3


@dataclass(slots=True)
class Tally:
    """Grows by a visitor; everything else follows from what it counts."""

    drawn: int = 0
    """Visitors that were to be fetched."""
    fetched: int = 0
    """Of them, those whose fetch had an answer, found or not."""
    unknown: int = 0
    """Of them, those without a profile."""
    judged: int = 0
    """Visitors with an attribute that says something."""
    harmed: int = 0
    """Of them, those with one that is lost, replaced or cut."""
    attributes: Counter[Verdict] = field(default_factory=Counter)
    visitors: Counter[Verdict] = field(default_factory=Counter)
    """By verdict the visitors with an attribute of it."""
    delays: list[float] = field(default_factory=list)
    """Of the matches, from the event to its application, where it is shown."""
    followed: Counter[bool] = field(default_factory=Counter)
    """Attributes that a later update of the visitor did not carry: whether they are still there."""

    def add(self, judgements: Mapping[str, Judgement], *, is_known: bool) -> None:
        """One visitor was fetched; `is_known`: there is a profile."""
        self.fetched += 1
        self.unknown += not is_known
        verdicts = Counter(each.verdict for each in judgements.values())
        self.attributes.update(verdicts)
        self.visitors.update(verdicts.keys())
        self.judged += bool(verdicts.keys() & JUDGED)
        self.harmed += bool(verdicts.keys() & HARM)
        for each in judgements.values():
            if each.applied_after is not None:
                self.delays.append(each.applied_after)
            if each.is_followed and each.verdict in JUDGED:
                self.followed[each.verdict is Verdict.MATCH] += 1

    @property
    def conclusion(self) -> Conclusion:
        """Harm is told however few there are; that there is none only where enough could be judged."""
        if self.harmed:
            return Conclusion.HARMED
        is_enough = self.judged > 0 and self.judged >= LEAST_JUDGED * self.drawn
        return Conclusion.GOOD if is_enough else Conclusion.TOO_FEW

    @property
    def bounds(self) -> tuple[float, float]:
        """The share of visitors that are harmed, at 95 %: from 0 to the exact bound, or between both of them."""
        if not self.judged:
            return 0.0, 1.0
        if not self.harmed:
            return 0.0, upper(0, self.judged, CONFIDENCE)
        both = (1 + CONFIDENCE) / 2
        return lower(self.harmed, self.judged, both), upper(self.harmed, self.judged, both)

    @property
    def is_overriding(self) -> bool:
        """Nothing that a later update did not carry is left: consecutive updates seem to override each other."""
        return self.followed[False] >= LEAST_FOLLOWED and not self.followed[True]

    def delay(self, share: float) -> float | None:
        """The delay that this share of the matches does not exceed; None: no delay is shown."""
        ordered = sorted(self.delays)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
