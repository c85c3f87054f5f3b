"""The independent oracle of a run: the expected profiles, computed from the events alone, with no code of ours."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.support.kafka.client import Kafka

NAMES = (
    "loyaltyTier",
    "points",
    "a b",
    "a&b",
    "x=y",
    "50%",
    "päß",
    "名前",
    "emoji😀",
    "quote\"'",
    "#hash/slash+",
    "[0]",
)
TEXTS = (
    *("gold", "", " ", "  two  spaces ", "true", "null", "v" * 300, "+", "%", "%25", "#/?%41%zz", "a&b=c", "1+1=2"),
    *("\"double\" 'single' \\", "zürich — ☃", "漢字", "😀👩\u200d👩\u200d👧", "\u2028\u2029\ufeff\u200f"),
    *("tab\tline\nreturn\r", "nul\x00 bell\x07 esc\x1b del\x7f"),
)
NUMBERS = ("0", "-0", "1", "10.50", "1E3", "-2.5e-10", "12345678901234567890123", "0.1", "1e400", "1" + "0" * 40 + ".0")
HOSTILE_IDS = (
    *("plain", "with space", " ", "a&b", "a+b", "a#b", "a/b", "a=b", "100%", "%41", "quo\"te's", "\\back", ";,:@"),
    *("ünïcödé", "名前", "😀", "\u202eright", "🏳\ufe0f\u200d🌈" * 40, "x" * 256, "é" * 256, "\U0001d4b3" * 256),
    *("tab\tnl\n", "\x00", "\x7f", "1368007744041-575948.01_00", "null"),
)

KINDS = {"mbox3rdPartyId": "mbox3rdPartyId", "pcId": "mboxPC"}
"""Maps an event's field to the API's parameter, by which the sandbox names a visitor."""


class Event(NamedTuple):
    """A record to produce: the key keeps all events of one visitor on one partition."""

    key: bytes
    value: bytes


def hostile_events(rng: random.Random, events: int, visitors: int) -> list[Event]:
    """Events over exactly this many visitors, each named at least once; ids, names and values are hostile."""
    who = _visitors(rng, visitors)
    order = [*who, *rng.choices(who, k=events - len(who))]
    rng.shuffle(order)
    return [_event(rng, kind, name, number) for number, (kind, name) in enumerate(order)]


def plain_events(rng: random.Random, events: int, visitors: int) -> list[Event]:
    """Small events over `visitor-0` and so on, each with its number, for tests of other things."""
    return [
        event(f"visitor-{number if number < visitors else rng.randrange(visitors)}", seq=number)
        for number in range(events)
    ]


def event(visitor: str, **profile: object) -> Event:
    """One event in plain JSON."""
    return Event(visitor.encode(), json.dumps({"mbox3rdPartyId": visitor, "profile": profile}).encode())


def fold(values: Iterable[bytes]) -> dict[str, dict[str, str]]:
    """Each visitor's expected profile at the end, by the sandbox's name of the visitor: the last value wins."""
    profiles: dict[str, dict[str, str]] = {}
    for value in values:
        record = json.loads(value, parse_int=str, parse_float=str)
        kind = "mbox3rdPartyId" if "mbox3rdPartyId" in record else "pcId"
        attributes = _flat(record["profile"])
        if attributes:
            profiles.setdefault(f"{KINDS[kind]}:{record[kind]}", {}).update(attributes)
    return profiles


def differences(expected: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Each visitor whose profile is wrong, with both profiles as text."""
    return [
        f"{visitor!r}: must be {expected.get(visitor)}, is {found.get(visitor)}"
        for visitor in sorted(expected.keys() | found.keys())
        if expected.get(visitor) != found.get(visitor)
    ]


def caught_up(kafka: Kafka, topic: str, group: str | None = None) -> bool:
    """Whether the group's committed offsets equal the log's ends; by default it has the topic's name."""
    committed = {partition: where.offset for partition, where in kafka.committed(group or topic, topic).items()}
    return committed == {partition: end for partition, end in kafka.end_offsets(topic).items() if end}


def _visitors(rng: random.Random, count: int) -> Sequence[tuple[str, str]]:
    """Each hostile id under both kinds, and more made of them, some under both kinds too."""
    found = [(kind, name) for name in HOSTILE_IDS for kind in KINDS]
    number = 0
    while len(found) < count:
        name = f"{number}{rng.choice(HOSTILE_IDS)}"[:256]
        found += [(kind, name) for kind in (KINDS if number % 3 == 0 else rng.sample(list(KINDS), 1))]
        number += 1
    return found[:count]


def _event(rng: random.Random, kind: str, name: str, number: int) -> Event:
    pairs = [(attribute, _value(rng)) for attribute in rng.sample(NAMES, rng.randint(1, 4))]
    pairs.append(("seq", str(number)))
    profile = ",".join(f"{json.dumps(attribute)}:{value}" for attribute, value in pairs)
    ascii_only = rng.random() < 0.5
    value = f'{{{json.dumps(kind)}:{json.dumps(name, ensure_ascii=ascii_only)},"profile":{{{profile}}}}}'
    return Event(f"{kind}:{name}".encode(), value.encode())


def _value(rng: random.Random) -> str:
    """A value as JSON text: numbers are written unlike any encoder's output."""
    kind = rng.randrange(8)
    if kind < 4:
        return json.dumps(rng.choice(TEXTS), ensure_ascii=rng.random() < 0.5)
    if kind < 6:
        return rng.choice(NUMBERS)
    if kind == 6:
        return rng.choice(("true", "false", "null"))
    return f'{{"in":{json.dumps(rng.choice(TEXTS))},"deep":{{"er":{rng.choice(NUMBERS)}}}}}'


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            attributes.update(_flat(value, f"{prefix}{name}."))
        elif isinstance(value, bool):
            attributes[prefix + name] = "true" if value else "false"
        elif value is not None:
            attributes[prefix + name] = str(value)
    return attributes
