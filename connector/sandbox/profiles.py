"""The profiles that accepted updates make, so that a test or a demo can compare them with its events."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from connector.sandbox.fates import PROMPT, Fate, Processing
from connector.sandbox.profile_rules import ProfileRules
from connector.sandbox.rules import Visitor
from connector.sandbox.visitor_profile import Attribute, StoredProfile, VisitorProfile

__all__ = ["Attribute", "ProfileStore", "StoredProfile"]

PC: Final = "mboxPC"
ECID: Final = "marketingCloudVisitorId"
_WITH_HINT: Final = re.compile(r"(.+)\.\d+_\d+\Z", re.DOTALL)


class ProfileStore:
    """Visitor to profile, under Adobe's rules of profiles; each parameter is explained by ProfileRules.

    An `mboxPC` names the same visitor with any location hint, or with none. `now` is always in epoch seconds.
    """

    def __init__(
        self,
        *,
        update_only: bool = False,
        override: bool = False,
        expire_after: float | None = None,
        session: float | None = None,
        ignore_empty: bool = False,
        value_limit: int | None = None,
    ) -> None:
        self._rules = ProfileRules(update_only, expire_after, session, override, ignore_empty, value_limit)
        self._profiles: dict[Visitor, VisitorProfile] = {}
        self._hinted: dict[str, Visitor] = {}
        """By the id without its hint the visitor as first named."""
        self._by_ecid: dict[str, Visitor] = {}

    def __len__(self) -> int:
        """Visitors known: the expired ones included, and those whose first session or update is under way."""
        return len(self._profiles)

    def visit(
        self, visitor: Visitor, now: float, attributes: Mapping[str, str] | None = None, ecid: str | None = None
    ) -> None:
        """The visitor came to the site, and the page or a script wrote these attributes.

        New or expired ones begin afresh, and consecutive updates end here. `ecid`: a fetch by this finds the visitor.
        """
        if ecid is not None:
            self._by_ecid[ecid] = visitor
        self._of(visitor).visit(now, attributes or {})

    def update(
        self, visitor: Visitor, attributes: Mapping[str, str], now: float, processing: Processing = PROMPT
    ) -> bool:
        """Take one accepted update; False if it vanished at once: no profile, or lost by its processing."""
        profile = self._of(visitor)
        is_taken = profile.update(attributes, now, processing)
        if profile.is_empty:
            del self._profiles[self._known(visitor)]
            self._hinted.pop(_without_hint(visitor.id), None)
        return is_taken

    def is_known(self, visitor: Visitor, now: float) -> bool:
        """Whether an update finds a profile, or makes one."""
        profile = self._profiles.get(self._known(visitor))
        if profile is None:
            return not self._rules.update_only
        profile.catch_up(now)
        return profile.is_stored or not (profile.is_expired or profile.is_visiting or self._rules.update_only)

    def fetch(self, visitor: Visitor, now: float) -> dict[str, Attribute] | None:
        """The attributes of one visitor; None if unknown or expired."""
        found = self.stored(visitor, now)
        return None if found is None else found.attributes

    def stored(self, visitor: Visitor, now: float) -> StoredProfile | None:
        """The whole profile, also by an ECID that a visit named; None if unknown or expired."""
        named = self._by_ecid.get(visitor.id) if visitor.kind == ECID else self._known(visitor)
        profile = None if named is None else self._profiles.get(named)
        return None if profile is None else profile.stored(now)

    def fates(self, visitor: Visitor, now: float) -> dict[str, Fate]:
        """What became of the newest accepted value of each attribute; one that is not named found no profile."""
        profile = self._profiles.get(self._known(visitor))
        return {} if profile is None else profile.fates(now)

    def fate_counts(self, now: float) -> dict[str, int]:
        """How many attributes met each fate; without those of visitors of whom nothing is known."""
        counts = Counter[str]()
        for profile in self._profiles.values():
            counts.update(fate.value for fate in profile.fates(now).values())
        return dict(counts)

    def values(self, now: float) -> dict[str, dict[str, str]]:
        """Every live profile as `{"mbox3rdPartyId:123": {"loyaltyTier": "gold"}}`."""
        found = ((visitor, profile.stored(now)) for visitor, profile in self._profiles.items())
        return {
            str(visitor): {name: attribute.value for name, attribute in stored.attributes.items()}
            for visitor, stored in found
            if stored is not None
        }

    def clear(self) -> None:
        """Forget every visitor, the registered ones too."""
        self._profiles.clear()
        self._hinted.clear()
        self._by_ecid.clear()

    def _of(self, visitor: Visitor) -> VisitorProfile:
        known = self._known(visitor, remember=True)
        profile = self._profiles.get(known)
        if profile is None:
            profile = self._profiles[known] = VisitorProfile(self._rules, known.kind)
        return profile

    def _known(self, visitor: Visitor, *, remember: bool = False) -> Visitor:
        """The visitor as first named: the hint of an `mboxPC` is not part of the identity."""
        if visitor.kind != PC:
            return visitor
        bare = _without_hint(visitor.id)
        return self._hinted.setdefault(bare, visitor) if remember else self._hinted.get(bare, visitor)


def _without_hint(visitor_id: str) -> str:
    """`1368007744041-575948` of `1368007744041-575948.01_00`."""
    hinted = _WITH_HINT.match(visitor_id)
    return visitor_id if hinted is None else hinted[1]
