"""The whole pipeline in random worlds on virtual time: covers cases that no list of named tests has.

`make simulate SEEDS=5000` runs more of them; docs/simulation.md says what is in them.
"""

import os
import subprocess
import sys

import pytest

from connector.delivery.counters import Done
from tests.simulation.profiles import PROFILES, Profile
from tests.simulation.runs import live
from tests.simulation.world import World
from tests.support.bench import quiet

SEEDS = 6
ALONE = Profile(replicas=(1,), trouble=(0.5,), slowness=(0.5, 4.0), records=(150, 300), malformed=0.0, static=0.0)

KEPT = (
    ("poison", 5, "an outage that began made a dead letter of a healthy visitor after others had failed"),
    ("poison", 271, "backoff and blame were one number: a long outage left an update one attempt from its dead letter"),
    ("poison", 285, "likewise, for an update that failed while others got through"),
    ("poison", 380, "no defect: with few attempts a lone visitor's failures cannot be told from an outage that begins"),
    (
        "classes",
        82,
        "an update whose partitions were lost in flight could not be a dead letter: no part is left to name",
    ),
    ("classes", 1751, "a process that was frozen gave a visitor up without the last attempt"),
    ("ages", 701914, "no defect: the simulated client gave a partition up for the member that it had been before"),
    ("outages", 201, "no defect: plain 500s for a few visitors only, which the guarantees have among their limits"),
    ("outages", 5088, "no defect: the probe that fails after the recovery began before it"),
)
"""Seeds that once failed, and their defects."""


@pytest.mark.parametrize("profile", PROFILES)
def test_every_invariant_holds_in_any_world(profile: str) -> None:
    """Nothing lost, stale, unbounded or needlessly repeated; test_mutants.py says what it catches."""
    for seed in range(SEEDS):
        outcome = live(profile, seed)
        assert not outcome.failure, outcome.replay


@pytest.mark.parametrize(("profile", "seed", "was"), KEPT, ids=lambda value: str(value)[:20])
def test_what_once_failed_does_not_fail_again(profile: str, seed: int, was: str) -> None:
    """A seed that found a defect stays in the list."""
    assert not live(profile, seed).failure, was


@pytest.mark.parametrize("profile", ["calm", "zombies", "everything"])
def test_a_seed_decides_everything(profile: str) -> None:
    """Two processes with other hashes give the same trace; a set in order of address or hash would differ."""
    command = [sys.executable, "-m", "tests.simulation", "--profile", profile, "--seed", "7", "--trace"]
    traces = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": str(number), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for number in (1, 2)
    ]
    assert traces[0] == traces[1]
    assert traces[0].endswith("nothing is wrong\n")


@pytest.mark.parametrize("seed", range(10))
def test_a_visitor_never_goes_back_in_time_while_one_replica_owns_it(seed: int) -> None:
    """Checked by the trace, not by the oracle: a retry that kept its old values would send them after newer ones.

    The replica's counts agree with the trace.
    """
    world = World(seed, ALONE)
    with quiet():
        world.run()
    newest: dict[tuple[str, str], int] = {}
    sent = 0
    for _, what, *about in world.lines:
        if what == "sends":
            sent += 1
            _, visitor, serials = about
            for name, serial in serials.items():
                assert serial >= newest.get((visitor, name), 0)
                newest[visitor, name] = serial
    (tally,) = world.fleet.tallies
    seen = sum(record is not None for log in world.logs.values() for record in log.records)
    assert tally.events_consumed == seen > 0
    assert tally.events_done[Done.HANDED_OVER] == 0
    assert sum(tally.requests.values()) == sum(tally.request_seconds.counts) == sent
    assert sum(tally.event_age_seconds.counts) == tally.updates_accepted
