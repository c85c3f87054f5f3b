"""The quota's worlds find what they are there to find: each planted bug, within a bounded number of worlds."""

import pytest

from tests.simulation.planting import Mutant, documented, hunt
from tests.simulation.quota.mutants import MUTANTS
from tests.simulation.quota.runs import live

TRIES = 30
"""Worlds within which a planted bug must show; most need one or two, none more than a few seconds."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    """An oracle that finds no bug in any world proves nothing by finding none in ours. Without it the world is well."""
    found = hunt(mutant, live, TRIES)
    assert found is not None, f"in {TRIES} worlds of {mutant.profile} nobody sees that {mutant.breaks}"
    assert not live(found.profile, found.seed).failure


def test_the_documentation_lists_the_planted_bugs() -> None:
    """Whoever reads what the simulation can see finds each of them."""
    assert {(mutant.name, mutant.breaks, f"`{mutant.profile}`") for mutant in MUTANTS} <= documented()
