"""What is sent for a dead letter of any format: never an older value, never more than the letter was about."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector.cli.dlq.judge import Judge, Judged
from connector.decoding import EventReader, GivenRecord, event_reader
from connector.delivery.coalescer import Order
from connector.delivery.dead_letter import ITEM_HEADER, MADE_HEADER, Stage
from connector.delivery.offset_tracker import TopicPartition
from connector.events import Change, Nulls
from connector.kafka.inspect.dead_letter_format import FROM_HEADER, Headers, Letter, Repeat, read_letter
from connector.mapping import load

SOURCE = TopicPartition("t", 0)
MAPPED: dict[str, Any] = {
    "topics": ["t"],
    "format": "json",
    "when": [{"path": "skip", "not-in": [True]}],
    "visitor": {"pcId": "id"},
    "copy": [{"from": "set"}],
}
LISTED = {**MAPPED, "each": "$value"}
OWN = (("trace", b"\x00\xff"), ("trace", None))


def reader(source: dict[str, Any] | None) -> EventReader:
    """As the service reads the topic."""
    mapping = None if source is None else load(json.dumps({"version": 1, "sources": [source]}))
    return event_reader(["t"], "json", mapping, nulls=Nulls.DROP)


def value(visitor: str, **attributes: Any) -> dict[str, Any]:
    """An event of the mapping, or an item of one."""
    return {"id": visitor, "set": attributes}


def letter(
    event: Any, offset: int = 0, stage: Stage = Stage.DECODE, headers: Headers = OWN, place: int | None = None
) -> Letter:
    """A letter of a record with these headers, as it is read back."""
    about = {
        "topic": "t",
        "partition": "0",
        "offset": str(offset),
        "stage": stage.value,
        "exception.class.name": "Refused",
    }
    errors = [(f"__connect.errors.{name}", text.encode()) for name, text in about.items()]
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    found = read_letter((0, offset if place is None else place), 5, b"k", data, [*headers, *errors])
    assert isinstance(found, Letter)
    return found


def judged(source: dict[str, Any] | None, letters: list[Letter], log: dict[int, Any], headers: Headers = OWN) -> Judged:
    """The decision when the source partition holds these records."""
    judge = Judge(reader(source), Order.OFFSET)
    judge.expect(letters, lambda _: True)
    for offset, event in log.items():
        data = json.dumps(event).encode()
        judge.read(SOURCE, GivenRecord("t", data, headers=headers, offset=offset, milliseconds=9), repeat=False)
    return judge.judge(letters)


def sent(found: Judged) -> list[Repeat]:
    """What is written."""
    return [repeat for _, repeats in found.send for repeat in repeats]


def test_a_mapped_letter_is_sent_as_it_came() -> None:
    """With its own headers in their order, without those that say why it is a letter."""
    one = letter(value("anna", tier="gold"))
    assert sent(judged(MAPPED, [one], {0: value("anna", tier="gold"), 1: value("ben", tier="x")})) == [
        Repeat(one.value, OWN)
    ]


def test_what_a_newer_event_has_set_is_left_out() -> None:
    """The rest is an event of version 1, marked: the topic's mapping would not read it."""
    event = value("anna", tier="OLD", city="Bern")
    found = judged(MAPPED, [letter(event, stage=Stage.TARGET)], {0: event, 1: value("anna", tier="NEW")})
    (repeat,) = sent(found)
    assert repeat.headers == ((MADE_HEADER, b"1"),)
    assert json.loads(repeat.value or b"") == {"pcId": "anna", "profile": {"city": "Bern"}}
    assert found.shortened == 1
    event = value("anna", tier="OLD")
    assert judged(MAPPED, [letter(event)], {0: event, 1: value("anna", tier="NEW")}).superseded


def test_a_marked_letter_is_read_as_version_1() -> None:
    """Whatever the mapping of its topic says; and it stays marked."""
    event = {"pcId": "anna", "profile": {"tier": "OLD", "city": "Bern"}}
    one = letter(event, stage=Stage.TARGET, headers=((MADE_HEADER, b"1"),))
    assert sent(judged(MAPPED, [one], {0: value("anna", tier="OLD")})) == [Repeat(one.value, ((MADE_HEADER, b"1"),))]
    (repeat,) = sent(judged(MAPPED, [one], {0: value("anna", tier="OLD"), 3: value("anna", tier="NEW")}))
    assert json.loads(repeat.value or b"")["profile"] == {"city": "Bern"}


def test_a_letter_of_an_item_is_about_that_item_alone() -> None:
    """The others of its record were delivered: they are neither sent again nor looked at."""
    event = [value("anna", tier="a"), value("ben", tier="b"), value("anna", city="Bern")]
    one = letter(event, headers=(*OWN, (ITEM_HEADER, b"1")))
    log = {0: event, 1: value("anna", tier="NEW")}
    assert sent(judged(LISTED, [one], {**log, 1: [value("anna", tier="NEW")]})) == [
        Repeat(one.value, (*OWN, (ITEM_HEADER, b"1")))
    ]
    assert judged(LISTED, [one], {0: event, 1: [value("ben", tier="NEW")]}).superseded == [one]
    # A later item of the record itself is newer, too.
    first = letter([value("anna", tier="a"), value("anna", tier="b")], headers=((ITEM_HEADER, b"0"),))
    assert judged(LISTED, [first], {0: [value("anna", tier="a"), value("anna", tier="b")]}).superseded == [first]


def test_what_is_refused_again_sets_nothing_and_is_sent_as_it_came() -> None:
    """An item for itself: the service takes that item alone."""
    event = [value("anna", tier="OLD"), {"set": {"tier": "x"}}, {"skip": True}]
    item = letter(event, headers=((ITEM_HEADER, b"1"),))
    assert sent(judged(LISTED, [item], {0: event})) == [Repeat(item.value, ((ITEM_HEADER, b"1"),))]
    whole = letter(event, headers=OWN)
    assert sent(judged(LISTED, [whole], {0: event})) == [Repeat(whole.value, OWN)]
    # Of the whole record an attribute is superseded: what is left is sent item by item.
    found = judged(LISTED, [whole], {0: event, 1: [value("anna", tier="NEW")]})
    assert sent(found) == [Repeat(whole.value, (*OWN, (ITEM_HEADER, b"1")))]
    assert found.shortened == 1
    assert sent(judged(MAPPED, [letter(b"no json")], {})) == [Repeat(b"no json", OWN)]
    assert sent(judged(MAPPED, [letter({"skip": True}, stage=Stage.TARGET)], {}))


def test_what_target_was_sent_and_cannot_be_read_is_left() -> None:
    """The command has not the settings of the service: what is newer cannot be seen."""
    found = judged(MAPPED, [letter({"set": {}}, stage=Stage.TARGET)], {})
    assert (len(found.unreadable), found.send) == (1, [])


def test_a_letter_whose_record_is_gone_is_left() -> None:
    """Of each of its visitors: a newer event may be gone too."""
    event = [value("anna", tier="a"), value("ben", tier="b")]
    assert judged(LISTED, [letter(event)], {}).unknown
    # Another record at its place: this is not the log that it came from.
    assert judged(LISTED, [letter(event)], {0: [value("anna", tier="a")]}).unknown
    assert judged(LISTED, [letter(event)], {0: event}).send


def test_the_time_of_the_record_itself_is_read_and_not_that_of_the_letter() -> None:
    """Else an attribute of the record's timestamp would seem to be superseded by the record."""
    source = {**MAPPED, "attributes": {"seen": "$timestamp"}}
    one = letter(value("anna", tier="gold"))
    assert sent(judged(source, [one], {0: value("anna", tier="gold")})) == [Repeat(one.value, OWN)]


def test_what_a_replay_adds_is_not_added_twice() -> None:
    """A letter of a replayed record: of our headers the last counts, and its own are kept."""
    twice = (*OWN, (ITEM_HEADER, b"2"), (FROM_HEADER, b"dlq/0/1"), (ITEM_HEADER, b"2"))
    one = letter([], headers=twice)
    assert (one.headers, one.item) == (OWN, 2)
    assert one.as_it_came().headers == (*OWN, (ITEM_HEADER, b"2"))


attributes = st.dictionaries(st.sampled_from("ab"), st.sampled_from("123"), min_size=1)
records = st.lists(st.tuples(st.sampled_from(["anna", "ben"]), attributes), min_size=1, max_size=3)


@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_after_a_replay_each_attribute_has_its_last_value(log: list[Any], data: st.DataObject) -> None:
    """For letters of any items or whole records: what was accepted, then what is replayed, gives the log's last values.

    It catches a judgement by record, where the items of one record are newer and older than one another.
    """
    events = {at: [value(visitor, **set_) for visitor, set_ in record] for at, record in enumerate(log)}
    reading = reader(LISTED)
    profiles: dict[str, dict[str, str]] = {"anna": {}, "ben": {}}
    right: dict[str, dict[str, str]] = {"anna": {}, "ben": {}}
    letters: list[Letter] = []
    for at, record in enumerate(log):
        whole = data.draw(st.booleans())
        if whole:
            letters.append(letter(events[at], offset=at, place=len(letters)))
        for place, (visitor, set_) in enumerate(record):
            right[visitor].update(set_)
            if whole:
                continue
            if data.draw(st.booleans()):
                marked = ((ITEM_HEADER, str(place).encode()),)
                letters.append(letter(events[at], offset=at, headers=marked, place=len(letters)))
            else:
                profiles[visitor].update(set_)
    for repeat in sent(judged(LISTED, letters, events, headers=())):
        outcome: Any = reading(GivenRecord("t", repeat.value, headers=repeat.headers))
        for item in outcome.items:
            if isinstance(item, Change):
                profiles[item.visitor.id].update(item.attributes)
    assert profiles == right


def test_a_letter_of_version_1_keeps_its_headers_too() -> None:
    """Also on a topic that no mapping names."""
    one = replace(letter({"pcId": "v", "profile": {"a": 1}}), item=None)
    assert sent(judged(None, [one], {0: {"pcId": "v", "profile": {"a": 1}}})) == [Repeat(one.value, OWN)]
