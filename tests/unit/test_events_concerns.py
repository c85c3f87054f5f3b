"""What a person should know of an update that Target accepts; and which visitor a pcId is."""

import pytest

from connector.events import JsonDecoder
from connector.events.change import Visitor, change_of
from connector.events.concerns import WHY, Concern, concerns

THIRD = Visitor("mbox3rdPartyId", "123")


@pytest.mark.parametrize(
    ("visitor", "attributes", "found"),
    [
        (THIRD, {"tier": "x" * 256, "n" * 128: "1"}, {}),
        (THIRD, {"tier": "x" * 257, "city": "x" * 300}, {Concern.LONG_VALUE: "tier"}),
        (THIRD, {"n" * 129: "1"}, {Concern.LONG_NAME: "n" * 129}),
        (THIRD, {"profile.tier": "1"}, {Concern.PREFIXED_NAME: "profile.tier"}),
        (THIRD, {"user.tier": "1"}, {Concern.SYSTEM_NAME: "user.tier"}),
        (THIRD, {"geolocation.city": "1"}, {Concern.SYSTEM_NAME: "geolocation.city"}),
        (THIRD, {"browserTime": "1", "browserTimes": "1"}, {Concern.SYSTEM_NAME: "browserTime"}),
        (Visitor("mbox3rdPartyId", "x" * 128), {"a": "1"}, {}),
        (Visitor("mbox3rdPartyId", "x" * 129), {"a": "1"}, {Concern.LONG_ID: "mbox3rdPartyId"}),
        (Visitor("mbox3rdPartyId", "a+b"), {"a": "1"}, {Concern.ID_CHARACTERS: "mbox3rdPartyId"}),
        (Visitor("mbox3rdPartyId", "a/b"), {"a": "1"}, {Concern.ID_CHARACTERS: "mbox3rdPartyId"}),
        (Visitor("pcId", "a/b"), {"a": "1"}, {}),
    ],
)
def test_each_limit_of_the_other_apis_is_told(
    visitor: Visitor, attributes: dict[str, str], found: dict[Concern, str]
) -> None:
    """Accepted is not applied: what may be cut, ignored or overwritten is said, with the field and never a value."""
    assert concerns(visitor, attributes) == found


def test_each_concern_has_a_reason() -> None:
    """The log, the page and the commands say it in these words."""
    assert WHY.keys() == set(Concern)


@pytest.mark.parametrize(
    ("identifier", "visitor", "hint"),
    [
        ("1368007744041-575948.28_20", "1368007744041-575948", ".28_20"),
        ("1368007744041-575948", "1368007744041-575948", ""),
        ("a.b.1_2", "a.b", ".1_2"),
        ("a.1_2.3_4", "a.1_2", ".3_4"),
        ("a.28", "a.28", ""),
        ("a.x_20", "a.x_20", ""),
        (".28_20", ".28_20", ""),
    ],
)
def test_a_pc_id_is_the_same_visitor_whatever_its_location_hint(identifier: str, visitor: str, hint: str) -> None:
    """Wrong design: two hints are two visitors, with two requests at once and an old value over a newer one."""
    change = change_of("pcId", identifier, {"a": "1"}, None)
    assert (change.visitor, change.hint) == (Visitor("pcId", visitor), hint)
    assert change.recipient == Visitor("pcId", identifier)
    assert JsonDecoder()(b'{"pcId": "%s", "profile": {"a": 1}}' % identifier.encode()) == change


def test_an_id_of_ones_own_has_no_hint() -> None:
    """Only Target writes hints, and only to its own ids."""
    change = change_of("mbox3rdPartyId", "a.28_20", {"a": "1"}, None)
    assert (change.visitor.id, change.hint) == ("a.28_20", "")
