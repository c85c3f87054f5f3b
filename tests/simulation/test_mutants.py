"""The simulation finds each planted bug, within a bounded number of worlds."""

import pytest

from tests.simulation.planting import Mutant, documented, hunt
from tests.simulation.runs import live
from tests.simulation.seeds import PIPELINE

FALLBACK = 100


@pytest.mark.parametrize("mutant", PIPELINE, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    """An oracle that misses a planted bug proves nothing when it finds none. Without the bug the world passes."""
    found = hunt(mutant, live, FALLBACK)
    assert found is not None, f"nobody sees that {mutant.breaks}"
    assert not live(found.profile, found.seed).failure


def test_the_documentation_lists_the_planted_bugs() -> None:
    """The documentation lists each of them."""
    assert {(mutant.name, mutant.breaks, f"`{mutant.profile}`") for mutant in PIPELINE} <= documented()
