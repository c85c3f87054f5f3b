"""The profiles that accepted updates make, so that a test or a demo can compare them with its events."""

from collections.abc import Mapping
from typing import NamedTuple

from connector.sandbox.rules import Visitor


class Attribute(NamedTuple):
    """One attribute: its value, when it was last written (epoch milliseconds), and how often it was written."""

    value: str
    modified_at: int
    writes: int


class _Profile:
    """What one visitor has: attributes from before the last visit, and those of the updates since then."""

    __slots__ = ("recent", "settled", "visited_at")

    def __init__(self, now: float) -> None:
        self.settled: dict[str, Attribute] = {}
        self.recent: dict[str, Attribute] = {}
        self.visited_at = now


class ProfileStore:
    """Visitor to attributes, under the switches for what Adobe leaves open.

    update_only: only a registered visitor gets a profile; an update for another is accepted and vanishes.
    override: an update replaces the attributes of the earlier ones since the last visit (the bulk API documents this
    for consecutive calls), instead of merging over them.
    expire_after: seconds without a visit until the profile is gone, after which updates vanish; None: never.
    `now` is always in epoch seconds.
    """

    def __init__(self, *, update_only: bool = False, override: bool = False, expire_after: float | None = None) -> None:
        self._profiles: dict[Visitor, _Profile] = {}
        self._update_only = update_only
        self._override = override
        self._expire_after = expire_after

    def __len__(self) -> int:
        """Visitors known, the expired ones included."""
        return len(self._profiles)

    def visit(self, visitor: Visitor, now: float) -> None:
        """The visitor came to the site: new or expired ones begin afresh, and consecutive updates end here."""
        profile = self._profiles.get(visitor)
        if profile is None or self._expired(profile, now):
            self._profiles[visitor] = _Profile(now)
            return
        profile.settled.update(profile.recent)
        profile.recent = {}
        profile.visited_at = now

    def update(self, visitor: Visitor, attributes: Mapping[str, str], now: float) -> bool:
        """Apply one accepted update; False if it vanished (visitor unknown in update-only mode, or expired)."""
        profile = self._profiles.get(visitor)
        if profile is None:
            if self._update_only:
                return False
            profile = self._profiles[visitor] = _Profile(now)
        elif self._expired(profile, now):
            return False
        modified_at = int(now * 1_000)
        before = profile.recent
        if self._override:
            profile.recent = {}
        for name, value in attributes.items():
            last = before.get(name) or profile.settled.get(name)
            profile.recent[name] = Attribute(value, modified_at, last.writes + 1 if last else 1)
        return True

    def fetch(self, visitor: Visitor, now: float) -> dict[str, Attribute] | None:
        """The attributes of one visitor; None if unknown or expired."""
        profile = self._profiles.get(visitor)
        if profile is None or self._expired(profile, now):
            return None
        return profile.settled | profile.recent

    def values(self, now: float) -> dict[str, dict[str, str]]:
        """Every live profile as `{"mbox3rdPartyId:123": {"loyaltyTier": "gold"}}`."""
        return {
            str(visitor): {name: attribute.value for name, attribute in (profile.settled | profile.recent).items()}
            for visitor, profile in self._profiles.items()
            if not self._expired(profile, now)
        }

    def clear(self) -> None:
        """Forget every visitor, the registered ones too."""
        self._profiles.clear()

    def _expired(self, profile: _Profile, now: float) -> bool:
        return self._expire_after is not None and now - profile.visited_at >= self._expire_after
