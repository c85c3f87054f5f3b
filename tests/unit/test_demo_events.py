"""The demo's verdict depends on its events: they must match `expected`, and be reproducible."""

import json
from collections import Counter

import pytest

from connector.demo.events import Event, Generator
from connector.demo.run import DemoConfig, malformed_share
from connector.events import JsonDecoder, Nulls
from connector.events.change import Refused


def drawn(count: int, *, visitors: int = 200, seed: int = 1, malformed: float = 0.0) -> list[Event]:
    """The first events of a generator."""
    generator = Generator(visitors, seed, malformed)
    return [generator.draw() for _ in range(count)]


def test_the_same_seed_draws_the_same_events() -> None:
    """A report of a demo that does not reconcile names its seed."""
    assert drawn(300, malformed=0.1) == drawn(300, malformed=0.1)
    assert drawn(300, seed=2) != drawn(300)


def test_what_is_expected_is_what_the_json_says() -> None:
    """Parsed by the standard library, numbers kept as written: a faulty generator would call a right profile wrong."""
    for event in drawn(2_000):
        said = json.loads(event.value, parse_int=str, parse_float=str)
        assert said["mbox3rdPartyId"] == event.visitor == event.key.decode()
        values = {
            name: json.dumps(value) if isinstance(value, bool) else value for name, value in said["profile"].items()
        }
        assert values == event.expected


def test_the_connector_takes_the_good_events_and_refuses_the_malformed() -> None:
    """A malformed event that decodes would count as a lost dead letter; a good one that does not, as lost values."""
    decode = JsonDecoder(Nulls.DROP)
    for event in drawn(2_000, malformed=0.2):
        assert bool(event.expected) == bool(event.visitor)
        if event.visitor:
            assert decode(event.value).visitor.id == event.visitor
        else:
            with pytest.raises(Refused):
                decode(event.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_as_many_are_malformed_as_asked_for(share: float) -> None:
    """The demo without faults promises no dead letters at all."""
    malformed = sum(not event.visitor for event in drawn(4_000, malformed=share))
    assert malformed == 4_000 * share


@pytest.mark.parametrize("events", [10, 100, 1_500, 3_000, 10_000])
def test_a_short_run_with_faults_has_malformed_events_too(events: int) -> None:
    """The demo announces some; a sum with none of them would show nothing of dead letters."""
    share = malformed_share(DemoConfig(events=events, faults=True))
    assert sum(not event.visitor for event in drawn(events, malformed=share)) >= max(4, events // 1_000)
    assert malformed_share(DemoConfig(events=events)) == 0


def test_few_visitors_have_most_events_and_none_is_beyond_the_number_asked_for() -> None:
    """Without frequent visitors there is nothing to coalesce."""
    counts = Counter(event.visitor for event in drawn(10_000, visitors=1_000))
    assert len(counts) <= 1_000
    assert sum(count for _, count in counts.most_common(100)) > 5_000


def test_one_visitor_is_enough() -> None:
    """`--visitors 1` is the minimum."""
    assert {event.visitor for event in drawn(50, visitors=1)} == {"customer-000000"}
