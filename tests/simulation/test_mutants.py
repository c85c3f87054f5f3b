"""The simulation finds what it is there to find: each planted bug, within a bounded number of worlds."""

from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.runs import Outcome, live

FALLBACK = 100
DOCS = Path(__file__).parents[2] / "docs" / "simulation.md"


def _hunt(mutant: Mutant) -> Outcome | None:
    """The first world that shows it: the known seeds first, then a range, since any change may move it."""
    with planted(mutant):
        for seed in (*mutant.seeds, *range(FALLBACK)):
            if (outcome := live(mutant.profile, seed)).failure:
                return outcome
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    """An oracle that finds no bug in any world proves nothing by finding none in ours. Without it the world is well."""
    found = _hunt(mutant)
    assert found is not None, f"nobody sees that {mutant.breaks}"
    assert not live(found.profile, found.seed).failure


def test_the_documentation_lists_the_planted_bugs() -> None:
    """Whoever reads what the simulation can see finds each of them."""
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    listed = {(row[0].removeprefix("| "), row[1], row[2].removesuffix(" |")) for row in rows if len(row) == 3}
    assert {(mutant.name, mutant.breaks, f"`{mutant.profile}`") for mutant in MUTANTS} <= listed
