"""`make simulate`: worlds by the thousand; the first seed that fails prints itself and the command that replays it."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.oracle import Wrong
from tests.simulation.profiles import PROFILES
from tests.simulation.world import World
from tests.support.bench import quiet

if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, default=1000)
    asked.add_argument("--first-seed", type=int, default=0)
    asked.add_argument("--profile")
    asked.add_argument("--seed", type=int)
    asked.add_argument("--trace", action="store_true")
    asked.add_argument("--keep-going", action="store_true")
    a = asked.parse_args()
    seeds = [a.seed] if a.seed is not None else range(a.first_seed, a.first_seed + a.seeds)
    began = time.monotonic()
    failures: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    with quiet():
        for seed in seeds:
            world = World(seed, PROFILES[a.profile] if a.profile else None)
            t = time.monotonic()
            try:
                world.run()
            except Exception as error:
                import re, traceback

                if not isinstance(error, Wrong):
                    traceback.print_exc()
                which = next(n for n, p in PROFILES.items() if p is world.profile)
                print(f"seed {seed} {which}: {error!r}")
                failures[which] += 1
                if not a.keep_going:
                    if not a.trace:
                        sys.exit(1)
                    break
            counts.update(world.oracle.counts)
            if time.monotonic() - t > 1:
                print("slow", seed, time.monotonic() - t)
            if a.trace:
                break
    if a.trace:
        for when, *what in world.lines:
            print(f"{when - 1000:9.3f}", *what)
    print(len(seeds), "worlds", time.monotonic() - began, "s", failures, dict(counts))
