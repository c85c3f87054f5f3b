"""The quota's protocol in random worlds: no window is above its limit, all fold alike, and the quota is used.

`make simulate SEEDS=5000` runs more of them; docs/simulation.md says what is in them.
"""

import pytest

from tests.simulation.quota.runs import live
from tests.simulation.quota.setting import DAYS, HUNTS, PROFILES
from tests.simulation.quota.world import World

SEEDS = 2

KEPT = (
    ("crashes", 11, "a return that was written twice took off twice"),
    ("appends", 123, "likewise"),
)
"""Seeds that once failed, and their defects."""


@pytest.mark.parametrize("profile", [*PROFILES, *HUNTS])
def test_the_quota_holds_in_any_world(profile: str) -> None:
    """No window above the limit, one fold, idle replicas hold nothing, none starves; the mutants say what is caught."""
    for seed in range(SEEDS):
        outcome = live(profile, seed)
        assert not outcome.failure, outcome.replay


@pytest.mark.parametrize(("profile", "seed", "was"), KEPT)
def test_what_once_failed_does_not_fail_again(profile: str, seed: int, was: str) -> None:
    """A seed that found a defect stays in the list."""
    assert not live(profile, seed).failure, was


def test_a_day_of_a_million_is_used() -> None:
    """At the real size, under backlog: a margin that wastes more than a hundredth would show here."""
    world = World(0, DAYS["day"], replicas=1)
    world.run()
    terms = world.setting.terms
    begin = world.timeline.now - world.setting.seconds
    assert world.oracle.use(begin, world.setting.seconds // terms.window * terms.window, terms) >= 0.99
