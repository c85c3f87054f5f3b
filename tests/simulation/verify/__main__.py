"""The verdicts of `connector verify` against the truth of the sandbox, by the thousand; a wrong one is shown."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from connector.sandbox.fates import Fate
from tests.simulation.__main__ import say
from tests.simulation.verify.pairs import PAIRS
from tests.simulation.verify.runs import PROFILE, judged, live
from tests.simulation.verify.world import NOW, World

CHUNK = 250


def show(seed: int) -> int:
    """Replay one world, and print all that is known of it."""
    world = World(seed)
    world.run()
    hours = 3_600.0
    say(f"read from {(world.window - NOW) / hours:.1f} h, {world.visitor.kind}, overriding: {world.is_overriding}")
    for event in world.events:
        accepted = None if event.accepted_at is None else round((event.accepted_at - NOW) / hours, 2)
        state = "given up" if event.is_dead else "settled" if event.is_settled else "open"
        say(f"{(event.at - NOW) / hours:9.2f} h  event {event.attributes}, accepted at {accepted}, {state}")
    for at, written in world.elsewhere:
        say(f"{(at - NOW) / hours:9.2f} h  visit {written}")
    for name, held in ({} if world.stored is None else world.stored.attributes).items():
        say(f"{(held.modified_at / 1_000 - NOW) / hours:9.2f} h  fetched {name}={held.value!r}")
    for name, judgement in world.judged.items():
        say(f"{name}: judged {judgement.verdict}, the truth is {world.fates.get(name, Fate.UNKNOWN)}")
    outcome = live(PROFILE, seed)
    say(outcome.failure or "nothing is wrong")
    return 1 if outcome.failure else 0


def main() -> int:
    """The exit code."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation.verify", description=__doc__)
    asked.add_argument("--seeds", type=int, default=10_000, help="how many worlds (default %(default)s)")
    asked.add_argument("--first-seed", type=int, default=0)
    asked.add_argument("--profile", choices=[PROFILE], help="there is one kind of worlds")
    asked.add_argument("--seed", type=int, help="this world alone")
    asked.add_argument("--trace", action="store_true", help="with --seed: show all that is known of it")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    told = asked.parse_args()
    if told.seed is not None:
        return show(told.seed)
    seeds = range(told.first_seed, told.first_seed + told.seeds)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failures = 0
    with ProcessPoolExecutor(told.jobs, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(live, [PROFILE] * len(seeds), seeds, chunksize=CHUNK):
            counts.update(outcome.counts)
            if outcome.failure:
                failures += 1
                say(f"seed {outcome.seed}: {outcome.failure}\n  {outcome.replay}")
    number = judged(counts)
    say(f"{len(seeds)} worlds in {time.monotonic() - began:.0f} s: {failures} with a wrong verdict")
    share = counts["exact"] / max(1, number)
    say(f"{number} attributes judged, {share:.1%} as the truth is; the others in named pairs:")
    for name in dict.fromkeys(pair.name for pair in PAIRS):
        say(f"{counts[name]:8} {name}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
