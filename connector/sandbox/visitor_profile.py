"""One visitor's profile in time: visits, sessions, updates that come late, and what takes a value away again.

Nothing here reads a clock. Every method is handed `now`, in epoch seconds, which never goes back; what was due before
it happens first, in its order.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from connector.sandbox.fates import APPLIED, PROMPT, Fate, Processing
from connector.sandbox.profile_rules import MS, ProfileRules

THIRD_PARTY: Final = "mbox3rdPartyId"
ELSEWHERE: Final = "written elsewhere"
"""The value that another writer sets by the fault `overwritten`."""
_PAGE: Final = 0
"""Stands for an update's number where a page, a script or another system wrote."""


class Attribute(NamedTuple):
    """One attribute: its value, when it was last written (epoch milliseconds), and how often it was written."""

    value: str
    modified_at: int
    writes: int


class StoredProfile(NamedTuple):
    """What a fetch gives."""

    attributes: dict[str, Attribute]
    modified_at: int
    """Epoch milliseconds; 0 for a profile that nothing was ever written to."""


class _Held(NamedTuple):
    """An attribute, and the number of the update that wrote it; `is_cut`: it is the beginning of what was sent."""

    value: str
    modified_at: int
    writes: int
    update: int
    is_cut: bool = False


class _Fallen(NamedTuple):
    """Why the newest value of an attribute, of the update of this number, does not stand."""

    update: int
    fate: Fate


class _Pending(NamedTuple):
    """What happens at a time; ordered by that, then by its number."""

    at: float
    order: int
    update: int
    attributes: Mapping[str, str]
    overwritten_after: float | None


@dataclass(slots=True)
class _Session:
    """What the edge holds of a visitor who is there, until `ends`."""

    data: dict[str, _Held]
    ends: float


@dataclass(slots=True)
class VisitorProfile:
    """What is stored of one visitor, and what is on its way."""

    rules: ProfileRules
    kind: str
    is_stored: bool = False
    """There is a profile that updates find."""
    is_expired: bool = False
    _visited_at: float = 0.0
    _modified_at: int = 0
    _settled: dict[str, _Held] = field(default_factory=dict)
    """From before the last visit, and what pages wrote."""
    _recent: dict[str, _Held] = field(default_factory=dict)
    """By the updates since the last visit."""
    _session: _Session | None = None
    _pending: list[_Pending] = field(default_factory=list)
    _order: int = 0
    _last_at: float = 0.0
    """When the latest of the accepted updates is applied: the next one of the visitor waits for it."""
    _fallen: dict[str, _Fallen] = field(default_factory=dict)
    """By attribute what became of the newest accepted value, where it does not stand."""

    @property
    def is_empty(self) -> bool:
        """Nothing is known of the visitor, and nothing is on its way."""
        return not (self.is_stored or self.is_expired or self._pending or self._session)

    @property
    def is_visiting(self) -> bool:
        """A session is under way."""
        return self._session is not None

    def catch_up(self, now: float) -> None:
        """Let happen what is due."""
        while self._pending or self._session is not None or self.rules.expire_after is not None:
            due = self._pending[0].at if self._pending else None
            ends = None if self._session is None else self._session.ends
            expires = self._expires_at
            first = min((at for at in (due, ends, expires) if at is not None), default=None)
            if first is None or first > now:
                return
            if first == ends:
                self._end_session(ends)
            elif first == due:
                self._take_effect(heapq.heappop(self._pending))
            else:
                self._expire()

    def visit(self, now: float, attributes: Mapping[str, str]) -> None:
        """The visitor came to the site, and the page wrote these: consecutive updates end here."""
        self.catch_up(now)
        if self.is_expired:
            self.is_expired, self._modified_at = False, 0
        if self.rules.session is None:
            self.is_stored = True
        elif self._session is None:
            self._session = _Session(self._settled | self._recent, now + self.rules.session)
        else:
            self._session.ends = now + self.rules.session
        self._settled |= self._recent
        self._recent = {}
        if self.is_stored:
            self._visited_at = now
            self._write_elsewhere(attributes, now)
        if self._session is not None:
            self._session.data |= _written(self._session.data, attributes, now)

    def update(self, attributes: Mapping[str, str], now: float, processing: Processing = PROMPT) -> bool:
        """Take an accepted update; False if it vanished at once."""
        self.catch_up(now)
        self._order += 1
        number = self._order
        if processing is PROMPT and self._last_at <= now:
            return self._apply(number, attributes, now)
        if processing.is_lost:
            self._drop(attributes, number, Fate.LOST)
            return False
        at = now + processing.lag
        if not processing.is_reordered:
            at = max(at, self._last_at)
        self._last_at = max(at, self._last_at)
        if at <= now:
            return self._apply(number, attributes, at, processing.overwritten_after)
        self._drop(attributes, number, Fate.WAITING)
        heapq.heappush(self._pending, _Pending(at, number, number, attributes, processing.overwritten_after))
        return True

    def stored(self, now: float) -> StoredProfile | None:
        """What a fetch finds; None: no profile."""
        self.catch_up(now)
        if not self.is_stored:
            return None
        held = self._settled | self._recent
        return StoredProfile({name: Attribute(*each[:3]) for name, each in held.items()}, self._modified_at)

    def fates(self, now: float) -> dict[str, Fate]:
        """What became of the newest accepted value of each attribute."""
        self.catch_up(now)
        held = self._settled | self._recent
        standing = {
            name: Fate.CUT if each.is_cut else Fate.STANDS for name, each in held.items() if each.update != _PAGE
        }
        # What took its place may be gone too: then it stands again.
        fallen = {
            name: each.fate
            for name, each in self._fallen.items()
            if name not in held or held[name].update != each.update
        }
        return standing | fallen

    @property
    def _expires_at(self) -> float | None:
        after = self.rules.expire_after
        return None if after is None or not self.is_stored else self._visited_at + after

    def _expire(self) -> None:
        self._fall(self._settled | self._recent, Fate.EXPIRED)
        self._settled, self._recent = {}, {}
        self.is_stored, self.is_expired = False, True

    def _end_session(self, now: float) -> None:
        """A new visitor is saved; of a third-party id the session's data replaces what was stored."""
        session, self._session = self._session, None
        if session is None or (self.is_stored and self.kind != THIRD_PARTY):
            return
        before = self._settled | self._recent
        gone = {name: each for name, each in before.items() if not _is_same(each, session.data.get(name))}
        self._settled, self._recent = session.data, {}
        self._fall(gone, Fate.REPLACED)
        if not self.is_stored:
            self.is_stored, self._visited_at = True, now - (self.rules.session or 0.0)
        self._modified_at = int(now * MS)

    def _take_effect(self, coming: _Pending) -> None:
        """Its time has come."""
        if coming.update != _PAGE:
            self._apply(coming.update, coming.attributes, coming.at, coming.overwritten_after)
        elif self.is_stored:
            self._write_elsewhere(coming.attributes, coming.at)

    def _apply(
        self, number: int, attributes: Mapping[str, str], at: float, overwritten_after: float | None = None
    ) -> bool:
        """The update takes effect, or vanishes because there is no profile."""
        if not self.is_stored:
            if self.is_expired or self._session is not None or self.rules.update_only:
                self._drop(attributes, number, Fate.EXPIRED if self.is_expired else Fate.UNKNOWN)
                return False
            self.is_stored, self._visited_at = True, at
        before = self._recent
        values = {name: value for name, value in attributes.items() if value} if self.rules.ignore_empty else attributes
        if self.rules.override and self.kind == THIRD_PARTY:
            self._recent = {}
            self._fall({name: each for name, each in before.items() if name not in values}, Fate.OVERRIDDEN)
        self._modified_at = int(at * MS)
        for name in attributes:
            last = before.get(name) or self._settled.get(name)
            if name in values:
                self._set(name, values[name], number, last)
            elif number >= self._newest(name, last):
                self._fallen[name] = _Fallen(number, Fate.EMPTY)
        if overwritten_after is not None:
            self._order += 1
            later = {next(iter(attributes)): ELSEWHERE}
            heapq.heappush(self._pending, _Pending(at + overwritten_after, self._order, _PAGE, later, None))
        return True

    def _set(self, name: str, value: str, number: int, last: _Held | None) -> None:
        newest = self._newest(name, last)
        kept = value if self.rules.value_limit is None else value[: self.rules.value_limit]
        writes = 1 if last is None else last.writes + 1
        self._recent[name] = _Held(kept, self._modified_at, writes, number, kept != value)
        if number < newest:
            self._fall({name: last}, Fate.STALE)
        elif self._fallen:
            self._fallen.pop(name, None)

    def _newest(self, name: str, last: _Held | None) -> int:
        """The number of the newest accepted update of the attribute, where `last` is what stood."""
        fallen = self._fallen.get(name) if self._fallen else None
        return fallen.update if fallen is not None else _PAGE if last is None else last.update

    def _write_elsewhere(self, attributes: Mapping[str, str], at: float) -> None:
        if not attributes:
            return
        before = self._settled | self._recent
        self._settled |= _written(before, attributes, at)
        for name in attributes:
            self._recent.pop(name, None)
        self._modified_at = int(at * MS)
        self._fall({name: before.get(name) for name in attributes}, Fate.OVERWRITTEN)

    def _drop(self, attributes: Mapping[str, str], number: int, fate: Fate) -> None:
        """The values of this update never stood, or not yet; newer ones have fates of their own."""
        for name in attributes:
            fallen = self._fallen.get(name)
            if fallen is None or fallen.update <= number:
                self._fallen[name] = _Fallen(number, fate)

    def _fall(self, before: Mapping[str, _Held | None], fate: Fate) -> None:
        """What stood before does not stand any more. A newest value that was never applied keeps its fate."""
        for name, held in before.items():
            fallen = self._fallen.get(name)
            if fallen is not None:
                if fallen.fate in APPLIED:
                    self._fallen[name] = _Fallen(fallen.update, fate)
            elif held is not None and held.update != _PAGE:
                self._fallen[name] = _Fallen(held.update, fate)


def _is_same(one: _Held, other: _Held | None) -> bool:
    """Whether both are of the same writing; a session's copy may count its writes otherwise."""
    return other is not None and (one.value, one.modified_at, one.update) == (
        other.value,
        other.modified_at,
        other.update,
    )


def _written(before: Mapping[str, _Held], attributes: Mapping[str, str], at: float) -> dict[str, _Held]:
    """These attributes, as a page writes them."""
    return {
        name: _Held(value, int(at * MS), before[name].writes + 1 if name in before else 1, _PAGE)
        for name, value in attributes.items()
    }
