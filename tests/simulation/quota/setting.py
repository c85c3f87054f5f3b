"""A world's parameters: drawn from its profile and seed before anything happens in it."""

import random
from dataclasses import dataclass

from connector.events.change import Priority
from connector.quota.policy import QuotaPolicy

DAY = 86_400.0
FATES = ("lost", "late", "twice", "landed and failed", "late and failed", "much later and failed")
TROUBLES = ("crash", "stop", "start", "freeze", "freeze", "weights", "wall", "endpoint")


@dataclass(frozen=True, slots=True)
class Profile:
    """Likely faults of a kind of worlds; each probability is for one occasion."""

    windows: tuple[float, ...] = (8.0, 12.0, 20.0, 30.0)
    timeouts: tuple[float, ...] = (0.5, 2.0, 5.0)
    limits: tuple[int, int] = (20, 120)
    replicas: tuple[int, int] = (1, 5)
    lives: float = 6.0
    """Length of the world, in times that a lease counts."""
    traffic: tuple[str, ...] = ("flood", "bursts", "idle")
    """Of a replica: always more than it can send; all at once now and then; nothing most of the time; or, as "drips",
    several in a lease's time, one after the other."""
    styles: tuple[str, ...] = ("eager", "late", "paced")
    """When a replica sends: at once, in the last moment of a lease, or at the gate's pace and rate."""
    freezes: float = 0.0
    """At each critical moment: between deciding and appending, appending and reading, looking and sending."""
    troubles: float = 0.0
    """A second, for the whole group: crashes, stops, starts, freezes of any length, other weights."""
    kinds: tuple[str, ...] = TROUBLES
    """The troubles to draw from, with equal chances."""
    walls: tuple[float, ...] = (-3600.0, -5.0, 5.0, 3600.0)
    """Seconds by which a machine's clock is set."""
    append_faults: float = 0.0
    fates: tuple[str, ...] = FATES
    """Fates of an append that fails."""
    clocks: float = 0.0
    """Changes of the ledger's leader, or of a broker's clock, in a lease's time."""
    outages: float = 0.0
    """Of the ledger, in a lease's time."""
    bad_answers: float = 0.0
    """Requests that fail, arrive late or never."""
    slow_reads: float = 0.0
    upgrade: bool = False
    """Another limit and window in the middle, for one replica after the other."""
    by_hand: bool = False
    """Records of usage elsewhere."""
    exact: bool = False
    """Without faults, and the use is judged."""
    classes: bool = False
    """Updates have classes, and the quota has shares: see classes.py."""
    bulk: bool = False
    """Many requests are one step: for the numbers of a whole day."""


PROFILES = {
    "calm": Profile(exact=True, styles=("paced",), traffic=("flood", "flood", "idle"), limits=(60, 150)),
    "clocks": Profile(clocks=0.5, bad_answers=0.3, styles=("eager", "late")),
    "freezes": Profile(freezes=0.06, bad_answers=0.1, clocks=0.1),
    "appends": Profile(append_faults=0.3, slow_reads=0.2, outages=0.03, freezes=0.01),
    "answers": Profile(bad_answers=0.6, clocks=0.3, timeouts=(2.0, 5.0, 8.0)),
    "crashes": Profile(troubles=0.25, bad_answers=0.1, append_faults=0.05),
    "upgrade": Profile(upgrade=True, freezes=0.01, clocks=0.1, bad_answers=0.1, lives=8.0),
    "by hand": Profile(by_hand=True, clocks=0.1, append_faults=0.05),
    "bursts": Profile(
        lives=3.0, replicas=(2, 4), traffic=("bursts", "flood", "bursts"), styles=("eager",), bad_answers=0.05
    ),
    "sixteen": Profile(
        replicas=(1, 16), windows=(20.0, 30.0), freezes=0.01, troubles=0.2, clocks=0.1, bad_answers=0.1, lives=4.0
    ),
    "everything": Profile(
        freezes=0.03,
        troubles=0.05,
        append_faults=0.1,
        clocks=0.15,
        outages=0.01,
        bad_answers=0.3,
        slow_reads=0.1,
        by_hand=True,
        upgrade=True,
    ),
    "shares": Profile(
        windows=(600.0, 1_200.0),
        timeouts=(2.0, 10.0),
        limits=(1_000, 3_000),
        replicas=(1, 4),
        lives=2.5,
        styles=("paced",),
        classes=True,
        exact=True,
    ),
    "shares at risk": Profile(
        windows=(60.0,),
        limits=(400, 900),
        replicas=(2, 4),
        lives=2.5,
        styles=("paced",),
        classes=True,
        freezes=0.001,
        slow_reads=0.05,
        troubles=0.03,
        kinds=("crash", "start", "freeze"),
        bad_answers=0.05,
    ),
    "long": Profile(
        windows=(600.0,),
        timeouts=(10.0,),
        replicas=(1, 4),
        limits=(200, 600),
        lives=2.5,
        freezes=0.01,
        troubles=0.005,
        append_faults=0.02,
        clocks=0.05,
        bad_answers=0.05,
    ),
}
"""Profiles in round robin."""

DAYS = {
    "day": Profile(
        windows=(DAY,), timeouts=(10.0,), limits=(1_000_000, 1_000_000), replicas=(1, 16), lives=2.0,
        traffic=("flood",), styles=("paced",), exact=True, bulk=True,
    ),
    "steady day": Profile(
        windows=(DAY,), timeouts=(10.0,), limits=(1_000_000, 1_000_000), replicas=(1, 16), lives=1.0,
        traffic=("steady",), styles=("paced",), exact=True, bulk=True,
    ),
}  # fmt: skip
"""The real window at its real size: slow, so only on request."""


HUNTS = {
    "drips": Profile(
        lives=3.0, windows=(8.0, 12.0), limits=(20, 40), replicas=(3, 4), traffic=("drips", "flood", "drips"),
        styles=("eager",), bad_answers=0.05,
    ),
    "doubled": Profile(
        windows=(8.0, 12.0), limits=(20, 40), replicas=(3, 4), traffic=("drips", "flood"), styles=("eager",),
        append_faults=0.6, fates=("twice",),
    ),
    "lost": Profile(
        lives=3.0, windows=(8.0, 12.0), replicas=(1, 1), traffic=("flood",), append_faults=0.3, fates=("lost",),
    ),
    "set back": Profile(
        windows=(8.0,), limits=(20, 40), replicas=(3, 4), traffic=("drips", "flood"), styles=("eager",), troubles=0.3,
        kinds=("wall",), walls=(-5.0,),
    ),
    "late reads": Profile(
        windows=(8.0,), timeouts=(0.5,), limits=(20, 60), replicas=(2, 4), traffic=("flood",), styles=("late", "eager"),
        slow_reads=0.3, clocks=0.6, bad_answers=0.8,
    ),
    "edges": Profile(
        windows=(8.0,), timeouts=(0.5,), limits=(20, 60), replicas=(2, 4), traffic=("flood",), styles=("late", "eager"),
        clocks=0.4, bad_answers=0.9, lives=40.0,
    ),
    "long way": Profile(
        windows=(8.0,), timeouts=(8.0,), limits=(20, 60), traffic=("flood",), styles=("eager",), bad_answers=0.3,
    ),
}  # fmt: skip
"""Each full of the one fault that some planted bugs need: a bug that one world in fifty shows is found by luck."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The drawn parameters of one world."""

    profile: Profile
    terms: QuotaPolicy
    later: QuotaPolicy
    """After an upgrade; else the same."""
    replicas: int
    seconds: float
    shares: tuple[int, int]
    """Of normal and low, in requests; with the limit for both there are none."""
    floods: tuple[Priority, ...]
    """Classes of which there is always more than can be sent; empty: updates have no class."""


def choose(profile: Profile, rng: random.Random) -> Setting:
    """Draw the parameters."""
    terms = _terms(profile, rng)
    later = _terms(profile, rng, terms) if profile.upgrade else terms
    replicas = rng.randint(*profile.replicas)
    shares: tuple[int, int] = (terms.limit, terms.limit)
    floods: tuple[Priority, ...] = ()
    if profile.classes:
        low = rng.uniform(0.5, 0.9)
        normal = low + (1.0 - low) * rng.choice((0.3, 0.8, 0.9))
        shares = round(normal * terms.limit), round(low * terms.limit)
        floods = rng.choice(((Priority.LOW,), (Priority.NORMAL, Priority.LOW)))
    seconds = profile.lives * max(terms.counted, later.counted)
    return Setting(profile, terms, later, replicas, seconds, shares, floods)


def _terms(profile: Profile, rng: random.Random, before: QuotaPolicy | None = None) -> QuotaPolicy:
    window = rng.choice(profile.windows)
    limit = rng.randint(*profile.limits)
    timeout = rng.choice(profile.timeouts)
    if before is not None and rng.random() < 0.6:
        window = before.window
    return QuotaPolicy(limit=limit, window=window, horizon=window / 24, request_timeout=timeout)
