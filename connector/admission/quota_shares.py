"""How far the quota's window may fill for each class, so that what is left of it is there for the higher ones."""

import math

from connector.events.change import Priority


class QuotaShares:
    """Counts down between two looks at the ledger, so that no class sends one request too many in between.

    What others of the group lease counts as used when it is leased; of this replica only what it sent does.
    """

    __slots__ = ("_left", "_most")

    def __init__(self, low: int, normal: int) -> None:
        """The requests in the window up to which each class goes; `low` is at most `normal`."""
        self._most = normal, low
        self._left = [0, 0]

    def look(self, spent: int) -> Priority:
        """The window holds `spent` requests; returns the lowest class that may go."""
        self._left = [most - spent for most in self._most]
        return self._lowest

    def spend(self) -> Priority:
        """One more goes; returns the lowest class that may follow."""
        self._left[0] -= 1
        self._left[1] -= 1
        return self._lowest

    @property
    def _lowest(self) -> Priority:
        normal, low = self._left
        return Priority.LOW if low > 0 else Priority.NORMAL if normal > 0 else Priority.HIGH


def shares_of(limit: int, low: float, normal: float) -> QuotaShares | None:
    """Return the shares of a quota of `limit` requests; None: every class may use all of it.

    A part of a request counts as a whole one, so that a share above 0 is never nothing.
    """
    if low >= 1 and normal >= 1:
        return None
    return QuotaShares(math.ceil(low * limit), math.ceil(normal * limit))
