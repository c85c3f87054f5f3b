"""Each verdict by the evidence that it rests on; tests/simulation/verify holds all of them to the sandbox's truth."""

import pytest

from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition
from connector.target.profile import Profile, ProfileAttribute
from connector.verify.history import KEPT_ATTRIBUTES, KEPT_VALUES, VisitorHistory, Written
from connector.verify.judge import APPLIED_SECONDS, CLOCK_SECONDS, LEAST_CUT, Judgement, Verdict, judge

AT = 1_000_000.0
DELAY = 3_600.0
DUE = AT + DELAY + APPLIED_SECONDS
BEFORE, AFTER = AT - CLOCK_SECONDS - 1, AT + 60
ONE, TWO = TopicPartition("t", 0), TopicPartition("t", 1)
LONG = "x" * 300


def history(*events: tuple[float, dict[str, str]], source: TopicPartition = ONE) -> VisitorHistory:
    """Settled events, each at its time."""
    made = VisitorHistory()
    for at, attributes in events:
        made.add(source, attributes, Written("", at, is_settled=True, occurred=at))
    return made


def held(modified_at: float | None = None, **attributes: tuple[str, float | None]) -> Profile:
    """A profile with these values and times."""
    return Profile({name: ProfileAttribute(*each) for name, each in attributes.items()}, modified_at)


def verdicts(
    made: VisitorHistory, profile: Profile | None, now: float = DUE, order: Order = Order.OFFSET
) -> dict[str, Verdict]:
    """What each attribute is judged."""
    found = judge(dict(made.asked(order, DELAY)), profile, now)
    return {name: judgement.verdict for name, judgement in found.items()}


@pytest.mark.parametrize(
    ("sent", "profile", "verdict"),
    [
        ("v", held(a=("v", AFTER)), Verdict.MATCH),
        ("v", held(a=("v", None)), Verdict.MATCH),
        ("", held(a=("", AFTER)), Verdict.MATCH),
        ("v", held(), Verdict.LOST),
        ("v", held(a=("old", BEFORE)), Verdict.LOST),
        ("v", held(a=("page", AFTER)), Verdict.OVERWRITTEN),
        ("v", held(a=("page", AT - CLOCK_SECONDS)), Verdict.OVERWRITTEN),
        ("v", held(a=("page", None)), Verdict.OVERWRITTEN),
        ("v", held(b=("page", AFTER)), Verdict.REPLACED),
        ("v", held(b=("page", BEFORE)), Verdict.LOST),
        ("v", held(AFTER), Verdict.REPLACED),
        ("v", held(BEFORE), Verdict.LOST),
        (LONG, held(a=(LONG[:256], AFTER)), Verdict.CUT),
        (LONG, held(a=(LONG[: LEAST_CUT - 1], AFTER)), Verdict.OVERWRITTEN),
        ("", held(), Verdict.EMPTY_IGNORED),
        ("", held(a=("old", BEFORE)), Verdict.EMPTY_IGNORED),
        ("", held(a=("page", AFTER)), Verdict.OVERWRITTEN),
        ("v", None, Verdict.UNKNOWN),
    ],
)
def test_a_value_is_judged_by_what_stands_and_when_it_was_written(
    sent: str, profile: Profile | None, verdict: Verdict
) -> None:
    """After its time is over."""
    assert verdicts(history((AT, {"a": sent})), profile) == {"a": verdict}


@pytest.mark.parametrize(
    ("occurred", "verdict"), [(AT, Verdict.LOST), (AT - 7 * 3_600, Verdict.LOST), (AT - 8 * 3_600, Verdict.EXPIRED)]
)
def test_what_may_have_been_too_old_at_its_turn_is_not_called_lost(occurred: float, verdict: Verdict) -> None:
    """With a greatest age of 8 hours and a delay of one, a change of 8 hours was skipped by rule; one of 7 was not."""
    made = VisitorHistory()
    made.add(ONE, {"a": "v", "b": "v"}, Written("", AT, is_settled=True, occurred=occurred))
    found = judge(dict(made.asked(Order.OFFSET, DELAY)), held(b=("v", AT)), DUE, 8 * 3_600.0)
    assert {name: each.verdict for name, each in found.items()} == {"a": verdict, "b": Verdict.MATCH}


def test_nothing_is_lost_before_its_time_is_over() -> None:
    """Target may take a day, and the service its delay before that; whatever else shows stays as it is."""
    for profile in (held(), held(AFTER), held(a=("old", BEFORE))):
        assert verdicts(history((AT, {"a": "v"})), profile, DUE - 1) == {"a": Verdict.LATE}
    assert verdicts(history((AT, {"a": "v"})), held(a=("page", AFTER)), AT) == {"a": Verdict.OVERWRITTEN}


def test_an_older_value_of_ours_that_was_applied_late_is_no_foreign_one() -> None:
    """It was reordered, or the newer one is lost: the newest is not there either way."""
    made = history((AT - 60, {"a": "older"}), (AT, {"a": "v"}))
    assert verdicts(made, held(a=("older", AFTER))) == {"a": Verdict.LOST}
    assert verdicts(made, held(a=("older", AFTER)), DUE - 1) == {"a": Verdict.LATE}


def test_a_later_update_without_the_attribute_shows_that_it_was_taken_away() -> None:
    """Consecutive updates may override each other: that, and no loss, is the likelier cause."""
    made = history((AT, {"a": "v"}), (AT + 10, {"b": "w"}))
    found = judge(dict(made.asked(Order.OFFSET, DELAY)), held(b=("w", AFTER)), DUE + 10)
    assert found["a"] == Judgement(Verdict.REPLACED, is_followed=True)
    assert found["b"] == Judgement(Verdict.MATCH, applied_after=50.0)


def test_what_is_not_settled_or_given_up_is_not_judged() -> None:
    """A value beyond the committed offset may not be sent yet; one in the dead letters never will be."""
    made = history((AT, {"a": "v", "b": "v", "c": "v"}))
    made.add(ONE, {"a": "w"}, Written("", AT + 1, is_settled=False, occurred=AT + 1))
    made.give_up({"b": "v"}, AT + 1)
    made.give_up({"c": "v"}, AT - 1)
    assert verdicts(made, held()) == {"a": Verdict.PENDING, "b": Verdict.DEAD_LETTERED, "c": Verdict.LOST}


def test_by_event_time_the_newest_event_is_expected() -> None:
    """As the service decides it; the last in the log may be the older one, and is no foreign value."""
    made = VisitorHistory()
    for at, occurred, value in ((AT, 2.0, "new"), (AT + 1, 1.0, "old")):
        made.add(ONE, {"a": value}, Written("", at, is_settled=True, occurred=occurred))
    assert verdicts(made, held(a=("new", AFTER)), order=Order.EVENT_TIME) == {"a": Verdict.MATCH}
    assert verdicts(made, held(a=("new", AFTER)), order=Order.OFFSET) == {"a": Verdict.LATE}


def test_between_partitions_the_order_is_not_promised() -> None:
    """The last event of another partition matches too while they may overtake each other, and not beyond."""
    for apart, verdict in ((DELAY, Verdict.MATCH), (DELAY + 1, Verdict.LOST)):
        made = history((AT, {"a": "v"}))
        made.add(TWO, {"a": "w"}, Written("", AT - apart, is_settled=True, occurred=AT - apart))
        assert verdicts(made, held(a=("w", BEFORE))) == {"a": verdict}


def test_within_a_partition_the_log_decides_and_not_the_timestamps() -> None:
    """Producers may set them; the service goes by the offset."""
    made = history((AT + 5, {"a": "first"}), (AT, {"a": "last"}))
    assert verdicts(made, held(a=("last", AFTER))) == {"a": Verdict.MATCH}


def test_the_memory_of_one_visitor_is_bounded() -> None:
    """A test account may have a million events under one id, or as many attributes."""
    made = VisitorHistory()
    for number in range(KEPT_ATTRIBUTES + 5):
        made.add(ONE, {f"a{number}": "v", "same": str(number)}, Written("", AT, is_settled=True, occurred=AT))
    asked = dict(made.asked(Order.OFFSET, DELAY))
    assert len(asked) == KEPT_ATTRIBUTES
    assert len(asked["same"].others) == KEPT_VALUES - 1
    assert asked["same"].newest.value == str(KEPT_ATTRIBUTES + 4)
