"""An undeliverable record is written as a dead letter before its offset counts; too many stop the process."""

import asyncio

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.dead_letter import Stage
from connector.errors import Fatal
from tests.support.bench import Bench, quiet
from tests.support.fakes import Behaviour, FakeDeadLetters, FakeLog, FakeSender, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
FINE = Answer(Verdict.ACCEPTED)
NO = Answer(Verdict.REJECTED, "HTTP 400: it will not take this update")
DOWN = Answer(Verdict.UNAVAILABLE, "HTTP 500")
BIG = 40_000


def _refusing(*visitors: str) -> Behaviour:
    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (NO if visitor in visitors else FINE), 0.01

    return behave


def test_a_malformed_record_is_kept_unchanged_and_the_rest_continues() -> None:
    """Key, value, offset and rule are in the letter; a decoding error must not stop the partition."""

    async def main() -> None:
        log = FakeLog()
        for value in (event("v", a=1), b"{broken", event("w", a=[1]), event("x", a=1)):
            log.append(value)
        async with Bench(log) as bench:
            await bench.settle(10)
        first, second = sorted(
            bench.letters.letters, key=lambda letter: letter.offset
        )  # They are written concurrently.
        assert (first.source, first.offset, first.stage, first.error) == (P0, 1, Stage.DECODE, "Refused")
        assert first.value == b"{broken"
        assert second.reason.startswith("profile.a must ")
        assert (bench.done(Done.ACCEPTED), bench.done(Done.DEAD_LETTERED)) == (2, 2)
        tally = bench.pipeline.state.counters
        assert (tally.updates_accepted, tally.updates_dead_lettered) == (2, 0)
        assert log.committed == {P0: 4}

    run(main())


def test_a_malformed_record_holds_its_offset_until_its_letter_is_acknowledged() -> None:
    """The commit waits for the letter; else a crash between the two would lose the record."""

    async def main() -> None:
        log = FakeLog()
        for value in (event("v", a=1), b"{", event("w", a=1)):
            log.append(value)
        letters = FakeDeadLetters()
        letters.hold.clear()
        async with Bench(log, letters=letters, commit_interval=0.5) as bench:
            await asyncio.sleep(10)
            assert bench.done(Done.ACCEPTED) == 2
            assert bench.pipeline.state.letters == bench.pending == 1
            assert log.committed == {P0: 1}
            letters.hold.set()
            await bench.settle(5)
        assert log.committed == {P0: 3}

    run(main())


def test_a_rejected_update_holds_its_offset_and_its_visitor_until_its_letter_is_acknowledged() -> None:
    """All merged records wait for the one letter, which is a valid event; newer changes wait behind it."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("bad", a=1))
        log.append(event("bad", a=2, b=3))
        letters = FakeDeadLetters()
        letters.hold.clear()
        async with Bench(log, FakeSender(_refusing("bad")), letters, commit_interval=0.5) as bench:
            await asyncio.sleep(5)
            log.append(event("bad", c=4))
            bench.source.feed()
            await asyncio.sleep(5)
            assert log.committed.get(P0, 0) == 0
            assert len(bench.sender.sent) == 1
            assert bench.done(Done.DEAD_LETTERED) == 0
            letters.hold.set()
            await bench.settle(10)
        first, second = letters.letters
        assert (first.source, first.offset, first.stage, first.error) == (P0, 0, Stage.TARGET, "Rejected")
        assert first.key == b"bad"
        assert bench.decode(first.value or b"").attributes == {"a": "2", "b": "3"}
        assert second.value == event("bad", c=4)
        assert (bench.done(Done.DEAD_LETTERED), bench.pipeline.state.counters.updates_dead_lettered) == (3, 2)
        assert bench.pipeline.state.counters.requests[Verdict.REJECTED] == 2
        assert log.committed == {P0: 3}

    run(main())


def test_an_unmerged_rejected_record_is_kept_unchanged() -> None:
    """A replay must equal the original: its key, which decides the partition, its id, its time, and its numbers."""

    async def main() -> None:
        log = FakeLog()
        value = b'{"eventId":"e-1","occurredAt":"2026-01-01T00:00:00Z","mbox3rdPartyId":"bad","profile":{"a":1.50}}'
        log.append(value, key=b"till-7")
        async with Bench(log, FakeSender(_refusing("bad"))) as bench:
            await bench.settle(10)
        (letter,) = bench.letters.letters
        assert (letter.key, letter.value, letter.stage) == (b"till-7", value, Stage.TARGET)

    run(main())


def test_a_change_during_the_failed_request_is_in_its_letter() -> None:
    """After a failed attempt both are one update: a letter of the first record alone would lose the second."""
    answers = iter([DOWN, NO])

    async def main() -> None:
        log = FakeLog()
        log.append(event("bad", a=1), key=b"till-7")
        async with Bench(log, FakeSender(lambda *_: (next(answers), 0.5)), linger=0.1) as bench:
            await asyncio.sleep(0.3)
            log.append(event("bad", b=2), key=b"till-8")
            bench.source.feed()
            await bench.settle(30)
        (letter,) = bench.letters.letters
        assert letter.key == b"bad"
        assert bench.decode(letter.value or b"").attributes == {"a": "1", "b": "2"}

    run(main())


def test_too_many_letters_in_flight_pause_consumption() -> None:
    """An unavailable dead-letter topic bounds what is pending; else a bad topic is read into memory whole."""

    async def main() -> None:
        log = FakeLog()
        for _ in range(5_000):
            log.append(b"{")
        letters = FakeDeadLetters()
        letters.hold.clear()
        async with Bench(log, letters=letters, max_dead_letters_in_a_row=0, max_dead_letter_ratio=0.0) as bench:
            await asyncio.sleep(60)
            assert 1_000 <= bench.pipeline.state.letters <= 1_000 + 2 * 100
            assert bench.pipeline.state.is_starved
            letters.hold.set()
            await bench.settle(60)
        assert len(letters.letters) == 5_000
        assert log.committed == {P0: 5_000}

    with quiet():
        run(main())


def test_an_attribute_that_fits_no_request_is_a_dead_letter_and_the_rest_is_sent() -> None:
    """One value of 70 KB must not block the others, nor be retried for ever."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="small", b="x" * 70_000, c="small"))
        async with Bench(log) as bench:
            await bench.settle(10)
        assert bench.sender.profiles == {"v": {"a": "small", "c": "small"}}
        (letter,) = bench.letters.letters
        assert letter.reason == "profile.b fits in no request of 61,440 bytes"
        assert bench.decode(letter.value or b"").attributes == {"b": "x" * 70_000}
        assert (bench.done(Done.DEAD_LETTERED), bench.done(Done.ACCEPTED)) == (1, 0)
        assert log.committed == {P0: 1}

    run(main())


def test_the_reason_names_some_attributes_however_many_and_long_they_are() -> None:
    """It becomes a header, and a name itself may be too large; no reason contains a value."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", **{"n" * 70_000: 1, "a": "x" * 70_000, "b": "y" * 70_000, "c": "z" * 70_000, "d": 1}))
        async with Bench(log) as bench:
            await bench.settle(10)
        (letter,) = bench.letters.letters
        long, *others = letter.reason.split("; ")
        assert long == f"profile.{'n' * 191}… fits in no request of 61,440 bytes"
        assert others == [
            "profile.a fits in no request of 61,440 bytes",
            "profile.b fits in no request of 61,440 bytes",
            "and 1 more",
        ]

    run(main())


def test_of_a_split_update_only_the_refused_part_is_a_dead_letter() -> None:
    """A refused request among several gets its own letter; the others' values were accepted."""

    def behave(_visitor: str, attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (NO if "b" in attributes else FINE), 0.01

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="1" * BIG, b="2" * BIG, c="3" * BIG))
        async with Bench(log, FakeSender(behave)) as bench:
            await bench.settle(10)
        assert bench.sender.profiles == {"v": {"a": "1" * BIG, "c": "3" * BIG}}
        (letter,) = bench.letters.letters
        assert bench.decode(letter.value or b"").attributes == {"b": "2" * BIG}
        assert log.committed == {P0: 1}

    run(main())


def test_of_a_split_update_only_the_failed_part_is_retried() -> None:
    """Accepted values are not sent twice, newer values merge over the rest, and one end settles all records."""

    def behave(_visitor: str, attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (DOWN if "b" in attributes and number == 2 else FINE), 1.0

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="1" * BIG, b="2" * BIG))
        async with Bench(log, FakeSender(behave), linger=0.0) as bench:
            await asyncio.sleep(1.5)
            assert log.committed == {P0: 0}
            log.append(event("v", c="new"))
            bench.source.feed()
            await bench.settle(30)
        assert [sorted(attributes) for _, _, attributes in bench.sender.sent] == [["a"], ["b"], ["b", "c"]]
        assert bench.sender.profiles == {"v": {"a": "1" * BIG, "b": "2" * BIG, "c": "new"}}
        tally = bench.pipeline.state.counters
        assert (bench.done(Done.ACCEPTED), tally.updates_accepted) == (2, 1)
        assert sum(tally.requests.values()) == 3
        assert log.committed == {P0: 2}

    run(main())


def test_the_limit_stops_before_a_whole_topic_becomes_dead_letters() -> None:
    """One more in a row than allowed ends the run, and nothing is committed past the record without a letter."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        for _ in range(500):
            log.append(b"{")
        bench = Bench(log, max_dead_letters_in_a_row=20)
        await bench.start()
        with pytest.raises(Fatal, match="DEAD_LETTER_MAX_CONSECUTIVE"):
            await bench.ended()
        assert len(bench.letters.letters) <= 20
        assert log.committed.get(P0, 0) <= 21
        buried = {letter.offset for letter in bench.letters.letters}
        assert set(range(1, log.committed.get(P0, 0))) <= buried

    run(main())


def test_the_limit_names_the_field_that_was_refused() -> None:
    """The rule alone, "must not be null", does not say which field to correct."""

    async def main() -> None:
        log = FakeLog()
        for _ in range(30):
            log.append(b'{"mbox3rdPartyId": "v", "profile": {"basket": ["a"]}}')
        bench = Bench(log, max_dead_letters_in_a_row=20)
        await bench.start()
        with pytest.raises(Fatal, match=r"profile\.basket must be a string"):
            await bench.ended()

    run(main())


def test_the_limit_stops_when_target_refuses_everything() -> None:
    """A wrong account refuses every update; the limit ends it, and updates without a letter stay uncommitted."""

    async def main() -> None:
        log = FakeLog()
        for number in range(500):
            log.append(event(f"v{number}", a=1))
        bench = Bench(log, FakeSender(lambda *_: (NO, 0.01)), max_dead_letters_in_a_row=20, linger=0.0)
        await bench.start()
        with pytest.raises(Fatal, match="DEAD_LETTER_MAX_CONSECUTIVE"):
            await bench.ended()
        buried = {letter.offset for letter in bench.letters.letters}
        assert len(buried) <= 20
        assert set(range(log.committed.get(P0, 0))) <= buried
        assert bench.done(Done.DEAD_LETTERED) == len(buried)

    run(main())


def test_bad_records_among_good_ones_are_no_streak() -> None:
    """Refused records settle at once and good ones only after a request; one common streak stops a healthy topic."""

    async def main() -> None:
        log = FakeLog()
        for number in range(2_000):
            log.append(b"{" if number % 4 == 0 else event(f"v{number}", a=1))
        async with Bench(log, max_dead_letters_in_a_row=20) as bench:
            await bench.settle(60)
        assert (bench.done(Done.DEAD_LETTERED), bench.done(Done.ACCEPTED)) == (500, 1_500)

    with quiet():
        run(main())


@pytest.mark.parametrize("value", [b"{", event("bad", a=1)])
def test_a_dead_letter_that_can_never_be_written_ends_the_run(value: bytes) -> None:
    """Without a dead-letter topic the record must stay uncommitted, and an operator must know."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        log.append(value)
        log.append(event("w", a=1))
        letters = FakeDeadLetters()
        letters.error = Fatal("dead_letter_failed", "it is missing", "create the dead-letter topic")
        bench = Bench(log, FakeSender(_refusing("bad")), letters)
        await bench.start()
        with pytest.raises(Fatal, match="create the dead-letter topic"):
            await bench.ended()
        assert log.committed.get(P0, 0) <= 1
        assert bench.done(Done.DEAD_LETTERED) == 0

    run(main())
