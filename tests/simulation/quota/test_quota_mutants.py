"""The quota's simulation finds each planted bug, within a bounded number of worlds."""

import pytest

from tests.simulation.planting import Mutant, documented, hunt
from tests.simulation.quota.mutants import MUTANTS
from tests.simulation.quota.runs import live

TRIES = 30
"""Worlds within which a planted bug must show; most need one or two, none more than a few seconds."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    """An oracle that misses a planted bug proves nothing when it finds none. Without the bug the world passes."""
    found = hunt(mutant, live, TRIES)
    assert found is not None, f"in {TRIES} worlds of {mutant.profile} nobody sees that {mutant.breaks}"
    assert not live(found.profile, found.seed).failure


def test_the_documentation_lists_the_planted_bugs() -> None:
    """The documentation lists each of them."""
    assert {(mutant.name, mutant.breaks, f"`{mutant.profile}`") for mutant in MUTANTS} <= documented()
