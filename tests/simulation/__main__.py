"""`make simulate`: thousands of worlds; a failing seed is printed with the command that replays it."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.profiles import PROFILES
from tests.simulation.runs import kind_of, live
from tests.simulation.world import World
from tests.support.bench import quiet

CHUNK = 8
SHOWN = (
    *("crashes", "stops", "freezes", "partitions of the network", "outages", "revokes", "losses"),
    *("commits", "commits refused", "requests", "repeats", "left out", "letters"),
    *("expired when read", "expired while it waited", "expired in a retry", "left out of a request"),
    *("grew too old within a turn", "young ones replaced"),
    *("turns of high", "turns of normal", "turns of low", "turns of risen ones"),
)


def say(*what: object) -> None:
    """Print at once."""
    print(*what, flush=True)  # noqa: T201 - a program for the terminal


def show(profile: str, seed: int) -> int:
    """Replay one world, and print its trace."""
    world = World(seed, PROFILES[profile])
    failure: Exception | None = None
    with quiet():
        try:
            world.run()
        except Exception as error:  # noqa: BLE001 - it is shown, below what led to it
            failure = error
    for when, *what in world.lines:
        say(f"{when - 1000:9.3f}", *what)
    say(repr(failure) if failure else "nothing is wrong")
    return 1 if failure else 0


def sweep(kinds: list[tuple[str, int]], jobs: int, *, keep_going: bool) -> int:
    """Run them all, and print the sums."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failures = worlds = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(live, *zip(*kinds, strict=True), chunksize=CHUNK):
            worlds += 1
            counts.update(outcome.counts)
            if outcome.failure:
                failures += 1
                say(f"seed {outcome.seed} of {outcome.profile}: {outcome.failure}\n  {outcome.replay}")
                if not keep_going:
                    pool.shutdown(cancel_futures=True)
                    break
    minutes = (time.monotonic() - began) / 60
    say(f"{worlds} worlds in {minutes:.1f} minutes, {worlds / minutes:.0f} a minute: {failures} failed")
    say(", ".join(f"{counts[what]} {what}" for what in SHOWN))
    return 1 if failures else 0


def main() -> int:
    """The exit code."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    asked.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    asked.add_argument("--first-seed", type=int, default=0)
    asked.add_argument("--profile", choices=PROFILES, help="one kind of worlds; else all in turn")
    asked.add_argument("--seed", type=int, help="this world alone")
    asked.add_argument("--trace", action="store_true", help="with --seed: show all that happens")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    told = asked.parse_args()
    if told.seed is not None and told.trace:
        return show(told.profile or kind_of(told.seed), told.seed)
    seeds = range(told.first_seed, told.first_seed + told.seeds) if told.seed is None else [told.seed]
    kinds = [(told.profile or kind_of(seed), seed) for seed in seeds]
    return sweep(kinds, told.jobs, keep_going=told.keep_going)


if __name__ == "__main__":
    sys.exit(main())
