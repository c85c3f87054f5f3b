"""The judgement in random worlds: each verdict is the sandbox's truth, or in a named pair whose reason is true.

`python -m tests.simulation.verify` runs ten thousand; docs/simulation.md says what is in them.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.planting import Mutant, documented, hunt
from tests.simulation.verify.mutants import MUTANTS
from tests.simulation.verify.pairs import PAIRS
from tests.simulation.verify.runs import PROFILE, judged, live

WORLDS = 600
TRIES = 4_000
"""Worlds within which a planted wrong design must show; a thousand take half a second."""
LEAST_EXACT = 0.75
"""Of the verdicts: were most of them in pairs, the pairs would prove nothing."""
DOCS = Path(__file__).parents[3] / "docs" / "verify.md"


def test_each_verdict_is_the_truth_or_a_named_pair() -> None:
    """No other verdict, in any world; the mutants say which wrong designs that catches."""
    counts: Counter[str] = Counter()
    for seed in range(WORLDS):
        outcome = live(PROFILE, seed)
        assert not outcome.failure, (outcome.failure, outcome.replay)
        counts.update(outcome.counts)
    assert counts["exact"] >= LEAST_EXACT * judged(counts)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_wrong_design_is_found(mutant: Mutant) -> None:
    """A truth that no wrong verdict contradicts would prove nothing. Without the wrong design the world passes."""
    found = hunt(mutant, live, TRIES)
    assert found is not None, f"in {TRIES} worlds nobody sees that {mutant.breaks}"
    assert not live(found.profile, found.seed).failure


def test_the_documentation_lists_the_wrong_designs() -> None:
    """Each with what it breaks."""
    assert {(mutant.name, mutant.breaks, f"`{mutant.profile}`") for mutant in MUTANTS} <= documented()


def test_the_documentation_names_every_pair() -> None:
    """What cannot be told apart is said to the reader of a report: each pair by its name, and no other."""
    named = set(re.findall(r"^\| \*(.+?)\* \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {pair.name for pair in PAIRS}
