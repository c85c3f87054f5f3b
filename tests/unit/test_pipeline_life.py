"""At debug level one visitor's change can be followed from its record to its end; at any other it costs nothing."""

import asyncio
from typing import Any

from connector.delivery.answer import Answer, Verdict
from connector.ops.events import EVENTS
from connector.ops.update_log import UpdateLog
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, event
from tests.support.virtual_time import run

VISITOR = "anna-4711"
HASHED = "mbox3rdPartyId:0fc7d22f4ff1611b"
STEPS = {"event_taken", "update_sent", "update_answered", "update_retried", "update_settled", "update_rejected"}


def follow(sender: FakeSender, *values: bytes, watched: bool = True) -> list[dict[str, Any]]:
    """The log of these records until all are done."""

    async def main() -> None:
        log = FakeLog()
        for value in values:
            log.append(value)
        async with Bench(log, sender, observers=[UpdateLog()] if watched else []) as bench:
            await bench.settle(600)

    with captured_logs() as logs:
        run(main())
        assert VISITOR not in logs.text
        return [line for line in logs.lines if line["event"] in STEPS]


def test_an_updates_steps_are_logged_by_visitor_and_offsets() -> None:
    """Two records merge, the first attempt fails, the second is accepted: each step has the same visitor."""
    answers = [Answer(Verdict.TIMEOUT, "no answer in 10 s"), Answer(Verdict.ACCEPTED)]
    sender = FakeSender(lambda _visitor, _attributes, number: (answers[number - 1], 0.01))
    lines = follow(sender, event(VISITOR, a=1), event(VISITOR, b=2))
    assert {line.get("visitor") for line in lines} == {HASHED}
    assert [line["event"] for line in lines] == [
        "event_taken", "event_taken", "update_sent", "update_answered", "update_retried",
        "update_sent", "update_answered", "update_settled",
    ]  # fmt: skip
    assert [(line["topic"], line["partition"], line["offset"], line["merged"]) for line in lines[:2]] == [
        ("t", 0, 0, False),
        ("t", 0, 1, True),
    ]
    sent = [line for line in lines if line["event"] == "update_sent"]
    assert [(line["receipts"], line["attempts"], line["fields"]) for line in sent] == [
        (["t/0@0+2"], 1, 2),
        (["t/0@0+2"], 2, 2),
    ]
    answered = [line for line in lines if line["event"] == "update_answered"]
    assert [(line["verdict"], line["reason"]) for line in answered] == [
        ("timeout", "no answer in 10 s"),
        ("accepted", ""),
    ]
    assert (lines[-1]["outcome"], lines[-1]["receipts"]) == ("accepted", ["t/0@0+2"])
    for line in lines:
        assert line.keys() - {"timestamp", "level", "event"} == set(EVENTS[line["event"]].fields)


def test_a_dead_letter_is_logged_as_an_end_too() -> None:
    """A log that ends with a refused request would leave the change's fate open."""
    sender = FakeSender(lambda _visitor, _attributes, _number: (Answer(Verdict.REJECTED, "HTTP 400"), 0.01))
    lines = follow(sender, event(VISITOR, a=1))
    assert [line["event"] for line in lines][-2:] == ["update_rejected", "update_settled"]
    assert lines[-1]["outcome"] == "dead_lettered"


def test_a_request_that_is_cancelled_at_the_end_is_logged() -> None:
    """It may have been applied: its last line must not be that it was sent."""

    async def main() -> None:
        log = FakeLog()
        log.append(event(VISITOR, a=1))
        sender = FakeSender(lambda _visitor, _attributes, _number: (Answer(Verdict.ACCEPTED), 3_600.0))
        async with Bench(log, sender, observers=[UpdateLog()], shutdown_grace=1.0):
            await asyncio.sleep(5)

    with captured_logs() as logs:
        run(main())
        (answered,) = [line for line in logs.lines if line["event"] == "update_answered"]
    assert answered["verdict"] == "timeout"


def test_without_an_observer_nothing_is_logged() -> None:
    """The default: at a million events a line per event would overload the log."""
    sender = FakeSender()
    assert follow(sender, event(VISITOR, a=1), event(VISITOR, b=2), watched=False) == []
