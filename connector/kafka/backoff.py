"""How long to wait before the next attempt while brokers do not answer."""

from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.5
LAST_SECONDS: Final = 30.0


def pauses() -> Iterator[float]:
    """Seconds before each next attempt, twice as long each time up to the longest; without an end."""
    pause = FIRST_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LAST_SECONDS)
