"""What is done next for a profile token: pure, since a POST ends the token that every other holder uses.

A POST is made only after a GET that says that there is no token, or one that ends soon. After a POST whose answer is
not known comes a GET, since the POST may have taken effect.
"""

import random
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from connector.delivery.retry import RetryPolicy
from connector.target.profile_token.answers import NoToken, Outcome, Problem, ProfileToken, SignedIn

RETRY: Final = RetryPolicy(initial=2.0, maximum=30.0, max_attempts=5)
"""Target takes 50 of such calls a minute, of all who use its Admin API."""


class Step(Enum):
    """One request."""

    SIGN_IN = "POST to IMS: credentials for an access token"
    LOOK = "GET: the token that there is"
    ISSUE = "POST: a new token, which ends the one that there is"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is wanted. `renew_before` in seconds; `may_issue` False: only look. `stored` is what the last run stored."""

    renew_before: float
    may_issue: bool
    stored: ProfileToken | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Make this request, after a pause in seconds.

    `failures` counts those of the whole run; `unsure`: the answer to an earlier POST is not known.
    """

    step: Step = Step.SIGN_IN
    pause: float = 0.0
    failures: int = 0
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Have:
    """There it is; `made`: by this run."""

    token: ProfileToken
    made: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It cannot be had now; `unsure`: a new token may have been made, and the old one ended."""

    problem: Problem
    unsure: bool = False


Next: TypeAlias = Ask | Have | GiveUp

NONE: Final = Problem("the account has no profile token", "run `connector token` without --check, which makes one")
"""Or one that lasts no longer than what was asked for."""


def after(asked: Ask, outcome: Outcome, terms: Terms, now: float, rng: random.Random) -> Next:
    """Decide by what came of a request; `now` in seconds since the epoch."""
    match outcome:
        case Problem():
            return _after_problem(asked, outcome, rng)
        case SignedIn():
            return replace(asked, step=Step.LOOK, pause=0.0)
        case ProfileToken() if asked.step is Step.ISSUE:
            return Have(outcome, made=True)
        case ProfileToken():
            token = _told(outcome, terms.stored)
            if lasts(token, terms.renew_before, now):
                return Have(token, made=asked.unsure)
        case NoToken():
            pass
    if not terms.may_issue:
        return GiveUp(NONE)
    return replace(asked, step=Step.ISSUE, pause=0.0)


def lasts(token: ProfileToken, seconds: float, now: float) -> bool:
    """Whether it is good for longer than this; one whose end nobody knows is taken to be."""
    return token.ends is None or token.ends - now > seconds


def _told(token: ProfileToken, stored: ProfileToken | None) -> ProfileToken:
    """With the earlier of its ends: no source says that `expiresIn` of a GET counts from now."""
    if stored is None or stored.text != token.text or stored.ends is None:
        return token
    return stored if token.ends is None else replace(token, ends=min(token.ends, stored.ends))


def _after_problem(asked: Ask, problem: Problem, rng: random.Random) -> Next:
    unsure = asked.unsure or (asked.step is Step.ISSUE and problem.uncertain)
    failures = asked.failures + 1
    goes_on = problem.passes or (asked.step is Step.ISSUE and problem.uncertain)
    if not goes_on or failures >= RETRY.max_attempts:
        return GiveUp(problem, unsure)
    step = Step.LOOK if asked.step is Step.ISSUE else asked.step
    return Ask(step, RETRY.delay(failures, problem.retry_after, rng), failures, unsure)
