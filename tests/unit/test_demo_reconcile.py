"""The final sum must notice the faults of a broken connector: lost, mixed up, invented values, or a broken rule."""

import json
from dataclasses import replace

import pytest

from connector.demo.reconcile import Report, compare

EXPECTED = {"a": {"tier": "gold", "points": "1"}, "b": {"tier": "none"}}
EVEN = Report(events=100, requests=30, updates=28, dead_letters=2, lost=0, wrong=0, violations=0)


@pytest.mark.parametrize(
    ("held", "lost", "wrong"),
    [
        ({"a": {"tier": "gold", "points": "1"}, "b": {"tier": "none"}}, 0, 0),
        ({}, 3, 0),
        ({"a": {"tier": "gold", "points": "1"}}, 1, 0),
        ({"a": {"tier": "gold"}, "b": {"tier": "none"}}, 1, 0),
        ({"a": {"tier": "gold", "points": "2"}, "b": {"tier": "none"}}, 0, 1),
        ({"a": {"tier": "gold", "points": "1", "extra": "x"}, "b": {"tier": "none"}}, 0, 1),
        ({"a": {"tier": "gold", "points": "1"}, "b": {"tier": "none"}, "c": {"x": "1", "y": "2"}}, 0, 2),
        ({"b": {"tier": "gold", "points": "1"}, "a": {"tier": "none"}}, 1, 3),
        ({"a": {"tier": "gold", "points": ""}, "b": {"tier": "none"}}, 0, 1),
    ],
)
def test_every_difference_is_counted_once(held: dict[str, dict[str, str]], lost: int, wrong: int) -> None:
    """Lost: sent and not held. Wrong: held with another value, or never sent."""
    assert compare(EXPECTED, held) == (lost, wrong)


def test_the_last_line_has_the_keys_of_the_contract() -> None:
    """A script reads them; broken rules are in the exit code."""
    assert json.loads(EVEN.line()) == {
        "events": 100, "requests": 30, "updates": 28, "dead_letters": 2, "lost": 0, "wrong": 0
    }  # fmt: skip
    assert "\n" not in EVEN.line()


def test_it_reconciles_only_without_a_fault() -> None:
    """Each of the three alone must show; dead letters and retries are no failure."""
    assert EVEN.reconciles
    for name in ("lost", "wrong", "violations"):
        assert not replace(EVEN, **{name: 1}).reconciles


def test_calls_saved_are_events_less_updates_and_never_less_than_none() -> None:
    """A lost answer makes an update count twice, which must not show as a saving of minus one."""
    assert EVEN.saved == 100 - 2 - 28
    assert replace(EVEN, updates=99).saved == 0
