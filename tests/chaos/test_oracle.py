"""An oracle that misses a fault is worse than none: each kind of fault is planted here, and must be found."""

import json
import math
from collections.abc import Mapping

import pytest

from tests.chaos.oracle import Evidence, Life, Request, Span, judge
from tests.support.kafka.client import Record


class Run:
    """A run without a fault, to be changed by a test."""

    def __init__(self) -> None:
        self.records = [
            change(0, "visitor-1", seq=1, city=1),
            change(1, "visitor-1", seq=2),
            record(2, "malformed-3", b"{"),
            record(3, "tombstone-4", None),
            change(4, "poison-1", seq=5, city=5),
            change(5, "poison-1", seq=6),
        ]
        self.letters = [
            letter(0, "malformed-3", b"{", offset=2),
            letter(1, "poison-1", event("poison-1", seq=5, city=5), offset=4),
            letter(2, "poison-1", event("poison-1", seq=6), offset=5),
        ]
        self.journal = [sent(1.0, "visitor-1", seq=1, city=1), sent(2.0, "visitor-1", seq=2)]
        self.profiles: dict[str, Mapping[str, int]] = {"visitor-1": {"seq": 2, "city": 1}}
        self.committed = {0: 6}
        self.lives = {"r0.1": Life("r0.1"), "r1.1": Life("r1.1")}
        self.overlaps: list[str] = []
        self.broken_rules: dict[str, int] = {}
        self.incidents: list[str] = []

    def reasons(self) -> list[str]:
        """What the oracle finds."""
        return judge(self._evidence()).reasons

    def counts(self) -> dict[str, int]:
        """What the oracle counts."""
        return judge(self._evidence()).counts

    def _evidence(self) -> Evidence:
        return Evidence(
            records=self.records,
            letters=self.letters,
            journal=self.journal,
            profiles=self.profiles,
            committed=self.committed,
            ends={0: 6, 1: 0},
            lives=self.lives,
            overlaps=self.overlaps,
            broken_rules=self.broken_rules,
            incidents=self.incidents,
        )


def event(visitor: str, **profile: object) -> bytes:
    """A version 1 event."""
    return json.dumps({"mbox3rdPartyId": visitor, "profile": profile}).encode()


def record(number: int, key: str, value: bytes | None) -> Record:
    """A record of the topic."""
    return Record(0, number, key.encode(), value, {}, 0)


def change(number: int, visitor: str, **profile: int) -> Record:
    """A record with a change."""
    return record(number, visitor, event(visitor, **profile))


def letter(number: int, key: str, value: bytes, offset: int) -> Record:
    """A dead letter that names its source; merged values are texts in it."""
    headers = {"__connect.errors.partition": b"0", "__connect.errors.offset": str(offset).encode()}
    return Record(0, number, key.encode(), value, headers, 0)


def sent(
    start: float, visitor: str, *, client: str = "r0.1", applied: bool = True, verdict: str = "200", **profile: int
) -> Request:
    """A request as the endpoint saw it."""
    return Request(start, start + 0.01, client, visitor, profile, verdict, applied)


def test_a_run_in_which_all_went_well_has_no_reasons() -> None:
    """Otherwise every finding could be the oracle's own."""
    run = Run()
    assert run.reasons() == []
    assert run.counts()["malformed"] == 1
    assert run.counts()["repeats"] == run.counts()["back in time"] == 0


def test_a_last_value_that_never_came_is_lost() -> None:
    """An offset was committed past a failed call."""
    run = Run()
    run.journal.pop()
    run.profiles["visitor-1"] = {"seq": 1, "city": 1}
    assert run.reasons() == ["wrong in the end: lost: visitor-1 seq must be 2, is 1"]


def test_a_missing_visitor_is_lost() -> None:
    """A comparison over existing profiles alone would not see a missing one."""
    run = Run()
    run.profiles.clear()
    run.journal.clear()
    assert len(run.reasons()) == 2


def test_an_unexpected_profile_is_wrong() -> None:
    """A request to the wrong visitor."""
    run = Run()
    run.profiles["visitor-2"] = {"seq": 1}
    assert run.reasons() == ["wrong in the end: lost: visitor-2 seq must be None, is 1"]


def test_an_older_value_that_stays_is_stale_and_is_traced_to_its_request() -> None:
    """A retry with the old body after the newer one."""
    run = Run()
    run.journal.append(sent(3.0, "visitor-1", seq=1))
    run.profiles["visitor-1"] = {"seq": 1, "city": 1}
    wrong, trip = run.reasons()
    assert wrong == "wrong in the end: stale: visitor-1 seq must be 2, is 1"
    assert "by the same owner: visitor-1 seq=1 by r0.1 at 3.000 (200), after 2 by r0.1 at 2.000 (200)" in trip


def test_an_older_value_is_found_though_a_newer_one_corrects_it_and_though_it_was_refused() -> None:
    """The last values alone would hide it, and so would a look at the accepted requests alone."""
    run = Run()
    run.journal += [
        sent(3.0, "visitor-1", seq=1, applied=False, verdict="503"),
        sent(4.0, "visitor-1", seq=1),
        sent(5.0, "visitor-1", seq=2),
    ]
    assert len(run.reasons()) == run.counts()["back in time"] == 2


def test_a_value_that_was_not_taken_does_not_make_another_one_old() -> None:
    """A replica that was killed over a refused request leaves its successor free to begin at the committed offset."""
    run = Run()
    run.journal.insert(0, sent(0.5, "visitor-1", seq=2, applied=False, verdict="503"))
    assert run.reasons() == []


def test_the_same_value_again_is_a_repeat() -> None:
    """The cost of a crash; it is counted, and is no fault."""
    run = Run()
    run.journal += [sent(3.0, "visitor-1", client="r1.1", seq=2), sent(3.5, "visitor-1", client="r1.1", seq=2, city=1)]
    run.records.append(change(6, "visitor-1", tier=7))
    run.journal.append(sent(4.0, "visitor-1", seq=2, tier=7))
    run.profiles["visitor-1"] = {"seq": 2, "city": 1, "tier": 7}
    assert run.reasons() == []
    assert run.counts()["repeats"] == 2


@pytest.mark.parametrize("left", [[], [letter(0, "malformed-3", b"other", offset=2)]])
def test_a_malformed_record_without_a_letter_of_its_own_is_lost(left: list[Record]) -> None:
    """An offset committed before the letter was acknowledged, or a letter with another content."""
    run = Run()
    run.letters[0:1] = left
    assert run.reasons() == ["lost: the malformed record 0/2 has no dead letter"]


def test_a_value_that_can_never_be_delivered_needs_a_letter_that_is_as_new() -> None:
    """A letter for the first value does not cover the last."""
    run = Run()
    run.letters.pop()
    assert run.reasons() == ["lost: poison-1 seq: the last value is 6, the newest in a dead letter 5"]


def test_a_letter_for_a_value_that_can_be_delivered_is_no_delivery() -> None:
    """An outage must never make dead letters."""
    run = Run()
    run.journal.pop()
    run.profiles["visitor-1"] = {"seq": 1, "city": 1}
    run.letters.append(letter(3, "visitor-1", event("visitor-1", seq="2"), offset=1))
    assert run.reasons() == [
        "wrong in the end: buried although it could be delivered: visitor-1 seq must be 2, is 1",
    ]


@pytest.mark.parametrize("committed", [{}, {0: 5}, {0: 7}])
def test_what_is_committed_is_where_the_log_ends(committed: dict[int, int]) -> None:
    """Neither short of it, nor past it."""
    run = Run()
    run.committed = committed
    assert len(run.reasons()) == 1


def test_what_others_saw_is_a_reason_each_but_not_a_flood() -> None:
    """The links, the endpoint and the process monitor report findings of their own."""
    run = Run()
    run.overlaps = [f"overlap {number}" for number in range(20)]
    run.broken_rules = {"no_attribute": 1}
    run.incidents = ["r0.1 ended by itself"]
    reasons = run.reasons()
    assert "incident: r0.1 ended by itself" in reasons
    assert "rule of the API broken: no_attribute: 1" in reasons
    assert reasons.count("two at once: 20 in all") == 1
    assert len(reasons) == 8


@pytest.mark.parametrize(
    ("older", "lives", "cause"),
    [
        ("r0.1", {"r0.1": Life("r0.1", took=[(0.5, 0)])}, "by the same owner"),
        ("r0.1", {"r0.1": Life("r0.1", took=[(0.5, 0), (2.5, 0)])}, "by the same process that lost and regained it"),
        ("r1.1", {"r0.1": Life("r0.1", "killed"), "r1.1": Life("r1.1", took=[(2.5, 0)])}, "read again after a kill"),
        ("r1.1", {"r0.1": Life("r0.1", "killed"), "r1.1": Life("r1.1", took=[(1.9, 0)])}, "read again after a kill"),
        ("r1.1", {"r1.1": Life("r1.1", took=[(2.5, 0)])}, "read again after a hand-over"),
        (
            "r1.1",
            {"r1.1": Life("r1.1", spans=[Span("frozen", 1.0, 2.9)], took=[(0.5, 0)])},
            "by a former owner, frozen",
        ),
        (
            "r1.1",
            {"r0.1": Life("r0.1", spans=[Span("cut off", 1.0, math.inf)]), "r1.1": Life("r1.1", took=[(2.5, 0)])},
            "read again from one cut off",
        ),
    ],
)
def test_a_trip_back_in_time_is_named_by_what_led_to_it(older: str, lives: dict[str, Life], cause: str) -> None:
    """A finding must say where to look for the cause."""
    run = Run()
    run.lives |= lives
    run.journal.append(sent(3.0, "visitor-1", client=older, seq=1))
    assert run.counts()[f"back in time, {cause}"] == 1
