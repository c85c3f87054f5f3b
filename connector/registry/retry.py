"""What follows on a failure, for one schema: when it is asked for again, or that it is refused. Pure."""

import random
from dataclasses import dataclass
from typing import TypeAlias

from connector.registry.failures import Failure, NotFound, Unreachable, Unusable


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to ask; all times in seconds.

    Pauses double from `first` to `longest`, and each is drawn between half of that and all of it. A registry that asks
    for a longer pause gets it, up to `longest_asked`. An id that the registry does not know is asked for during
    `unknown`, since a follower may lag, with pauses up to `unknown_pause`. A refusal is remembered for `refusal`,
    except of a schema that cannot be used: an id never changes its meaning.
    """

    first: float = 0.5
    longest: float = 30.0
    longest_asked: float = 300.0
    unknown: float = 60.0
    unknown_pause: float = 10.0
    refusal: float = 300.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """What was tried so far."""

    failures: int = 0
    unknown_since: float | None = None
    """The first of the answers "no such schema" that came one after the other, up to the last one."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """After this pause, with this in mind."""

    pause: float
    attempts: Attempts


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is not coming. `for_ever`: asking later would change nothing."""

    reason: str
    for_ever: bool


Step: TypeAlias = AskAgain | Refuse


def after(failure: Failure, attempts: Attempts, now: float, patience: Patience, rng: random.Random) -> Step:
    """Decide on one failure. Only a minute of nothing but "no such schema" refuses an id that may exist."""
    if isinstance(failure, Unusable):
        return Refuse(f"cannot be used: {failure.reason}", for_ever=True)
    unknown = isinstance(failure, NotFound)
    since = (now if attempts.unknown_since is None else attempts.unknown_since) if unknown else None
    if since is not None and now - since >= patience.unknown:
        return Refuse(f"cannot be had: {failure.reason}; asked for {patience.unknown:.0f} s", for_ever=False)
    highest = patience.unknown_pause if unknown else patience.longest
    pause = min(highest, patience.first * 2.0 ** min(attempts.failures, 30)) * rng.uniform(0.5, 1.0)
    if since is not None:
        pause = min(pause, since + patience.unknown - now)
    if isinstance(failure, Unreachable) and failure.retry_after is not None:
        pause = max(pause, min(failure.retry_after, patience.longest_asked))
    return AskAgain(pause, Attempts(attempts.failures + 1, since))
