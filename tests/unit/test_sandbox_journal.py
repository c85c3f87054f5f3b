"""The sandbox's journal decides whether the connector kept its promises: it must neither miss nor invent an overlap."""

from connector.sandbox.journal import GONE, InFlightRequest, Journal
from connector.sandbox.rules import Rule, RuleViolation, Update, read_form

PEER = ("127.0.0.1", 5)


def update(visitor: str) -> Update:
    """A small update of one visitor."""
    read = read_form(b"mboxPC=%s&profile.a=1" % visitor.encode())
    assert isinstance(read, Update)
    return read


def arrive(journal: Journal, now: float, visitor: str = "ann", client: str = "one") -> InFlightRequest:
    """A request that is read at once."""
    passage = journal.arrive(client, PEER, now)
    journal.identify(passage, update(visitor))
    return passage


def test_two_requests_in_flight_for_one_visitor_are_an_overlap() -> None:
    """It is seen while it lasts, and kept afterwards, with the client that did it."""
    journal = Journal(10, 60.0)
    first, second = arrive(journal, 1.0), arrive(journal, 2.0)
    assert (journal.stats()["overlapping"], journal.stats()["overlapping_same_client"]) == (1, 1)
    journal.end(first, "200", 3.0)
    journal.end(second, "200", 4.0)
    stats = journal.stats()
    assert (stats["overlapping"], stats["violations"]) == (1, {"two_in_flight": 1})
    assert stats["violation_samples"] == [{"at": 2.0, "rule": "two_in_flight", "detail": "1.000 s", "client": "one"}]


def test_an_overlap_of_two_clients_names_both() -> None:
    """A zombie beside its successor differs from a client that breaks its own rule."""
    journal = Journal(10, 60.0)
    first, second = arrive(journal, 1.0, client="one"), arrive(journal, 1.5, client="two")
    journal.end(second, "200", 2.0)
    journal.end(first, "200", 2.0)
    stats = journal.stats()
    assert (stats["overlapping"], stats["overlapping_same_client"]) == (1, 0)
    assert journal.violations[0].client == "one | two"


def test_one_after_the_other_is_no_overlap() -> None:
    """Nor are two visitors at once."""
    journal = Journal(10, 60.0)
    first = arrive(journal, 1.0)
    other = arrive(journal, 1.5, visitor="bob")
    journal.end(first, "200", 2.0)
    journal.end(arrive(journal, 2.0), "200", 3.0)
    journal.end(other, "200", 3.0)
    assert journal.stats()["overlapping"] == 0


def test_a_client_that_gave_up_just_before_is_excused() -> None:
    """One connection's end may be read after the next one's start; only a moment of that is tolerated."""
    journal = Journal(10, 60.0)
    first, second = arrive(journal, 1.0), arrive(journal, 2.0)
    journal.end(first, GONE, 2.05)
    third = arrive(journal, 3.0)
    journal.end(second, GONE, 3.5)
    journal.end(third, "200", 4.0)
    assert journal.stats()["overlapping"] == 1


def test_the_log_is_bounded_and_read_from_a_number() -> None:
    """The oldest records are dropped first, and a reader that asks for dropped ones gets the rest."""
    journal = Journal(3, 60.0)
    for number in range(5):
        journal.end(arrive(journal, float(number)), "200", number + 0.5)
    assert [record.n for record in journal.since(0)] == [2, 3, 4]
    assert [record.n for record in journal.since(4)] == [4]
    assert journal.since(5) == []
    assert journal.since(3)[0].to_json() == {
        "n": 3,
        "start": 3.0,
        "end": 3.5,
        "visitor": "mboxPC:ann",
        "attributes": {"a": "1"},
        "verdict": "200",
        "applied": False,
        "client": "one",
        "peer": ["127.0.0.1", 5],
    }


def test_the_counters_add_up() -> None:
    """Each request ends in one verdict, a broken rule has no visitor, and the fullest window is the peak."""
    journal = Journal(10, 1.0)
    good = arrive(journal, 0.0)
    good.applied = True
    journal.end(good, "200", 0.010)
    bad = journal.arrive("one", PEER, 0.5)
    journal.break_rule(RuleViolation(Rule.VISITOR, "0 of"), "one", 0.5)
    journal.end(bad, "400", 0.530)
    late = arrive(journal, 1.0)
    stats = journal.stats()
    assert (stats["requests"], stats["in_flight"], stats["applied"]) == (3, 1, 1)
    assert (stats["by_status"], stats["violations"]) == ({"200": 1, "400": 1}, {"not_one_visitor": 1})
    assert (stats["fullest_window"], stats["window_seconds"]) == (2, 1.0)
    assert (stats["p50_ms"], stats["p99_ms"]) == (30.0, 30.0)
    assert journal.log[1].update is None
    assert journal.log[1].to_json()["visitor"] is None
    journal.end(late, "200", 1.1)


def test_an_empty_journal_has_numbers_too() -> None:
    """A statistics page before the first request is no error."""
    assert Journal(10, 1.0).stats()["p99_ms"] == 0.0
