"""When the quota slows sending and when it runs out, if updates keep coming at the current rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds from now."""

    slowed_seconds: float | None
    """From when the pace is below the current rate, so that updates wait; None: not within a window."""
    used_up_seconds: float | None
    """When nothing is free any more; None: not within a window."""
    free: tuple[float, ...]
    """What is free at the end of each coming part of the window."""


def forecast(free: float, rate: float, releases: Sequence[float], part: float, horizon: float) -> Forecast:
    """Go through the coming parts of the window, each of `part` seconds, in which `releases` come free.

    The pace is the one that replicas keep: what is free over `horizon`, and besides what comes free meanwhile. While
    the rate is below the pace, what is free falls evenly; from then on ever more slowly.
    """
    slowed = used_up = None if free >= 1 else 0.0
    at_ends = []
    for number, comes in enumerate(releases):
        at, left = number * part, part
        falls = rate - comes / part
        least = max(1.0, falls * horizon)
        if free > least:
            seconds = min(left, (free - least) / falls) if falls > 0 else left
            free -= falls * seconds
            at, left = at + seconds, left - seconds
        if left > 0 and falls > 0:
            slowed = at if slowed is None else slowed
            if used_up is None and (seconds := horizon * math.log(max(1.0, free))) <= left:
                used_up = at + seconds
            free *= math.exp(-left / horizon)
        elif left > 0:
            free -= falls * left
        at_ends.append(max(0.0, free))
    return Forecast(_rounded(slowed), _rounded(used_up), tuple(at_ends))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
