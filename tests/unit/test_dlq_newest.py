"""Which attributes of a dead letter may still be sent: a mistake restores an old value, or loses a change."""

from hypothesis import given
from hypothesis import strategies as st

from connector.cli.dlq.newest import Judgement, Newest
from connector.delivery.coalescer import Order
from connector.delivery.offset_tracker import TopicPartition
from connector.events import Change, Visitor

SOURCE = TopicPartition("changes", 0)
ANNA, BEN = Visitor("mbox3rdPartyId", "anna"), Visitor("mbox3rdPartyId", "ben")


def change(visitor: Visitor = ANNA, occurred: str | None = None, **attributes: str) -> Change:
    """An event."""
    return Change(visitor, attributes, occurred)


def judged(
    letter: Change,
    *log: tuple[int, Change],
    offset: int = 0,
    order: Order = Order.OFFSET,
    repeats: tuple[int, ...] = (),
) -> Judgement:
    """The decision for one letter when the source log holds these records."""
    newest = Newest(order)
    newest.expect(SOURCE, offset, letter)
    newest.dead_lettered(SOURCE, offset, letter)
    for place, record in log:
        newest.read(SOURCE, place, place * 1_000, record, repeat=place in repeats)
    return newest.judge(SOURCE, offset, letter)


def test_a_replayed_letter_overwrites_no_newer_value() -> None:
    """Anna's tier was set again and accepted; only her city is still current."""
    letter = change(tier="OLD", city="Bern")
    found = judged(letter, (0, letter), (1, change(tier="NEW")))
    assert found == Judgement({"city": "Bern"}, frozenset({"tier"}), frozenset())


def test_events_of_others_change_nothing() -> None:
    """Only events of the same visitor count, and of the same source partition."""
    letter = change(tier="OLD")
    newest = Newest(Order.OFFSET)
    newest.expect(SOURCE, 0, letter)
    newest.read(SOURCE, 0, 0, letter, repeat=False)
    newest.read(SOURCE, 1, 0, change(BEN, tier="NEW"), repeat=False)
    newest.read(TopicPartition("changes", 1), 9, 0, change(tier="NEW"), repeat=False)
    assert newest.judge(SOURCE, 0, letter).send == {"tier": "OLD"}


def test_the_records_merged_into_a_letter_do_not_supersede_it() -> None:
    """A merged letter names its first record alone; the others follow it in the log as newer events do."""
    letter = change(tier="GOLD", city="Bern")
    log = [(4, change(tier="OLD")), (5, change(city="Bern")), (6, change(tier="GOLD"))]
    assert judged(letter, *log, offset=4).send == {"tier": "GOLD", "city": "Bern"}
    later = judged(letter, *log, (7, change(city="Basel")), offset=4)
    assert later == Judgement({"tier": "GOLD"}, frozenset({"city"}), frozenset())


def test_the_same_value_set_again_later_is_harmless_to_send() -> None:
    """It is the log's last value; whether the later event delivered it does not matter."""
    letter = change(tier="A")
    assert judged(letter, (0, letter), (1, change(tier="B")), (2, change(tier="A"))).send == {"tier": "A"}
    assert judged(letter, (0, letter), (1, change(tier="A")), (2, change(tier="B"))).superseded == {"tier"}


def test_an_event_deleted_by_retention_leaves_its_letter_unknown() -> None:
    """A deleted record may have been newer; what the rest of the log shows still counts."""
    letter = change(tier="OLD", city="Bern")
    assert judged(letter, (5, change(BEN, tier="x"))).unknown == {"tier", "city"}
    found = judged(letter, (5, change(tier="NEW")), (6, change(city="Bern")))
    assert found == Judgement({"city": "Bern"}, frozenset({"tier"}), frozenset())


def test_a_recreated_topic_decides_nothing_about_a_letter() -> None:
    """Another visitor's record at the letter's offset: this is not the log that it came from."""
    letter = change(tier="OLD")
    assert judged(letter, (0, change(BEN, tier="x")), (1, change(BEN, tier="y"))).unknown == {"tier"}


def test_a_later_letter_supersedes_an_older_one_also_when_both_events_are_gone() -> None:
    """The dead-letter topic may be kept for longer than the source."""
    older, later = change(tier="OLD"), change(tier="NEW")
    newest = Newest(Order.OFFSET)
    for offset, letter in ((3, older), (8, later)):
        newest.expect(SOURCE, offset, letter)
        newest.dead_lettered(SOURCE, offset, letter)
    assert newest.judge(SOURCE, 3, older).superseded == {"tier"}
    assert newest.judge(SOURCE, 8, later).unknown == {"tier"}


def test_a_replayed_record_is_as_old_as_its_original() -> None:
    """Else the first letter of a visitor, replayed, would supersede the second one, whose event is newer."""
    first, second = change(tier="A"), change(tier="B")
    newest = Newest(Order.OFFSET)
    newest.expect(SOURCE, 1, second)
    for offset, record in ((0, first), (1, second)):
        newest.read(SOURCE, offset, 0, record, repeat=False)
    newest.read(SOURCE, 2, 0, first, repeat=True)
    assert newest.judge(SOURCE, 1, second).send == {"tier": "B"}


def test_a_repeat_that_was_rejected_again_is_known_by_its_own_place() -> None:
    """Its letter names the repeat's offset."""
    letter = change(city="Bern")
    assert judged(letter, (7, letter), offset=7, repeats=(7,)).send == {"city": "Bern"}
    assert judged(letter, (7, letter), (8, change(city="Basel")), offset=7, repeats=(7,)).superseded == {"city"}


def test_by_event_time_the_newer_time_wins_at_any_offset() -> None:
    """As the service merges: a later record with an older time does not count."""
    letter = change(occurred="2026-11-22T10:00:00Z", tier="TEN")
    nine, eleven = "2026-11-22T09:00:00Z", "2026-11-22T11:00:00Z"
    log = (0, letter), (1, change(occurred=nine, tier="NINE"))
    assert judged(letter, *log, order=Order.EVENT_TIME).send == {"tier": "TEN"}
    found = judged(letter, *log, (2, change(occurred=eleven, tier="ELEVEN")), order=Order.EVENT_TIME)
    assert found.superseded == {"tier"}
    assert judged(letter, *log, order=Order.OFFSET).superseded == {"tier"}


def test_by_event_time_deleted_records_are_unknown_unless_the_letter_has_a_time() -> None:
    """A merged letter has no time of its own: any later record may be the older one."""
    eleven = (5, change(occurred="2026-11-22T11:00:00Z", tier="ELEVEN"))
    timed = change(occurred="2026-11-22T10:00:00Z", tier="TEN")
    assert judged(timed, eleven, order=Order.EVENT_TIME).superseded == {"tier"}
    assert judged(change(tier="TEN"), eleven, order=Order.EVENT_TIME).unknown == {"tier"}


attribute = st.sampled_from(["a", "b", "c"])
value = st.sampled_from(["1", "2", "3"])
events = st.lists(st.tuples(st.sampled_from([ANNA, BEN]), st.dictionaries(attribute, value, min_size=1)), max_size=20)


@given(events, st.lists(st.booleans(), min_size=20, max_size=20))
def test_after_a_replay_each_attribute_has_its_last_value(
    made: list[tuple[Visitor, dict[str, str]]], rejected: list[bool]
) -> None:
    """For any rejections: accepted events in order, then the replayed letters, give the log's last values."""
    profiles: dict[Visitor, dict[str, str]] = {ANNA: {}, BEN: {}}
    right: dict[Visitor, dict[str, str]] = {ANNA: {}, BEN: {}}
    newest = Newest(Order.OFFSET)
    letters = []
    log = [(offset, change(visitor, **values)) for offset, (visitor, values) in enumerate(made)]
    for (offset, one), is_letter in zip(log, rejected, strict=False):
        right[one.visitor].update(one.attributes)
        if is_letter:
            letters.append((offset, one))
            newest.expect(SOURCE, offset, one)
            newest.dead_lettered(SOURCE, offset, one)
        else:
            profiles[one.visitor].update(one.attributes)
    for offset, one in log:
        newest.read(SOURCE, offset, 0, one, repeat=False)
    for offset, letter in letters:
        found = newest.judge(SOURCE, offset, letter)
        assert not found.unknown
        profiles[letter.visitor].update(found.send)
    assert profiles == right
