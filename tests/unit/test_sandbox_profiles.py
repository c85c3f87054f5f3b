"""Where Adobe's documentation leaves the behaviour of profiles open, the sandbox has switches: each must work."""

from connector.sandbox.profiles import Attribute, ProfileStore
from connector.sandbox.rules import Visitor

ANN = Visitor("mbox3rdPartyId", "ann")
BOB = Visitor("mboxPC", "1.28_0")


def test_updates_merge_attribute_by_attribute() -> None:
    """By default an update adds to the earlier ones, the newest value of an attribute wins, and writes are counted."""
    store = ProfileStore()
    assert store.update(ANN, {"tier": "silver", "city": "Basel"}, 1.0)
    assert store.update(ANN, {"tier": "gold"}, 2.5)
    assert store.fetch(ANN, 3.0) == {"tier": Attribute("gold", 2_500, 2), "city": Attribute("Basel", 1_000, 1)}


def test_visitors_of_different_kinds_are_different() -> None:
    """The same text as another kind of id is another visitor."""
    store = ProfileStore()
    store.update(Visitor("mboxPC", "ann"), {"a": "1"}, 0.0)
    store.update(ANN, {"a": "2"}, 0.0)
    assert store.values(0.0) == {"mboxPC:ann": {"a": "1"}, "mbox3rdPartyId:ann": {"a": "2"}}
    assert len(store) == 2


def test_consecutive_updates_override_until_a_visit() -> None:
    """In override mode an update replaces those since the last visit, and nothing before it."""
    store = ProfileStore(override=True)
    store.update(ANN, {"old": "1", "tier": "bronze"}, 1.0)
    store.visit(ANN, 2.0)
    store.update(ANN, {"tier": "silver", "city": "Basel"}, 3.0)
    store.update(ANN, {"points": "7"}, 4.0)
    assert store.values(5.0) == {"mbox3rdPartyId:ann": {"old": "1", "tier": "bronze", "points": "7"}}


def test_update_only_takes_registered_visitors_alone() -> None:
    """An update for an unknown visitor is dropped, as Adobe does."""
    store = ProfileStore(update_only=True)
    store.visit(BOB, 0.0)
    assert store.update(BOB, {"a": "1"}, 1.0)
    assert not store.update(ANN, {"a": "1"}, 1.0)
    assert store.fetch(ANN, 1.0) is None
    assert store.values(1.0) == {"mboxPC:1.28_0": {"a": "1"}}


def test_a_profile_expires_without_a_visit() -> None:
    """Updates do not keep a profile alive; after its time they vanish, until a visit restarts it."""
    store = ProfileStore(expire_after=10.0)
    store.update(ANN, {"a": "1"}, 0.0)
    assert store.update(ANN, {"b": "2"}, 9.9)
    assert not store.update(ANN, {"c": "3"}, 10.0)
    assert store.fetch(ANN, 10.0) is None
    assert store.values(10.0) == {}
    store.visit(ANN, 11.0)
    assert store.fetch(ANN, 11.0) == {}
    assert store.update(ANN, {"d": "4"}, 20.0)
    assert store.values(20.9) == {"mbox3rdPartyId:ann": {"d": "4"}}


def test_a_visit_keeps_a_profile_alive() -> None:
    """A visit resets the time and keeps the attributes."""
    store = ProfileStore(expire_after=10.0)
    store.update(ANN, {"a": "1"}, 0.0)
    store.visit(ANN, 9.0)
    assert store.fetch(ANN, 18.0) == {"a": Attribute("1", 0, 1)}


def test_clear_forgets_the_registered_too() -> None:
    """A test that clears the sandbox starts without visitors."""
    store = ProfileStore(update_only=True)
    store.visit(ANN, 0.0)
    store.clear()
    assert not store.update(ANN, {"a": "1"}, 1.0)
    assert len(store) == 0
