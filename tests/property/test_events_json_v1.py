"""Decoder and schema must give one verdict: producers test against one and are refused by the other.

How the schema's side reads a record: as strict UTF-8, by Python's `json`, with three corrections, because that parser
takes more than JSON (RFC 8259) and the decoder do: NaN and Infinity are refused; a lone surrogate is refused anywhere,
as it has no UTF-8 form; a number of any size becomes a small one, as its size decides nothing. A record with a name
twice in one object is left out here: a schema sees only what a parser kept. The unit tests pin what the decoder does.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connector.events import Change, JsonDecoder, Nulls, Refused, Visitor, encode_event
from connector.events.change import PRIORITIES

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "schemas" / "profile-change.v1.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
DECODERS = {nulls: JsonDecoder(nulls) for nulls in Nulls}

suite = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Number(str):
    """A number as written, which `json.dumps` would not keep."""

    __slots__ = ()


class Not8259(ValueError):
    """Accepted by Python's parser, and no JSON."""


def write(tree: object) -> str:
    """Write a tree as JSON, with each `Number` as it stands."""
    if isinstance(tree, Number):
        return tree
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(name)}: {write(item)}" for name, item in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(write, tree)) + "]"
    return json.dumps(tree)


def no_constant(name: str) -> object:
    """Refuse NaN and the infinities."""
    raise Not8259(name)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Leave out of the test an object with a name twice."""
    assume(len({name for name, _ in pairs}) == len(pairs))
    return dict(pairs)


def schema_accepts(value: bytes) -> bool:
    """Return the schema's verdict on a record, read as the module's docstring says."""
    try:
        text = value.decode()
        tree = json.loads(
            text,
            parse_int=lambda _: 1,
            parse_float=lambda _: 0.5,
            parse_constant=no_constant,
            object_pairs_hook=once,
        )
        json.dumps(tree, ensure_ascii=False).encode()
    except ValueError:
        return False
    return VALIDATOR.is_valid(tree)


def decoder_accepts(value: bytes, nulls: Nulls = Nulls.DROP) -> bool:
    """Return the decoder's verdict on a record."""
    try:
        DECODERS[nulls](value)
    except Refused:
        return False
    return True


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten by the contract's words in the simplest way: the oracle of the attributes."""
    found: dict[str, str] = {}
    for name, item in tree.items():
        if isinstance(item, dict):
            found |= flat(item, f"{prefix}{name}.")
        elif item is not None:
            found[prefix + name] = json.dumps(item) if isinstance(item, bool) else item
    return found


numbers = st.one_of(
    st.sampled_from(["0", "-0", "-0.0", "10.50", "1E3", "1e400", "-0e-1", "-7.10e+0", "12345678901234567890123"]),
    st.integers().map(str),
    st.sampled_from([20, 4300, 4301]).map(lambda digits: "9" * digits),
).map(Number)
names = st.one_of(st.sampled_from(["a", "b", "a.b", "b.a", "é", "loyaltyTier", "."]), st.text(min_size=1, max_size=6))
scalars = st.one_of(st.text(max_size=8), numbers, st.booleans(), st.none(), st.sampled_from(["-0", '-0"}', "true"]))
groups = st.dictionaries(names, scalars, min_size=1, max_size=2)
values = st.one_of(scalars, scalars, groups, st.dictionaries(names, scalars | groups, min_size=1, max_size=2))
profiles = st.dictionaries(names, values, min_size=1, max_size=4)
ids = st.one_of(st.text(min_size=1, max_size=8), st.sampled_from(["x" * 256, "😀" * 256, "1368007744041-575948.01_00"]))
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["2024-02-29t23:59:59.1234567z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.9999999-23:59"]),
)


@st.composite
def good_events(draw: st.DrawFn) -> dict[str, Any]:
    """Build an event that both must accept, its fields in any order."""
    fields: dict[str, Any] = {"profile": draw(profiles)}
    kind, other = draw(st.permutations(["pcId", "mbox3rdPartyId"]))
    fields[kind] = draw(ids)
    priorities = st.sampled_from([None, *PRIORITIES])
    optional = ((other, st.none()), ("eventId", st.none() | ids), ("occurredAt", st.none() | times))
    for name, strategy in (*optional, ("priority", priorities)):
        if draw(st.booleans()):
            fields[name] = draw(strategy)
    if draw(st.booleans()):
        fields[draw(names.map(lambda name: "x-" + name))] = draw(st.lists(values, max_size=2))
    return dict(draw(st.permutations(list(fields.items()))))


NEARLY_TIMES = (
    ["2026-02-28", "2026-02-29", "2028-02-29", "2026-00-10", "2026-W47-7", "20261122", "9999-12-31", "0000-01-01"],
    ["T", "t", " ", ""],
    ["10:15:00", "23:59:60", "24:00:00", "10:15", "101500", "10:15:00.", "10:15:00.123456789", "10:15:00,5"],
    ["Z", "z", "", "+01:00", "-23:59", "+24:00", "+0100", "+01", "+01:60", "Z\n", " Z"],
)
junk: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["High", "urgent", "high ", 1, "low"]),
    st.sampled_from([[], {}, [1], "", {"": "x"}, {"a": {}}, {"a": []}, {"a": {"": 1}}, "x" * 257, "😀" * 257]),
    st.sampled_from([Number("NaN"), Number("-Infinity"), Number("01"), Number("1."), Number('"\\ud800"'), "\ud800"]),
    st.builds("{}{}{}{}".format, *map(st.sampled_from, NEARLY_TIMES)),
    scalars,
    values,
).map(copy.deepcopy)  # The drawn value is broken further, and must not change the next example.


def containers(tree: object) -> list[dict[str, Any]]:
    """Return every object of a tree, outermost first."""
    if not isinstance(tree, dict):
        return []
    return [tree, *(inner for item in tree.values() for inner in containers(item))]


@st.composite
def mutated_events(draw: st.DrawFn) -> dict[str, Any]:
    """Take a valid event and break it in up to three places, each one that a rule checks."""
    fields = draw(good_events())
    for _ in range(draw(st.integers(1, 3))):
        mutation = draw(st.sampled_from(["set", "drop", "inside", "inside", "deepen"]))
        if mutation == "set":
            fields[
                draw(st.sampled_from(["pcId", "mbox3rdPartyId", "eventId", "occurredAt", "priority", "profile"]))
            ] = draw(junk)
        elif mutation == "drop" and fields:
            del fields[draw(st.sampled_from(sorted(fields)))]
        elif mutation == "inside":
            target = draw(st.sampled_from(containers(fields)))
            target[draw(st.sampled_from(["", "a", "\ud800"]) | names)] = draw(junk)
        elif mutation == "deepen":
            tree: object = draw(values)
            for _ in range(draw(st.integers(10, 18))):
                tree = {draw(st.sampled_from(["a", "b"])): tree}
            fields["profile"] = tree
    return fields


@suite
@given(good_events())
def test_good_events_mean_the_same_to_both(fields: dict[str, Any]) -> None:
    """A valid event passes the schema, and decodes to what the contract says."""
    value = write(fields).encode()
    assert schema_accepts(value)
    change = DECODERS[Nulls.DROP](value)
    kind = "pcId" if fields.get("pcId") is not None else "mbox3rdPartyId"
    assert change.recipient == Visitor(kind, fields[kind])
    assert change.attributes == flat(fields["profile"])
    assert all(
        type(text) is str for text in json.loads(encode_event(change.visitor, change.attributes))["profile"].values()
    )
    assert (change.occurred_at is None) == (fields.get("occurredAt") is None)
    assert change.priority.word == (fields.get("priority") or "normal")
    assert DECODERS[Nulls.DROP](encode_event(change.recipient, {"a": "x"}, priority=change.priority)).priority == (
        change.priority
    )


@suite
@given(mutated_events())
def test_schema_and_decoder_give_one_verdict(fields: dict[str, Any]) -> None:
    """No event passes a producer's check by the schema and is then refused, or the other way round."""
    value = write(fields).encode("utf-8", "surrogatepass")
    verdict = schema_accepts(value)
    event("good" if verdict else "bad")
    assert decoder_accepts(value) == verdict
    assert decoder_accepts(value, Nulls.EMPTY) == verdict
    assert decoder_accepts(value, Nulls.REJECT) <= verdict


@suite
@given(good_events(), st.data())
def test_one_verdict_on_damaged_bytes(fields: dict[str, Any], data: st.DataObject) -> None:
    """A record with a byte changed, lost or added is valid or not for both, and never a crash."""
    damaged = bytearray(write(fields).encode())
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        byte = data.draw(st.integers(0, 255) | st.sampled_from(b'{}[]:,"\\-.0eE \n'))
        damaged[place : place + data.draw(st.integers(0, 1))] = data.draw(st.sampled_from([b"", bytes([byte])]))
    value = bytes(damaged)
    verdict = schema_accepts(value)
    event("good" if verdict else "bad")
    assert decoder_accepts(value) == verdict


@suite
@given(st.binary(max_size=300) | st.text(alphabet='{}[]":,\\u0d8-+.eE1 \ufeffnulltrue', max_size=60).map(str.encode))
def test_no_bytes_crash_the_decoder(value: bytes) -> None:
    """For any bytes and every rule of nulls, the decoder refuses or accepts."""
    for nulls in Nulls:
        assert decoder_accepts(value, nulls) in {True, False}


@suite
@given(
    st.builds(Visitor, st.sampled_from(["pcId", "mbox3rdPartyId"]), st.text(min_size=1, max_size=256)),
    st.dictionaries(st.text(min_size=1), st.text(), min_size=1),
    st.sampled_from(Nulls),
)
def test_a_dead_letter_decodes_to_what_it_was_made_of(
    visitor: Visitor, attributes: dict[str, str], nulls: Nulls
) -> None:
    """A merged update that goes to the dead-letter topic can be replayed, for all of Unicode but surrogates."""
    value = encode_event(visitor, attributes)
    assert DECODERS[nulls](value) == Change(visitor, attributes)
    assert schema_accepts(value)
