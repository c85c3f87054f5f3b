"""Where Adobe's documentation leaves the behaviour of profiles open, the sandbox has switches: each must work."""

from connector.sandbox.fates import Fate, Processing
from connector.sandbox.profile_rules import EXPIRE_SECONDS, SESSION_SECONDS, VALUE_LIMIT
from connector.sandbox.profiles import ECID, Attribute, ProfileStore
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


def test_an_update_waits_for_its_lag_and_for_the_ones_before_it() -> None:
    """Target says success and applies later; by default in the order in which it took them."""
    store = ProfileStore()
    assert store.update(ANN, {"a": "1"}, 0.0, Processing(lag=100.0))
    assert store.update(ANN, {"a": "2"}, 1.0, Processing(lag=10.0))
    assert store.fetch(ANN, 99.0) is None
    assert store.fates(ANN, 99.0) == {"a": Fate.WAITING}
    assert store.fetch(ANN, 100.0) == {"a": Attribute("2", 100_000, 2)}
    assert store.fates(ANN, 100.0) == {"a": Fate.STANDS}


def test_a_reordered_update_leaves_the_older_value() -> None:
    """It overtakes the one before it, whose value then stands for good."""
    store = ProfileStore()
    store.update(ANN, {"a": "1"}, 0.0, Processing(lag=100.0))
    store.update(ANN, {"a": "2"}, 1.0, Processing(lag=10.0, is_reordered=True))
    assert store.values(50.0) == {"mbox3rdPartyId:ann": {"a": "2"}}
    assert store.values(100.0) == {"mbox3rdPartyId:ann": {"a": "1"}}
    assert store.fates(ANN, 100.0) == {"a": Fate.STALE}


def test_a_lost_update_is_never_applied_and_a_later_one_is() -> None:
    """Accepted, and gone; its fate ends with the next accepted value."""
    store = ProfileStore()
    store.visit(ANN, 0.0)
    assert not store.update(ANN, {"a": "1"}, 1.0, Processing(is_lost=True))
    assert (store.fetch(ANN, 9.0), store.fates(ANN, 9.0)) == ({}, {"a": Fate.LOST})
    store.visit(ANN, 9.5, {"a": "page"})
    assert store.fates(ANN, 9.5) == {"a": Fate.LOST}, "a page wrote over an older value, not over this one"
    store.update(ANN, {"a": "2"}, 10.0)
    assert store.fates(ANN, 10.0) == {"a": Fate.STANDS}


def test_another_writer_comes_after_the_update() -> None:
    """By a visit's page, or by the fault that stands for any other system; scripts keep their prefix."""
    store = ProfileStore()
    store.update(ANN, {"a": "1", "b": "1"}, 0.0, Processing(overwritten_after=5.0))
    store.visit(ANN, 2.0, {"b": "page", "user.score": "7"})
    assert store.values(4.0) == {"mbox3rdPartyId:ann": {"a": "1", "b": "page", "user.score": "7"}}
    assert store.values(5.0)["mbox3rdPartyId:ann"]["a"] == "written elsewhere"
    assert store.fates(ANN, 5.0) == {"a": Fate.OVERWRITTEN, "b": Fate.OVERWRITTEN}


def test_a_new_visitor_is_unknown_until_the_session_is_over() -> None:
    """The profile is in the memory of one edge: an update before that finds nothing, and no fetch does."""
    store = ProfileStore(session=SESSION_SECONDS)
    store.visit(ANN, 0.0, {"seen": "1"})
    store.visit(ANN, 600.0)
    assert not store.is_known(ANN, 600.0)
    assert not store.update(ANN, {"a": "1"}, 2_000.0)
    assert store.fetch(ANN, 2_399.0) is None
    assert store.fetch(ANN, 2_400.0) == {"seen": Attribute("1", 0, 1)}
    assert store.fates(ANN, 2_400.0) == {"a": Fate.UNKNOWN}
    assert store.update(ANN, {"a": "2"}, 2_400.0)


def test_the_end_of_a_session_replaces_what_is_stored_of_a_third_party_id() -> None:
    """An update that was accepted and seen meanwhile is gone; for a tntId it stays."""
    store = ProfileStore(session=SESSION_SECONDS)
    for visitor in (ANN, BOB):
        store.update(visitor, {"a": "old"}, 0.0)
        store.visit(visitor, 10.0, {"page": "x"})
        store.update(visitor, {"a": "new", "b": "1"}, 20.0)
        assert store.values(1_809.0)[str(visitor)] == {"a": "new", "b": "1", "page": "x"}
    assert store.values(1_810.0) == {
        "mbox3rdPartyId:ann": {"a": "old", "page": "x"},
        "mboxPC:1.28_0": {"a": "new", "b": "1", "page": "x"},
    }
    assert store.fates(ANN, 1_810.0) == {"a": Fate.REPLACED, "b": Fate.REPLACED}
    assert store.fates(BOB, 1_810.0) == {"a": Fate.STANDS, "b": Fate.STANDS}
    found = store.stored(ANN, 1_810.0)
    assert found is not None
    assert found.modified_at == 1_810_000


def test_empty_values_and_long_ones_are_not_kept_as_sent() -> None:
    """As the bulk API ignores the first, and a page's values are cut."""
    store = ProfileStore(ignore_empty=True, value_limit=VALUE_LIMIT)
    store.update(ANN, {"a": "1", "long": "x" * VALUE_LIMIT}, 0.0)
    store.update(ANN, {"a": "", "b": "", "long": "x" * 257}, 1.0)
    assert store.values(1.0) == {"mbox3rdPartyId:ann": {"a": "1", "long": "x" * VALUE_LIMIT}}
    assert store.fates(ANN, 1.0) == {"a": Fate.EMPTY, "b": Fate.EMPTY, "long": Fate.CUT}


def test_override_is_for_third_party_ids_alone() -> None:
    """As the bulk API documents it: a tntId's updates merge."""
    store = ProfileStore(override=True)
    for visitor in (ANN, BOB):
        store.update(visitor, {"a": "1"}, 0.0)
        store.update(visitor, {"b": "2"}, 1.0)
    assert store.values(1.0) == {"mbox3rdPartyId:ann": {"b": "2"}, "mboxPC:1.28_0": {"a": "1", "b": "2"}}
    assert store.fates(ANN, 1.0) == {"a": Fate.OVERRIDDEN, "b": Fate.STANDS}


def test_two_weeks_pass_in_a_moment() -> None:
    """The documented life of a profile, on the caller's clock."""
    store = ProfileStore(expire_after=EXPIRE_SECONDS)
    store.update(ANN, {"a": "1"}, 0.0)
    assert store.fates(ANN, EXPIRE_SECONDS - 1) == {"a": Fate.STANDS}
    assert store.fates(ANN, EXPIRE_SECONDS) == {"a": Fate.EXPIRED}
    store.update(ANN, {"b": "2"}, EXPIRE_SECONDS)
    assert store.fate_counts(EXPIRE_SECONDS) == {"expired": 2}


def test_a_visitor_is_found_with_and_without_the_location_hint() -> None:
    """The hint is not part of the identity; what only looks like one is."""
    store = ProfileStore()
    store.update(Visitor("mboxPC", "136-57.01_00"), {"a": "1"}, 0.0)
    store.update(Visitor("mboxPC", "136-57.28_20"), {"b": "2"}, 0.0)
    both = {"a": Attribute("1", 0, 1), "b": Attribute("2", 0, 1)}
    assert [store.fetch(Visitor("mboxPC", id_), 0.0) for id_ in ("136-57", "136-57.1_2", "136-57.x")] == [
        both,
        both,
        None,
    ]
    assert store.values(0.0) == {"mboxPC:136-57.01_00": {"a": "1", "b": "2"}}
    store.visit(ANN, 0.0, {"c": "3"}, ecid="4711")
    assert store.fetch(Visitor(ECID, "4711"), 0.0) == {"c": Attribute("3", 0, 1)}
    assert store.fetch(Visitor(ECID, "ann"), 0.0) is None


def test_nothing_is_kept_of_visitors_without_a_profile() -> None:
    """A load of updates for unknown visitors would fill the memory."""
    store = ProfileStore(update_only=True)
    for number in range(100):
        store.update(Visitor("mboxPC", f"{number}.1_0"), {"a": "1"}, 0.0)
    assert len(store) == 0
    store.update(BOB, {"a": "1"}, 0.0, Processing(lag=10.0))
    assert (len(store), store.is_known(BOB, 0.0)) == (1, False)
