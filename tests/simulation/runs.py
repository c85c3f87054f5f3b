"""Runs worlds by the thousand, and sums up what happened."""

import time
from collections import Counter
from typing import NamedTuple

from connector.delivery.counters import Done
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
"""Trace entries that are counted, and the names of the counts."""


class Outcome(NamedTuple):
    """Result of one world."""

    profile: str
    seed: int
    failure: str
    """Empty: no invariant failed."""
    counts: Counter[str]
    seconds: float
    program: str = "tests.simulation"

    @property
    def replay(self) -> str:
        """The command that shows it again, step by step."""
        return f'python -m {self.program} --profile "{self.profile}" --seed {self.seed} --trace'


def kind_of(number: int) -> str:
    """The profile of this number: round robin."""
    return list(PROFILES)[number % len(PROFILES)]


def live(profile: str, seed: int) -> Outcome:
    """Run one whole world; any exception in it is its failure."""
    began = time.perf_counter()
    world = World(seed, PROFILES[profile])
    failure = ""
    try:
        with quiet():
            world.run()
    except Exception as error:  # noqa: BLE001 - a broken connector may raise anything, and the seed must be told
        failure = world.oracle.failure or repr(error)
    left_out = Counter({"left out": sum(tally.events_done[Done.UNCHANGED] for tally in world.fleet.tallies)})
    counts = (
        world.oracle.counts + left_out + Counter(HAPPENINGS[what] for _, what, *_ in world.lines if what in HAPPENINGS)
    )
    return Outcome(profile, seed, failure, counts, time.perf_counter() - began)
