"""What Target may do with an update after it said success, and what became of it: the first is drawn, the second told.

`Processing` is a fault, observed or possible, drawn for one update. `Fate` is the truth of one attribute, which nobody
outside of the sandbox can see: what judges profiles from outside is held to it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


@dataclass(frozen=True, slots=True)
class Processing:
    """How one accepted update is processed.

    lag: seconds until it is applied. is_lost: it never is. is_reordered: it does not wait for the earlier updates of
    its visitor. overwritten_after: seconds after it was applied until something else writes over one of its
    attributes, None for never.
    """

    lag: float = 0.0
    is_lost: bool = False
    is_reordered: bool = False
    overwritten_after: float | None = None


PROMPT: Final = Processing()
"""Applied at once."""


class Fate(StrEnum):
    """What became of the newest accepted value of an attribute."""

    STANDS = "stands"
    CUT = "cut"
    """Its beginning stands."""
    WAITING = "waiting"
    """Accepted, and not applied yet."""
    LOST = "lost"
    """Accepted, and never applied."""
    EMPTY = "empty"
    """An empty value, which is ignored."""
    UNKNOWN = "unknown"
    """The visitor had no profile when it was to be applied."""
    EXPIRED = "expired"
    """The profile's time was over, before or after it was applied."""
    STALE = "stale"
    """An older value of ours was applied after it."""
    OVERRIDDEN = "overridden"
    """A later update of ours without the attribute took it away."""
    REPLACED = "replaced"
    """At the end of a session, what the session held took its place."""
    OVERWRITTEN = "overwritten"
    """A page, a script or another system wrote over it."""


APPLIED: Final = frozenset(
    {Fate.STANDS, Fate.CUT, Fate.STALE, Fate.OVERRIDDEN, Fate.REPLACED, Fate.OVERWRITTEN},
)
"""Fates of a value that was applied: what happens to it afterwards is its newer fate."""
