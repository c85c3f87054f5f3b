"""Worlds by number: each verdict is held to the sandbox's truth."""

import time
from collections import Counter

from connector.sandbox.fates import Fate
from connector.verify.judge import Verdict
from tests.simulation.runs import Outcome
from tests.simulation.verify.pairs import PAIRS, Case, is_given_up_elsewhere, told
from tests.simulation.verify.world import World

PROGRAM = "tests.simulation.verify"
PROFILE = "visitor"
"""There is one kind of worlds."""


class WrongVerdict(AssertionError):
    """A verdict that the truth does not allow."""


def examine(world: World) -> Counter[str]:
    """What the world's verdicts came to, by name. Raises WrongVerdict."""
    counts: Counter[str] = Counter()
    newest: dict[str, Case] = {}
    for event in world.events:
        if event.at >= world.window:
            for name in event.attributes:
                newest[name] = Case(world, name, event, world.fates.get(name, Fate.UNKNOWN))
    if newest.keys() != world.judged.keys():
        msg = f"judged are {sorted(world.judged)}, asked for were {sorted(newest)}"
        raise WrongVerdict(msg)
    for name, case in newest.items():
        verdict = world.judged[name].verdict
        counts[_examine(case, verdict)] += 1
        counts[f"verdict {verdict}"] += 1
        if verdict not in (Verdict.PENDING, Verdict.DEAD_LETTERED):
            counts[f"{case.fate} judged {verdict}"] += 1
    return counts


def _examine(case: Case, verdict: Verdict) -> str:
    expected = None
    if not case.event.is_settled:
        expected = Verdict.PENDING
    elif case.event.is_dead:
        expected = Verdict.DEAD_LETTERED
    if expected is not None or verdict in (Verdict.PENDING, Verdict.DEAD_LETTERED):
        if verdict is expected:
            return "not judged"
        if verdict is Verdict.DEAD_LETTERED and is_given_up_elsewhere(case):
            return "the same value, given up"
        msg = f"{case.name}: {verdict}, and it is {expected}"
        raise WrongVerdict(msg)
    how = told(case, verdict)
    if how is None:
        msg = f"{case.name}: {verdict}, and the truth is {case.fate}; sent {case.sent[:9]!r}"
        raise WrongVerdict(msg)
    return how


def live(profile: str, seed: int) -> Outcome:
    """Run one world; any exception in it is its failure."""
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    failure = ""
    try:
        world = World(seed)
        world.run()
        counts = examine(world)
    except Exception as error:  # noqa: BLE001 - a broken judgement may raise anything, and the seed must be told
        failure = repr(error)
    return Outcome(profile, seed, failure, counts, time.perf_counter() - began, PROGRAM)


def judged(counts: Counter[str]) -> int:
    """How many attributes have a verdict that says something, right or in a pair."""
    return counts["exact"] + sum(counts[name] for name in {pair.name for pair in PAIRS})
