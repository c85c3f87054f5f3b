"""How one record that always fails stopped peers for all visitors, each as a test."""

import asyncio

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.retry import RetryPolicy
from connector.target.classify import classify
from tests.peers.judge import P0, Judge
from tests.support.bench import Bench, quiet
from tests.support.fakes import Behaviour, FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)


def _failing(answer: Answer) -> Behaviour:
    """Visitors whose name begins with `bad` always get this answer."""

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (answer if visitor.startswith("bad") else FINE), 0.02

    return behave


@pytest.mark.parametrize(("status", "one_in"), [(500, 20), (503, 100)])
def test_parallel_consumer_857_records_that_fail_for_ever_do_not_freeze_the_intake(status: int, one_in: int) -> None:
    """Thread confluentinc/parallel-consumer #857: records that always failed filled the buffer; intake stopped.

    Catches a design in which failing updates count against the intake for ever, or in which their retries take the
    slots of the others: more visitors fail here in the end than may be pending at once.
    """

    async def main() -> None:
        log, sender, letters = FakeLog(), FakeSender(_failing(classify(status, b"", None, 0.0))), FakeDeadLetters()
        Judge(log, sender, letters)
        bad = 0
        policy = RetryPolicy(0.5, 10.0, 10)
        log.append(event("good", a=0))
        async with Bench(
            log, sender, letters, batch=10, retry=policy, linger=0.1, max_visitors=50, max_in_flight=16
        ) as bench:
            for second in range(3_600):
                taken = bench.pipeline.state.counters.events_consumed
                for number in range(second * 2, second * 2 + 2):
                    fails = number % one_in == 7
                    bad += fails
                    log.append(event(f"{'bad' if fails else 'good'}{number}", a=number))
                bench.source.feed()
                await asyncio.sleep(1)
                assert second % 60 or bench.pipeline.state.counters.events_consumed > taken, "intake has stopped"
            while bench.pending:
                log.append(event("good", a=len(log.records[P0])))
                bench.source.feed()
                await asyncio.sleep(1)
                assert len(log.records[P0]) < 8_000, "failing updates are kept for ever"
        assert bad > 50
        assert sum(visitor.startswith("good") for visitor in sender.profiles) == 7_200 - bad + 1
        assert bench.done(Done.DEAD_LETTERED) == len(letters.letters) == bad
        assert log.committed == {P0: len(log.records[P0])}

    with quiet():
        run(main())


@pytest.mark.parametrize("status", [400, 500, 503])
def test_aiven_204_an_update_that_fails_too_often_is_a_dead_letter_and_the_rest_continues(status: int) -> None:
    """Thread Aiven-Open/http-connector-for-apache-kafka #204: after its retries the task ended, and the queue with it.

    Catches a design whose last retry ends the process, one that retries for ever at the head of the queue, and
    one that drops the message: it must be a dead letter, and the process must live.
    """

    async def main() -> None:
        log, sender, letters = FakeLog(), FakeSender(_failing(classify(status, b"", None, 0.0))), FakeDeadLetters()
        Judge(log, sender, letters)
        log.append(event("bad", a=0))
        async with Bench(log, sender, letters, retry=RetryPolicy(3.0, 3.0, 5)) as bench:
            for number in range(1, 61):
                log.append(event(f"good{number}", a=number))
                bench.source.feed()
                await asyncio.sleep(1)
                assert bench.task is not None
                assert not bench.task.done()
                assert len(sender.profiles) >= number - 2, "the others do not wait for it"
            await bench.settle(5)
        assert sum(visitor == "bad" for _, visitor, _ in sender.sent) == (1 if status == 400 else 5)
        (letter,) = letters.letters
        assert (letter.source, letter.offset) == (P0, 0)
        assert str(status) in letter.reason
        assert len(sender.profiles) == 60
        assert log.committed == {P0: 61}

    with quiet():
        run(main())
