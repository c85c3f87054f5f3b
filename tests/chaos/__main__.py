"""`make chaos`: one run of a given length, and its results in numbers."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.world import Plan, run
from tests.support.java import Unavailable
from tests.support.kafka.prepare import obtain


def main() -> int:
    """0: nothing was found; 1: something was, and the run's folder is kept; 2: it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of chaos (default: %(default)s)")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(1_000_000),
        help="of every random decision (default: another each time); the timing of processes is not part of it",
    )
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep logs and evidence here (default: only those of a failed run)")
    options = parser.parse_args()
    try:
        distribution = obtain()
    except Unavailable as problem:
        sys.stderr.write(f"no real Kafka broker: {problem}\n")
        return 2
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{options.minutes:g} minutes of chaos, seed {options.seed}, brokers {options.brokers}, logs in {folder}")
    plan = Plan(seconds=options.minutes * 60, seed=options.seed, brokers=options.brokers)
    verdict = asyncio.run(run(plan, distribution, folder, say))
    for name, count in verdict.counts.items():
        say(f"{count:9,}  {name}")
    if verdict.reasons:
        for reason in verdict.reasons:
            say(reason)
        say(f"FAILED with seed {options.seed}; the logs and all evidence are in {folder}")
        return 1
    say(f"nothing lost, nothing stale, nothing twice at once (seed {options.seed})")
    if options.folder is None:
        shutil.rmtree(folder)
    return 0


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
