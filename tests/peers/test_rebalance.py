"""How peers lost, repeated or stalled when a partition changed hands or a member left, each as a test.

On virtual time; cases that need a real group are in test_rebalance_kafka.py.
"""

import asyncio
import itertools

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.retry import RetryPolicy
from connector.target.classify import classify
from tests.peers.judge import P0, P1, Judge
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)
BAD = classify(500, b"", None, 0.0)


def _slow(seconds: float) -> FakeSender:
    return FakeSender(lambda _visitor, _attributes, _number: (FINE, seconds))


def _full(records: int) -> FakeLog:
    """Two partitions, each record of a visitor of its own."""
    log = FakeLog()
    for number in range(records):
        log.append(event(f"v{number}", a=number), partition=number % 2)
    return log


def _all_there(log: FakeLog, sender: FakeSender, letters: FakeDeadLetters) -> None:
    count = sum(map(len, log.records.values()))
    assert sender.profiles == {f"v{number}": {"a": str(number)} for number in range(count)}
    assert letters.letters == []
    assert log.committed == {name: len(records) for name, records in log.records.items()}


@pytest.mark.parametrize("how", ["revoke", "lose", "stop", "crash"])
def test_parallel_consumer_826_no_moment_to_close_or_to_rebalance_loses_a_record(how: str) -> None:
    """Thread confluentinc/parallel-consumer #826: with frequent closing and rebalancing, records were lost.

    Catches a design that commits the polled position: a commit just as the partition is revoked would count
    records that were consumed and never sent. Each moment of a record's life is tried.
    """

    async def life(moment: float) -> None:
        log, sender, letters = _full(24), _slow(0.3), FakeDeadLetters()
        Judge(log, sender, letters)
        first = Bench(log, sender, letters, batch=4, linger=0.4, max_in_flight=6, commit_interval=0.05)
        await first.start()
        await asyncio.sleep(moment)
        if how == "revoke":
            await first.source.revoke(P0)
            await first.source.revoke(P1)
        elif how == "lose":
            first.source.lose(P0, P1)
        if how in ("revoke", "lose"):
            await asyncio.sleep(0.2)
            await first.stop()
        elif how == "stop":
            await first.stop()
        else:
            first.crash()
        async with Bench(log, sender, letters, linger=0.0) as second:
            await second.settle(30)
        _all_there(log, sender, letters)

    with quiet():
        for step in range(60):
            run(life(step * 0.04))


@pytest.mark.parametrize("lands", [False, True])
def test_parallel_consumer_827_a_commit_beside_a_revoke_counts_only_what_is_done(*, lands: bool) -> None:
    """Thread confluentinc/parallel-consumer #827: the timer's commit ran between the revoke and the work's start.

    Catches a design whose committer reads a position that the revoke has not corrected yet, and one that trusts a
    failed commit: the outcome of each commit here is unknown, and the revoke waits for a request meanwhile.
    """

    async def main() -> None:
        log, sender, letters = _full(40), _slow(4.0), FakeDeadLetters()
        Judge(log, sender, letters)
        first = Bench(log, sender, letters, linger=0.0, max_in_flight=8, commit_interval=0.02)
        await first.start()
        await asyncio.sleep(0.5)  # Nothing is sent before the group has answered once.
        first.source.fail_commits = 1_000_000
        first.source.failed_commits_land = lands
        await asyncio.sleep(4.5)
        await first.source.revoke(P0)
        assert log.committed[P0] == 16, "eight were sent and eight were in flight; four waited"
        first.crash()
        async with Bench(log, sender, letters, linger=0.0) as second:
            await second.settle(120)
        _all_there(log, sender, letters)
        again = sum(int(visitor[1:]) % 2 == 0 for _, visitor, _ in sender.sent) - 20
        assert again == 0, "what the revoke committed is not sent again"

    with quiet():
        run(main())


def test_parallel_consumer_894_little_traffic_and_many_rebalances_never_move_the_commit_out_of_range() -> None:
    """Thread confluentinc/parallel-consumer #894: a commit past the log's end made the next owner reset its offset.

    Catches a design that keeps "highest done" from its start offset, and commits one after it while
    an older record is still open. The judge checks each commit: never past an open record, past the end, or back.
    """
    stuck = True

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (Answer(Verdict.THROTTLED, "HTTP 429") if visitor == "v1" and stuck else FINE), 0.05

    async def main() -> None:
        nonlocal stuck
        log, sender, letters = _full(2), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        members = [
            Bench(log, sender, letters, seed=seed, assign=False, linger=0.1, commit_interval=0.1) for seed in range(2)
        ]
        for member in members:
            await member.start()
        numbers = itertools.count(2)
        for turn in range(60):
            owner = members[turn % 2]
            owner.source.assign(P0, P1)
            await asyncio.sleep(0.5)
            if turn % 7 == 3:
                number = next(numbers)
                log.append(event(f"v{number}", a=number), partition=number % 2)
                owner.source.feed()
            await asyncio.sleep(1.5)
            before = dict(log.committed)
            if turn % 5 == 4:
                owner.source.lose(P0, P1)
            else:
                await owner.source.revoke(P0, P1)
            assert log.committed.get(P1, 0) == 0, "its first record stays open"
            assert before.get(P0, 0) <= log.committed.get(P0, 0) == len(log.records[P0])
        stuck = False
        members[0].source.assign(P0, P1)
        await members[0].settle(30)
        for member in members:
            await member.stop()
        _all_there(log, sender, letters)

    with quiet():
        run(main())


@pytest.mark.parametrize("grace", [25.0, 0.0])
def test_parallel_consumer_559_what_is_in_flight_at_the_end_is_finished_or_not_counted(grace: float) -> None:
    """Thread confluentinc/parallel-consumer #559: closing without a drain cancelled the work in flight.

    Catches a design that ends its workers at once although there is time, and, when there is none, one that counts
    cancelled work as done.
    """

    async def main() -> None:
        log, sender, letters = _full(30), _slow(4.0), FakeDeadLetters()
        Judge(log, sender, letters)
        first = Bench(log, sender, letters, linger=0.0, max_in_flight=10, shutdown_grace=grace)
        await first.start()
        await asyncio.sleep(1)
        await first.stop()
        cut = len(sender.sent) - len(sender.profiles)
        assert sum(log.committed.values()) == len(sender.profiles)
        assert (len(sender.profiles) > 20) is (grace > 0)
        assert first.source.left is (grace > 0), "cancelled requests may still land, so no member may take over at once"
        assert (cut > 0) is (grace == 0)
        async with Bench(log, sender, letters, linger=0.0) as second:
            await second.settle(30)
        _all_there(log, sender, letters)
        assert len(sender.sent) == 30 + cut

    with quiet():
        run(main())


def test_knative_3746_attempts_begin_anew_with_each_owner_and_still_end_in_a_dead_letter() -> None:
    """Thread knative-extensions/eventing-kafka-broker #3746: each rebalance forgot the attempts, 184 of one event.

    What we do: attempts live in memory and restart with each owner, since no count that survives a crash can be
    kept for every update. Catches what made that a loop there, a design in which the failing record itself causes the
    rebalance or blocks others, and one that makes a dead letter early, or loses the record, at a change of owner.
    """

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (BAD if visitor == "bad" else FINE), 0.02

    async def main() -> None:
        log, sender, letters = FakeLog(), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        log.append(event("bad", a=0))
        members = [
            Bench(log, sender, letters, seed=seed, assign=False, linger=0.1, retry=RetryPolicy(2.0, 2.0, 8))
            for seed in range(2)
        ]
        for member in members:
            await member.start()

        def tries() -> int:
            return sum(visitor == "bad" for _, visitor, _ in sender.sent)

        async def second_of(owner: Bench) -> None:
            number = len(log.records[P0])
            log.append(event(f"good{number}", a=number))
            owner.source.feed()
            await asyncio.sleep(1)
            assert f"good{number}" in sender.profiles, "the others do not wait for it"

        for turn in range(20):
            owner, before = members[turn % 2], tries()
            owner.source.assign(P0)
            while tries() < before + 3:
                await second_of(owner)
            assert letters.letters == [], "fewer failures than eight"
            await owner.source.revoke(P0)
            assert log.committed.get(P0, 0) == 0
        before = tries()
        members[0].source.assign(P0)
        while not letters.letters:
            await second_of(members[0])
        assert tries() == before + 8, "an owner that stays makes its attempts once"
        await members[0].settle(10)
        for member in members:
            await member.stop()
        (letter,) = letters.letters
        assert (letter.source, letter.offset, letter.error) == (P0, 0, "RetriesExhausted")
        assert members[0].done(Done.DEAD_LETTERED) == 1
        assert log.committed == {P0: len(log.records[P0])}

    with quiet():
        run(main())
