"""Adobe's documented rules of profiles, each a switch, and none of them a fault.

The kind of each source is named: "documented" of profiles or this API, "documented of a neighbour" where Adobe's page
on another API of Target says it and none on this one does. All are off by default: then a profile is a plain map.
"""

from dataclasses import dataclass
from typing import Final

MS: Final = 1_000
SESSION_SECONDS: Final = 1_800.0
"""Documented: a session is over after 30 minutes without a call from the page."""
EXPIRE_SECONDS: Final = 14 * 86_400.0
"""Documented: a profile is deleted after 14 days without a visit; an update is not named as one."""
VALUE_LIMIT: Final = 256
"""Documented of a neighbour: characters of a value that a page sends; longer ones are cut by at.js 1."""


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """What holds for every profile of a sandbox.

    update_only (documented): only a registered visitor gets a profile; an update for another vanishes.
    expire_after (documented): seconds without a visit until the profile is gone, after which updates vanish.
    session (documented): seconds after a visit until its session is over. A new visitor's profile is in the memory of
    one edge until then, so that an update finds nothing. For an `mbox3rdPartyId` the session's data then replaces what
    was stored: an update that was applied meanwhile is gone.
    override (documented of a neighbour, for `mbox3rdPartyId`): an update replaces the attributes of the earlier ones
    since the last visit, instead of merging over them.
    ignore_empty (documented of a neighbour): an empty value changes nothing.
    value_limit (documented of a neighbour): characters that are kept of a value.
    """

    update_only: bool = False
    expire_after: float | None = None
    session: float | None = None
    override: bool = False
    ignore_empty: bool = False
    value_limit: int | None = None
