"""The problems on the status page: bounded, counted, and redacted more strictly than the log."""

import logging
import threading

import pytest
import structlog

from connector.events.change import Visitor
from connector.ops.events import EVENTS
from connector.ops.logs import VisitorIds
from connector.ops.problems import MAX_TEXT, MOST, RECENT
from tests.support.captured_logs import captured_logs


def test_warnings_and_errors_are_kept_newest_first_and_the_rest_is_not() -> None:
    """The libraries' lines too: they often name the cause."""
    with captured_logs(level="debug") as logs:
        log = structlog.get_logger()
        log.warning("kafka_unreachable", code="_TRANSPORT", detail="refused", remedy="check the network")
        log.info("circuit_closed")
        log.debug("update_retried", reason="x")
        log.error("target_unauthorized", reason="401", remedy="renew the token")
        logging.getLogger("some.library").critical("it broke")
        logging.getLogger("some.library").info("hello")
        kept = RECENT.newest_first()
        times = [line["timestamp"] for line in logs.lines if line["level"] in ("warning", "error", "critical")]
    assert [(each.event, each.level, each.reason, each.remedy) for each in kept] == [
        ("library_log", "critical", "some.library: it broke", EVENTS["library_log"].remedy),
        ("target_unauthorized", "error", "401", "renew the token"),
        ("kafka_unreachable", "warning", "_TRANSPORT: refused", "check the network"),
    ]
    assert [each.last for each in reversed(kept)] == times


def test_the_same_problem_is_one_entry_with_a_count_that_includes_suppressed_lines() -> None:
    """A thousand equal lines must not push out the one that explains them; numbers in a text make no new entry."""
    with captured_logs() as logs:
        for offset, repeated in ((7, 0), (8, 41), (9, 0)):
            structlog.get_logger().warning(
                "event_refused", topic="t", partition=3, offset=offset, reason=f"bad at {offset}", repeated=repeated
            )
        structlog.get_logger().warning("event_refused", topic="t", reason="another reason")
        other, (same) = RECENT.newest_first()
        times = [line["timestamp"] for line in logs.lines]
    assert (other.reason, other.count, other.place) == ("another reason", 1, "t")
    assert (same.count, same.reason, same.place) == (44, "bad at 9", "t/3@9")
    assert (same.first, same.last) == (times[0], times[2])


def test_a_broker_that_is_down_is_one_entry() -> None:
    """Its consequences too, before and after; and an error after the recovery is a new problem."""
    with captured_logs():
        log = structlog.get_logger()
        log.warning("quota_ledger_delayed", reason="t.quota cannot be found", in_hand=0)
        log.warning("kafka_unreachable", code="_TRANSPORT", detail="b-1:9092/1: refused", remedy="look")
        log.warning("kafka_unreachable", code="_ALL_BROKERS_DOWN", detail="3/3 brokers are down", remedy="look")
        log.warning("commit_failed", reason="no answer")
        log.warning("dead_letter_topic_unavailable", topic="t", reason="it cannot be found")
        down = RECENT.newest_first()
        log.info("kafka_reached", seconds=1.0)
        log.warning("commit_failed", reason="refused")
        after = RECENT.newest_first()
    assert [(each.event, each.count) for each in down] == [("kafka_unreachable", 2)]
    assert [each.event for each in after] == ["commit_failed", "kafka_unreachable"]


def test_a_refused_field_keeps_its_name() -> None:
    """The rule alone does not say what to correct; the names of a thousand fields are still one entry."""
    with captured_logs() as logs:
        for number in range(3):
            field = f"profile.basket{'x' * number}"
            structlog.get_logger().warning("event_refused", field=field, reason="must not be null")
        (kept,) = RECENT.newest_first()
    assert (kept.reason, kept.count) == ("profile.basketxx must not be null", 3)
    assert [line["field"] for line in logs.lines] == ["profile.basket", "profile.basketx", "profile.basketxx"]


def test_the_entries_are_bounded() -> None:
    """In number and length, whatever is logged: the page fetches them every two seconds."""
    with captured_logs():
        for number in range(5 * MOST):
            word = "".join(chr(97 + int(digit)) for digit in str(number))
            structlog.get_logger().warning("kafka_error", detail=word + "x" * 100_000, remedy="y" * 100_000)
        kept = RECENT.newest_first()
    assert len(kept) == MOST
    assert all(len(each.reason) <= MAX_TEXT + 2 and len(each.remedy) <= MAX_TEXT + 2 for each in kept)
    assert kept[0].reason.startswith("jj")


def test_an_ongoing_problem_stays_when_others_come() -> None:
    """The one unseen for longest is dropped, not the one that began first."""
    with captured_logs():
        for number in range(3 * MOST):
            structlog.get_logger().warning("kafka_error", detail=chr(97 + number % 26) * (1 + number // 26))
            structlog.get_logger().error("target_unauthorized", reason="401")
        found = {each.event: each.count for each in RECENT.newest_first()}
    assert found["target_unauthorized"] == 3 * MOST


@pytest.mark.parametrize("mode", list(VisitorIds))
def test_no_visitor_is_shown_not_even_hashed(mode: VisitorIds) -> None:
    """LOG_VISITOR_IDS applies to the log; anybody who reaches the port sees the page."""
    anna = Visitor("mbox3rdPartyId", "anna-4711")
    with captured_logs(visitor_ids=mode) as logs:
        structlog.get_logger().warning("update_rejected", visitor=anna, topic="t", reason=f"400 for {anna!r}")
        structlog.get_logger().warning("update_rejected", reason=anna)
        kept = RECENT.newest_first()
        assert ("anna-4711" in logs.text) == (mode is VisitorIds.PLAIN)
    assert "anna" not in repr(kept)
    assert "0fc7d22f4ff1611b" not in repr(kept)
    assert [each.reason for each in kept] == ["[visitor]", "400 for Visitor([visitor])"]


def test_a_token_that_was_read_later_is_masked() -> None:
    """A token file is replaced while the process runs; the log's own redactor knows the new one."""
    with captured_logs(secrets=["given-hush"]) as logs:
        logs.redactor.learn("later-hush")
        structlog.get_logger().warning("kafka_error", detail="given-hush and later-hush")
        (kept,) = RECENT.newest_first()
    assert kept.reason == "[secret] and [secret]"


def test_a_new_logging_set_up_clears_them() -> None:
    """Entries of another configuration were redacted by other rules."""
    with captured_logs():
        structlog.get_logger().warning("kafka_error", detail="x")
    with captured_logs():
        assert RECENT.newest_first() == []


def test_it_may_be_filled_and_read_at_once() -> None:
    """The consumer thread logs while the loop answers; a dictionary that changes size while it is read raises."""
    with captured_logs():

        def fill(letter: str) -> None:
            for number in range(300):
                structlog.get_logger().warning("kafka_error", detail=letter * (1 + number % 50))

        threads = [threading.Thread(target=fill, args=(letter,)) for letter in "abc"]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert len(RECENT.newest_first()) <= MOST
        for thread in threads:
            thread.join()
        assert len(RECENT.newest_first()) == MOST
