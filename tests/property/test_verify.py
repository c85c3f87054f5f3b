"""The sample, its bounds and the judgement: for any input, and each with the wrong design that it catches."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition
from connector.events.change import Visitor
from connector.target.profile import Profile, ProfileAttribute
from connector.verify.confidence import at_most, lower, upper
from connector.verify.history import VisitorHistory, Written
from connector.verify.judge import APPLIED_SECONDS, HARM, Verdict, judge
from connector.verify.sample import Named, Sampler

LANE = TopicPartition("t", 0)
visitors = st.builds(Visitor, st.sampled_from(["pcId", "mbox3rdPartyId"]), st.sampled_from("abcdefghij"))


class ByEvent:
    """A wrong design: a reservoir of events, so that a busy visitor is drawn nearly always."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self._size, self._rng, self._seen = size, rng, 0
        self.chosen: dict[Visitor, VisitorHistory] = {}

    def take(self, visitor: Visitor) -> VisitorHistory | None:
        self._seen += 1
        if visitor not in self.chosen and self._is_drawn():
            if len(self.chosen) >= self._size:
                del self.chosen[self._rng.choice(list(self.chosen))]
            self.chosen[visitor] = VisitorHistory()
        return self.chosen.get(visitor)

    def _is_drawn(self) -> bool:
        return len(self.chosen) < self._size or self._rng.randrange(self._seen) < self._size


class Forgetful(ByEvent):
    """A wrong design: a reservoir of visitors that lets one in at any event, and judges by the rest of its history."""

    def _is_drawn(self) -> bool:
        return len(self.chosen) < self._size or self._rng.random() < 0.5


Made = Callable[[int, random.Random], "Sampler | ByEvent"]


def has_whole_histories(make: Made, events: Sequence[Visitor], size: int, seed: int) -> bool:
    """Whether each visitor chosen at the end has all of its events; the memory is bounded at every moment."""
    sampler = make(size, random.Random(seed))
    for number, visitor in enumerate(events):
        history = sampler.take(visitor)
        if history is not None:
            history.add(LANE, {f"n{number}": "v"}, Written("", float(number), is_settled=True, occurred=0.0))
        assert len(sampler.chosen) <= size
    return all(
        {name for name, _ in history.asked(Order.OFFSET, 0.0)}
        == {f"n{number}" for number, each in enumerate(events) if each == visitor}
        for visitor, history in sampler.chosen.items()
    )


def draws_alike(make: Made) -> bool:
    """Whether a visitor with 500 events is drawn about as often as each with one."""
    busy = Visitor("pcId", "busy")
    others = [Visitor("pcId", str(number)) for number in range(19)]
    drawn: Counter[Visitor] = Counter()
    for seed in range(400):
        sampler = make(5, random.Random(seed))
        for visitor in [*others, *[busy] * 500]:
            sampler.take(visitor)
        drawn.update(sampler.chosen.keys())
    return all(60 < drawn[visitor] < 140 for visitor in (busy, *others))


@given(st.lists(visitors, max_size=60), st.integers(1, 8), st.integers(0, 1 << 32))
def test_a_chosen_visitor_has_all_events(events: list[Visitor], size: int, seed: int) -> None:
    """With half a history an older value would be expected, and the newer one taken for someone else's."""
    assert has_whole_histories(Sampler, events, size, seed)
    sampler = Sampler(size, random.Random(seed))
    for visitor in events:
        sampler.take(visitor)
    assert len(sampler.chosen) == min(size, len(set(events)))


def test_visitors_are_drawn_alike_however_many_events_they_have() -> None:
    """Else quiet visitors, who are the most, are never seen."""
    assert draws_alike(Sampler)


def test_wrong_designs_of_the_sample_are_found() -> None:
    """A check that finds neither of them would prove nothing."""
    events = [Visitor("pcId", str(number % 7)) for number in range(60)]
    assert not draws_alike(ByEvent)
    assert not all(has_whole_histories(Forgetful, events, 3, seed) for seed in range(20))


def test_the_number_of_visitors_is_counted_while_they_fit_and_estimated_beyond() -> None:
    """By the sample alone: a set of all visitors would not be bounded."""
    for count in (3, 300, 20_000):
        sampler = Sampler(300, random.Random(1))
        for number in range(count):
            sampler.take(Visitor("pcId", str(number)))
        assert sampler.distinct == count if count <= 300 else abs(sampler.distinct / count - 1) < 0.2


def test_a_named_visitor_is_found_by_either_kind_or_one() -> None:
    """With a colon the kind is named; an id may hold a colon itself."""
    third, pc = Visitor("mbox3rdPartyId", "a:1"), Visitor("pcId", "a:1")
    for name, found in (("a:1", {third, pc}), ("pcId:a:1", {pc}), ("mbox3rdPartyId:a:1", {third}), ("a", set())):
        named = Named(name)
        for visitor in (third, pc, Visitor("pcId", "b")):
            named.take(visitor)
        assert (set(named.chosen), named.distinct) == (found, len(found))


@pytest.mark.parametrize("of", [1, 5, 59, 300, 1_000, 5_000])
def test_none_of_n_is_the_rule_of_three(of: int) -> None:
    """1 - 0.05^(1/n); none of 300 is the first round number that says below 1 %."""
    assert upper(0, of) == pytest.approx(1 - 0.05 ** (1 / of))
    assert lower(0, of) == 0.0
    assert (upper(0, of) < 0.01) == (of >= 300)


@given(st.integers(1, 400), st.data())
def test_the_bounds_are_those_of_the_definition(of: int, data: st.DataObject) -> None:
    """At the upper bound so few are seen in one of twenty samples; a normal approximation misses that near 0 and 1."""
    count = data.draw(st.integers(0, of))
    low, high = lower(count, of), upper(count, of)
    assert 0.0 <= low <= count / of <= high <= 1.0
    if count < of:
        assert at_most(count, of, high) == pytest.approx(0.05, abs=1e-6)
    if count:
        assert 1 - at_most(count - 1, of, low) == pytest.approx(0.05, abs=1e-6)


texts = st.sampled_from(["", "v", "w", "x" * 128, "x" * 256, "x" * 300])
times = st.one_of(st.none(), st.sampled_from([0.0, 900.0, 1_000.0, 1_500.0, 90_000.0]))
profiles = st.one_of(
    st.none(),
    st.builds(
        Profile,
        st.dictionaries(st.sampled_from(["a", "b", "user.c"]), st.builds(ProfileAttribute, texts, times)),
        times,
    ),
)
events = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), texts, st.sampled_from([0.0, 1_000.0, 1_001.0]), st.booleans()), max_size=6
)


@given(events, profiles, st.floats(0.0, 400_000.0))
def test_time_only_ends_what_is_late(
    events: list[tuple[str, str, float, bool]], profile: Profile | None, now: float
) -> None:
    """For any history and profile: nothing raises, and a later look changes no verdict but `late`.

    A verdict of loss that a later look takes back was given too early; one that depends on the clock alone is no
    evidence.
    """
    history = VisitorHistory()
    for name, value, at, is_settled in events:
        history.add(LANE, {name: value}, Written("", at, is_settled, at))
    asked = dict(history.asked(Order.OFFSET, 60.0))
    first, last = judge(asked, profile, now), judge(asked, profile, now + 60.0 + APPLIED_SECONDS + 400_000.0)
    for name, judgement in first.items():
        if judgement.verdict is Verdict.LATE:
            assert last[name].verdict in {Verdict.LOST, Verdict.REPLACED}
            assert now < asked[name].newest.at + 60.0 + APPLIED_SECONDS
        else:
            assert last[name] == judgement
        if (
            profile is not None
            and name in profile.attributes
            and profile.attributes[name].value == asked[name].newest.value
        ):
            assert judgement.verdict not in HARM, "what is there is not lost"
