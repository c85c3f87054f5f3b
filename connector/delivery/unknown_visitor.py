"""When an update goes again whose visitor Target does not know yet.

A new visitor's profile is in the memory of one edge, and is seen from elsewhere only after 30 minutes without a call
(Adobe: visitor profile); until then an update finds nothing. Each attempt spends quota, so there are few.
"""

from typing import Final

FIRST_SHARE: Final = 0.4
"""Of the wait, when it is tried again for the first time; then at the end."""


def next_attempt(since: float | None, asked: float, wait: float) -> float | None:
    """Return when the update goes again, which may be over already; None: the attempt was the last one.

    `since` is when Target first did not know the visitor, None where that was this attempt; `asked` is when this
    attempt was due; `wait` is in seconds.
    """
    if wait <= 0:
        return None
    begin = asked if since is None else since
    first, last = begin + FIRST_SHARE * wait, begin + wait
    return first if asked < first else last if asked < last else None
