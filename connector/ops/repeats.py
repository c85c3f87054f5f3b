"""Says a lasting trouble once and then ever more rarely, so that an outage is a handful of lines and not a million."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class _Trouble:
    said_at: float
    seen_at: float
    interval: float
    swallowed: int = 0


class Repeats:
    """Decides which occurrences of the same thing are worth a line.

    The first is said. After that one is said when `initial` seconds have passed since the last said one, then twice as
    many each time, up to `maximum`. A key that did not occur for twice `maximum` starts anew. At most `keys` keys are
    remembered; the one unseen for longest is forgotten first, and its count with it.
    """

    def __init__(self, initial: float = 1.0, maximum: float = 300.0, keys: int = 1_000) -> None:
        self._initial = initial
        self._maximum = maximum
        self._limit = keys
        self._troubles: OrderedDict[Hashable, _Trouble] = OrderedDict()

    def admit(self, key: Hashable, now: float) -> int | None:
        """Say this occurrence or not: None is silence, a number is how many were swallowed since the last said one."""
        trouble = self._troubles.get(key)
        if trouble is None:
            self._troubles[key] = _Trouble(said_at=now, seen_at=now, interval=self._initial)
            if len(self._troubles) > self._limit:
                self._troubles.popitem(last=False)
            return 0
        self._troubles.move_to_end(key)
        anew = now - trouble.seen_at >= 2 * self._maximum
        trouble.seen_at = now
        if not anew and now - trouble.said_at < trouble.interval:
            trouble.swallowed += 1
            return None
        swallowed, trouble.swallowed = trouble.swallowed, 0
        trouble.said_at = now
        trouble.interval = self._initial if anew else min(2 * trouble.interval, self._maximum)
        return swallowed
