"""Values that Target has take no call, and a profile is right in every order of answers, losses and owners."""

import asyncio

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.pipeline.dispatch import MOST_UNSENT
from connector.target.render import Request
from tests.support.bench import Bench
from tests.support.fakes import Applied, Behaviour, FakeLog, FakeSender, FakeSource, event, names
from tests.support.repeats import repeats
from tests.support.virtual_time import run

P0, P1 = names(2)
U0 = names(1, "u")[0]
FINE = Answer(Verdict.ACCEPTED)
DAY = 86_400.0
BIG = 40_000
"""Two values of this length need two requests."""


def _sent(bench: Bench) -> list[dict[str, str]]:
    return [attributes for _, _, attributes in bench.sender.sent]


async def _each(bench: Bench, *profiles: dict[str, object], topic: str = "t", partition: int = 0) -> None:
    """One event after the other, each settled before the next comes."""
    for profile in profiles:
        bench.log.append(event("v", **profile), topic=topic, partition=partition)
        bench.source.feed()
        await bench.settle(60)


def test_only_what_target_lacks_is_sent() -> None:
    """A value that was accepted is left out, an update of nothing else takes no call, and a value that returns goes."""

    async def main() -> None:
        async with Bench(FakeLog({P0: []}), unchanged_seconds=DAY) as bench:
            await _each(bench, {"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2}, {"a": 1, "b": 2})
            counters = bench.pipeline.state.counters
            assert (bench.done(Done.ACCEPTED), bench.done(Done.UNCHANGED), counters.updates_unchanged) == (4, 1, 1)
        assert _sent(bench) == [{"a": "1", "b": "1"}, {"b": "2"}, {"a": "2"}, {"a": "1"}]
        assert bench.log.committed == {P0: 5}

    run(main())


def test_a_value_is_sent_again_when_its_time_is_over() -> None:
    """Somebody else may have set another one: that must not stay for ever."""

    async def main() -> None:
        async with Bench(FakeLog({P0: []}), unchanged_seconds=60.0) as bench:
            await _each(bench, {"a": 1})
            await asyncio.sleep(50)
            await _each(bench, {"a": 1})
            await asyncio.sleep(20)
            await _each(bench, {"a": 1}, {"a": 1})
        assert len(bench.sender.sent) == 2

    run(main())


@pytest.mark.parametrize("lost", [Applied(Verdict.TIMEOUT, "no answer"), Applied(Verdict.UNAVAILABLE, "broke off")])
def test_what_may_have_been_applied_is_not_taken_for_unchanged(lost: Answer) -> None:
    """Wrong design: B was applied without an answer, then A is left out because A was accepted, and B stays."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (lost, 5.0) if number == 2 else (FINE, 0.01)

    async def main() -> None:
        async with Bench(FakeLog({P0: []}), FakeSender(behave), linger=0.0, unchanged_seconds=DAY) as bench:
            await _each(bench, {"a": "A"})
            for value in "BA":
                bench.log.append(event("v", a=value))
                bench.source.feed()
                await asyncio.sleep(1)
            await bench.settle(60)
        assert bench.sender.profiles == {"v": {"a": "A"}}

    run(main())


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda *it: (Answer(Verdict.REJECTED if it[2] == 2 else Verdict.ACCEPTED), 0.01),
        lambda *it: (Answer(Verdict.UNCONFIRMED, "an empty body") if it[2] == 1 else FINE, 0.01),
    ],
    ids=["after a rejection", "after an answer that confirms nothing"],
)
def test_what_nobody_confirmed_is_sent_again(behaviour: Behaviour) -> None:
    """Wrong design: a visitor of a dead letter, or of a 2xx that says nothing, counts as known."""

    async def main() -> None:
        async with Bench(FakeLog({P0: []}), FakeSender(behaviour), unchanged_seconds=DAY) as bench:
            await _each(bench, {"a": 1}, {"b": 2}, {"a": 1})
        assert _sent(bench)[2] == {"a": "1"}

    run(main())


def test_a_split_update_counts_only_as_a_whole() -> None:
    """Wrong design: the first part was accepted and the second failed, and a newer event leaves the first out."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (Answer(Verdict.THROTTLED, "HTTP 429") if number == 2 else FINE), 0.01

    async def main() -> None:
        log = FakeLog({P0: []})
        async with Bench(log, FakeSender(behave), unchanged_seconds=DAY) as bench:
            both: dict[str, object] = {"a": "x" * BIG, "b": "y" * BIG}
            await _each(bench, both)
            assert [sorted(values) for values in _sent(bench)] == [["a"], ["b"], ["b"]]
            await _each(bench, both)
            assert [sorted(values) for values in _sent(bench)[3:]] == [["a"]], (
                "only b was accepted with all that was left"
            )
            await _each(bench, both)
        assert len(bench.sender.sent) == 4

    run(main())


def test_a_partition_that_was_away_is_not_remembered() -> None:
    """Its next owner may have set other values; wrong design: the memory outlives the assignment."""

    async def main() -> None:
        log = FakeLog({P0: [], P1: []})
        async with Bench(log, unchanged_seconds=DAY) as bench:
            await _each(bench, {"a": 1})
            log.append(event("w", a=1), partition=1)
            bench.source.feed()
            await bench.settle(60)
            for _ in range(2):
                await bench.source.revoke(P0)
                bench.sender.profiles["v"] = {"a": "another owner's"}
                bench.source.assign(P0)
                log.append(event("w", a=1), partition=1)
                await _each(bench, {"a": 1})
                assert bench.sender.profiles["v"] == {"a": "1"}
                bench.source.lose(P1)
                bench.source.assign(P1)
        assert bench.sender.profiles == {"v": {"a": "1"}, "w": {"a": "1"}}

    run(main())


def test_of_several_topics_all_must_be_owned() -> None:
    """The owner of the other topic's partition writes the same visitor, and may have done so while it had it.

    Wrong design: the memory belongs to a visitor's own partition alone, and a value that another replica replaced
    counts as accepted.
    """

    async def main() -> None:
        log = FakeLog({P0: [], U0: []})
        source = FakeSource(log)
        async with Bench(log, source=source, assign=False, unchanged_seconds=DAY, topics=2) as bench:
            source.assign(P0)
            await _each(bench, {"a": 1}, {"a": 1})
            assert len(bench.sender.sent) == 2, "another replica may write it"
            source.assign(U0)
            await _each(bench, {"a": 1}, {"a": 1})
            await _each(bench, {"a": 1}, {"a": 2}, topic="u")
            await _each(bench, {"a": 1}, {"a": 1})
            assert _sent(bench)[2:] == [{"a": "1"}, {"a": "2"}, {"a": "1"}], "this one alone writes it"
            await source.revoke(U0)
            bench.sender.profiles["v"]["a"] = "another owner's"
            source.assign(U0)
            await _each(bench, {"a": 1})
        assert bench.sender.profiles == {"v": {"a": "1"}}

    run(main())


def test_of_a_mapped_topic_all_partitions_must_be_owned() -> None:
    """A mapping finds the visitor anywhere in a record, so its events may come over several partitions.

    Wrong design: one topic is enough, and a value that the owner of another partition replaced counts as accepted.
    """

    async def main() -> None:
        log = FakeLog({P0: [], P1: []})
        source = FakeSource(log)
        async with Bench(log, source=source, assign=False, unchanged_seconds=DAY, is_mapped=True) as bench:
            source.assign(P0)
            await _each(bench, {"a": 1}, {"a": 1})
            assert len(bench.sender.sent) == 2, "another replica may write it"
            source.assign(P1)
            await _each(bench, {"a": 1}, {"a": 1})
            assert len(bench.sender.sent) == 3, "this one alone writes it"

    run(main())


def test_what_was_on_the_wire_when_the_last_topic_came_is_not_remembered() -> None:
    """Wrong design: it is accepted as of its answer, and the former owner of the topic wrote in between."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return Applied(Verdict.ACCEPTED), 5.0 if number == 1 else 0.01

    async def main() -> None:
        log = FakeLog({P0: [], U0: []})
        source = FakeSource(log)
        async with Bench(
            log, FakeSender(behave), source=source, assign=False, unchanged_seconds=DAY, topics=2, linger=0.0
        ) as bench:
            source.assign(P0)
            log.append(event("v", a=1))
            source.feed()
            await asyncio.sleep(1)
            source.assign(U0)
            await bench.settle(60)
            await _each(bench, {"a": 1})
        assert len(bench.sender.sent) == 2

    run(main())


class _Turns:
    """Counts the updates that are settled in one turn of the event loop."""

    def __init__(self) -> None:
        self.ends: list[Done] = []
        self.count = self.most = 0

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:
        """It does not matter."""

    def sent(self, update: Update, request: Request) -> None:
        """Likewise."""

    def answered(self, update: Update, answer: Answer) -> None:
        """Likewise."""

    def settled(self, update: Update, how: Done) -> None:
        del update
        self.ends.append(how)
        if not self.count:
            asyncio.get_running_loop().call_soon(self._turn)
        self.count += 1
        self.most = max(self.most, self.count)

    def _turn(self) -> None:
        self.count = 0


def test_a_backlog_of_repeats_leaves_the_loop_its_turns() -> None:
    """Wrong design: thousands of updates without a call are settled in one go, and no answer is heard meanwhile."""
    count = 20 * MOST_UNSENT

    async def main() -> None:
        log, turns = FakeLog({P0: []}), _Turns()
        async with Bench(log, unchanged_seconds=DAY, max_in_flight=4, batch=count, observers=[turns]) as bench:
            for _ in range(2):
                for number in range(count):
                    log.append(event(f"v{number}", a=1))
                bench.source.feed()
                await bench.settle(600)
        assert turns.ends == [Done.ACCEPTED] * count + [Done.UNCHANGED] * count
        assert turns.most <= MOST_UNSENT + 4

    run(main())


@pytest.mark.no_cover
def test_nine_of_ten_repeats_take_no_call() -> None:
    """Through a rebalance, a kill -9 and lost answers: few calls above the changes, and every profile is right."""
    came = run(repeats(10_000, 100, seconds=DAY))
    assert not came.wrong
    assert came.calls <= 1_200
    assert came.unchanged >= 8_500
    assert run(repeats(2_000, 100, seconds=0.0)).calls >= 1_990, "without the setting each event is a call"
