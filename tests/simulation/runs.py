"""Worlds by the thousand, and what happened in them in sum."""

import time
from collections import Counter
from typing import NamedTuple

from tests.simulation.profiles import PROFILES
from tests.simulation.world import World
from tests.support.bench import quiet

HAPPENINGS = {
    "is killed": "crashes",
    "is frozen": "freezes",
    "is suspended": "freezes",
    "is cut off": "partitions of the network",
    "is told to stop": "stops",
    "revoking": "revokes",
    "lost": "losses",
    "outage": "outages",
    "committed": "commits",
}
"""What is counted of a trace, and what it is called."""


class Outcome(NamedTuple):
    """What became of one world."""

    profile: str
    seed: int
    failure: str
    """Empty: nothing is wrong."""
    counts: Counter[str]
    seconds: float
    program: str = "tests.simulation"

    @property
    def replay(self) -> str:
        """The command that shows it again, step by step."""
        return f'python -m {self.program} --profile "{self.profile}" --seed {self.seed} --trace'


def kind_of(number: int) -> str:
    """The profile whose turn it is: round robin."""
    return list(PROFILES)[number % len(PROFILES)]


def live(profile: str, seed: int) -> Outcome:
    """One world, whole; whatever is raised in it is its failure."""
    began = time.perf_counter()
    world = World(seed, PROFILES[profile])
    failure = ""
    try:
        with quiet():
            world.run()
    except Exception as error:  # noqa: BLE001 - a broken connector may raise anything, and the seed must be told
        failure = world.oracle.failure or repr(error)
    counts = world.oracle.counts + Counter(HAPPENINGS[what] for _, what, *_ in world.lines if what in HAPPENINGS)
    return Outcome(profile, seed, failure, counts, time.perf_counter() - began)
