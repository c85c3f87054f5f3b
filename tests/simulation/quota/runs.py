"""Worlds by number, and their outcomes."""

import time

from tests.simulation.quota.setting import DAYS, HUNTS, PROFILES
from tests.simulation.quota.world import World
from tests.simulation.runs import Outcome


def kind_of(number: int) -> str:
    """The profile of this number: round robin."""
    return list(PROFILES)[number % len(PROFILES)]


def live(profile: str, seed: int) -> Outcome:
    """Run one whole world; any exception in it is its failure."""
    began = time.perf_counter()
    world = World(seed, {**PROFILES, **HUNTS, **DAYS}[profile])
    failure = ""
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - a broken holder may raise anything, and the seed must be told
        failure = repr(error)
    return Outcome(profile, seed, failure, world.counts, time.perf_counter() - began, "tests.simulation.quota")
