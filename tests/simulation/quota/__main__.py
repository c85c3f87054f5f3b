"""`make simulate` runs this after the pipeline's worlds: the quota's protocol; a failing world is printed."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.__main__ import CHUNK, say
from tests.simulation.quota.runs import kind_of, live
from tests.simulation.quota.setting import DAYS, HUNTS, PROFILES
from tests.simulation.quota.world import World

SHOWN = ("records", "reserve", "return", "requests", "freezes", "crash", "start", "stop", "outage", "upgrades")


def show(profile: str, seed: int) -> int:
    """Replay one world, and print its trace."""
    world = World(seed, {**PROFILES, **HUNTS, **DAYS}[profile], trace=True)
    say(world.setting)
    failure: Exception | None = None
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - it is shown, below what led to it
        failure = error
    for when, what, about in world.lines or ():
        say(f"{when - 1000:9.3f}", what, *about)
    say(repr(failure) if failure else "nothing is wrong")
    return 1 if failure else 0


def days(most: int) -> int:
    """The real window at its real size: usage, and records in the ledger, for 1, 3 and 16 replicas."""
    for name, profile in DAYS.items():
        for replicas in (1, 3, most):
            world = World(0, profile, replicas=replicas)
            world.run()
            terms = world.setting.terms
            whole = world.setting.seconds // terms.window
            begin = world.timeline.now - world.setting.seconds
            use = world.oracle.use(begin, whole * terms.window, terms)
            records = len(world.log.entries) * terms.window / world.setting.seconds
            say(f"{name}, {replicas} replicas: {use:.2%} used, {records:,.0f} records a day")
    return 0


def main() -> int:
    """The exit code."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation.quota", description=__doc__)
    asked.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    asked.add_argument("--first-seed", type=int, default=0)
    asked.add_argument("--profile", choices=[*PROFILES, *HUNTS, *DAYS], help="one kind of worlds; else all in turn")
    asked.add_argument("--seed", type=int, help="this world alone")
    asked.add_argument("--trace", action="store_true", help="with --seed: show all that happens")
    asked.add_argument("--days", action="store_true", help="days of a million instead: use and records")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    told = asked.parse_args()
    if told.days:
        return days(16)
    if told.seed is not None and told.trace:
        return show(told.profile or kind_of(told.seed), told.seed)
    seeds = range(told.first_seed, told.first_seed + told.seeds) if told.seed is None else [told.seed]
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failures = worlds = 0
    kinds = [told.profile or kind_of(seed) for seed in seeds]
    with ProcessPoolExecutor(told.jobs, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(live, kinds, seeds, chunksize=CHUNK):
            worlds += 1
            counts.update(outcome.counts)
            if outcome.failure:
                failures += 1
                say(f"seed {outcome.seed} of {outcome.profile}: {outcome.failure}\n  {outcome.replay}")
    minutes = (time.monotonic() - began) / 60
    say(f"{worlds} worlds of the quota in {minutes:.1f} minutes, {worlds / minutes:.0f} a minute: {failures} failed")
    say(", ".join(f"{counts[what]} {what}" for what in SHOWN))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
