"""What a mapping makes of documents: values, conditions, copies, items, and refusals that name no value."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest

from connector.events import Change, Nulls, Refused, Visitor
from connector.events.json_v1 import TIME_RULE
from connector.mapping import NO_VISITOR, Changes, Coverage, JsonMapper, Outcome, Skip, Unmapped, compile_source, load
from tests.support.captured_logs import as_logged
from tests.support.json_tree import plain

VISITOR = {"mbox3rdPartyId": "id"}


def source(**fields: Any) -> Any:
    """Return a source of these fields, over a small good one."""
    least = {"topics": ["crm"], "format": "json", "visitor": VISITOR}
    if "copy" not in fields:
        least["attributes"] = {"a": "a"}
    return load(json.dumps({"version": 1, "sources": [{**least, **fields}]})).sources[0]


def outcome(
    value: Any,
    nulls: Nulls = Nulls.DROP,
    unmapped: Unmapped = Unmapped.REFUSE,
    key: Any = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Outcome:
    """Map a document; a text is JSON, and then the fast way must give the same."""
    compiled = compile_source(source(**fields), nulls, unmapped)
    rest = (key, headers or {}, "crm", 1_795_342_500_123)
    if not isinstance(value, str):
        return compiled(value, *rest)
    plainly = compiled(plain(value.encode()), *rest)
    assert JsonMapper(compiled, plain)(value.encode(), *rest) == plainly
    return plainly


def attributes(value: Any, mapped: Any, **given: Any) -> dict[str, str]:
    """Return what one attribute `a` becomes: nothing or its text."""
    return change(value, attributes={"a": mapped}, **given).attributes


def change(value: Any, **given: Any) -> Change:
    """Return the one change."""
    found = outcome(value, **given)
    assert isinstance(found, Changes)
    (item,) = found.items
    assert isinstance(item, Change)
    return item


def refusal(value: Any, **given: Any) -> str:
    """Return the words of the refusal, which the log's redaction leaves alone."""
    with pytest.raises(Refused) as caught:
        outcome(value, **given)
    said = str(caught.value)
    assert as_logged(said) == said
    assert "secret" not in said
    return said


@pytest.mark.parametrize(
    ("document", "mapped", "text"),
    [
        ('{"id":"1","x":"text"}', "x", "text"),
        ('{"id":"1","x":10.50}', "x", "10.50"),
        ('{"id":"1","x":-0}', "x", "-0"),
        ('{"id":"1","x":0}', "x", "0"),
        ('{"id":"1","x":1E400}', "x", "1E400"),
        ('{"id":"1","x":12345678901234567890123}', "x", "12345678901234567890123"),
        ('{"id":"1","x":' + "9" * 5_000 + "}", "x", "9" * 5_000),
        ('{"id":"1","x":true}', "x", "true"),
        ('{"id":"1","x":""}', "x", ""),
        ('{"id":"1"}', "x", None),
        ('{"id":"1","x":null}', "x", None),
        ('{"id":"1","x":null}', {"path": ["x", "y"], "default": 0}, "0"),
        ('{"id":"1","x":"","y":"b"}', {"path": ["x", "y"]}, "b"),
        ('{"id":"1","x":"G"}', {"path": "x", "values": {"G": "gold"}}, "gold"),
        ('{"id":"1","x":"B"}', {"path": "x", "values": {"G": "gold"}}, None),
        ('{"id":"1","x":"B"}', {"path": "x", "values": {"G": "gold"}, "default": "none"}, "none"),
        ('{"id":"1","x":1}', {"path": "x", "values": {"1": "one"}}, "one"),
        ('{"id":"1","x":"a","y":2}', {"template": "{x}/{y}"}, "a/2"),
        ('{"id":"1","x":"a"}', {"template": "{x}/{y}", "default": "none"}, "none"),
        ('{"id":"1"}', {"constant": 10.5}, "10.5"),
        ('{"id":"1","x":[1,[2],{"y":"z"}]}', "x[-1].y", "z"),
        ('{"id":"1","x":[{"k":"a","v":1},{"k":"b","v":2}]}', "x[k=b].v", "2"),
        ('{"id":"1","x":[{"k":"iglu:a/1","v":1}]}', "x[k^=iglu:a/].v", "1"),
        ('{"id":"1","x":{"y":["a",2,null,true]}}', {"path": "x.y", "as": "join"}, "a,2,true"),
        ('{"id":"1","x":["a","b"]}', {"path": "x", "as": {"join": " "}}, "a b"),
        ('{"id":"1","x":"Aß"}', {"path": "x", "as": "upper"}, "ASS"),
        ('{"id":"1","x":"BM4="}', {"path": "x", "as": {"decimal": 2}}, "12.30"),
        ('{"id":"1","x":"/w=="}', {"path": "x", "as": {"decimal": 2}}, "-0.01"),
        ('{"id":"1","x":1795342500}', {"path": "x", "as": "epoch-s"}, "2026-11-22T10:15:00Z"),
        ('{"id":"1","x":1795342500.50}', {"path": "x", "as": "epoch-s"}, "2026-11-22T10:15:00.5Z"),
        ('{"id":"1","x":-1.5}', {"path": "x", "as": "epoch-s"}, "1969-12-31T23:59:58.5Z"),
        ('{"id":"1","x":1795342500123}', {"path": "x", "as": "epoch-ms"}, "2026-11-22T10:15:00.123Z"),
        ('{"id":"1","x":-1}', {"path": "x", "as": "epoch-ns"}, "1969-12-31T23:59:59.999999999Z"),
        ('{"id":"1","x":18262}', {"path": "x", "as": "epoch-days"}, "2020-01-01"),
        ('{"id":"1"}', "$topic", "crm"),
        ('{"id":"1"}', "$timestamp", "2026-11-22T10:15:00.123Z"),
    ],
)
def test_what_a_value_becomes(document: str, mapped: Any, text: str | None) -> None:
    """Acceptance 34: numbers keep their written form; each option does what its row in the page says."""
    assert attributes(document, mapped) == ({} if text is None else {"a": text})


def test_connect_json_values_are_read_by_conversion() -> None:
    """Acceptance 33: of Connect's JSON, decimals are Base64 or numbers, and dates are numbers."""
    assert attributes('{"id":"1","x":"BM4="}', {"path": "x", "as": {"decimal": 2}}) == {"a": "12.30"}
    assert attributes('{"id":"1","x":12.30}', "x") == {"a": "12.30"}
    assert attributes({"id": "1", "x": b"\x04\xce"}, {"path": "x", "as": {"decimal": 2}}) == {"a": "12.30"}


def test_nulls_follow_the_setting() -> None:
    """A null at a path is dropped, sent empty or refused, as in version 1."""
    document = '{"id":"1","a":null}'
    assert attributes(document, "a", nulls=Nulls.DROP) == {}
    assert attributes(document, "a", nulls=Nulls.EMPTY) == {"a": ""}
    assert refusal(document, nulls=Nulls.REJECT) == "a must not be null (mapping of crm)"


@pytest.mark.parametrize(
    ("document", "mapped", "said"),
    [
        ({"id": "1", "x": {"secret": 1}}, "x", "x must not be an object: name one of its fields, or use copy"),
        ({"id": "1", "x": ["secret"]}, "x", "x must not be an array: name one of its items, or use as: join"),
        ({"id": "1", "x": b"secret"}, "x", "x must not be bytes: use as: base64 or as: hex"),
        ({"id": "1", "x": math.nan}, "x", "x must be a finite number"),
        (
            {"id": "1", "x": "secret"},
            {"path": "x", "as": "epoch-ms"},
            "x must be a whole number to be read as epoch-ms",
        ),
        ({"id": "1", "x": 10**20}, {"path": "x", "as": "epoch-s"}, "x must be a number to be read as epoch-s"),
        (
            {"id": "1", "x": 10**14},
            {"path": "x", "as": "epoch-s"},
            "x must lie in the years 1 to 9999 to be read as epoch-s",
        ),
        (
            {"id": "1", "x": 10**9},
            {"path": "x", "as": "epoch-days"},
            "x must lie in the years 1 to 9999 to be read as epoch-days",
        ),
        (
            {"id": "1", "x": "secret!"},
            {"path": "x", "as": {"decimal": 2}},
            "x must be 1 to 128 bytes, or their Base64, to be read as decimal",
        ),
        ({"id": "1", "x": "secret"}, {"path": "x", "as": "join"}, "x must be an array to be joined"),
        (
            {"id": "1", "x": [["secret"]]},
            {"path": "x", "as": "join"},
            "x must have texts, numbers and booleans only, to be joined",
        ),
        ({"id": "1", "x": "secret"}, {"path": "x", "as": "hex"}, "x must be bytes to be written as hex"),
        (
            {"id": "1", "x": [{}] * 1_001},
            "x[k=secre].v",
            "x[k=secre].v must not search a list of more than 1,000 items",
        ),
    ],
)
def test_refusals_name_path_and_source_and_never_a_value(document: Any, mapped: Any, said: str) -> None:
    """Acceptance 48: the reason of a dead letter can be shown to anyone."""
    assert refusal(document, attributes={"a": mapped}) == f"{said} (mapping of crm)"


def test_refusals_name_the_schema_and_no_part_of_key_or_headers() -> None:
    """Acceptance 48: the schema's id is named; `$key` and `$headers` are named as paths only."""
    compiled = compile_source(source(key="text", occurredAt="$headers.at", visitor={"pcId": "$key"}), Nulls.DROP)
    with pytest.raises(Refused) as caught:
        compiled({}, "key-secret", {"at": "header-secret"}, "crm", 0, schema="7")
    assert str(caught.value) == (
        f"$headers.at {TIME_RULE}; a number needs as, such as as: epoch-ms (mapping of crm, schema 7)"
    )
    with pytest.raises(
        Refused, match=r"^\$key must have at most 256 characters, to identify a visitor \(mapping of crm\)$"
    ):
        compiled({}, "s" * 257, {}, "crm", 0)


def test_a_later_name_wins() -> None:
    """Acceptance 45: a later copy over an earlier one, `attributes` over both, as in version 1."""
    copies = [{"from": "x"}, {"from": "y"}]
    document = '{"id":"1","x":{"a":1,"b":1,"c":1},"y":{"b":2,"c":2},"z":3}'
    assert change(document, copy=copies, attributes={"c": "z"}).attributes == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("document", "visitor"),
    [
        ('{"id":9007199254740993}', Visitor("mbox3rdPartyId", "9007199254740993")),
        ('{"id":"","other":"o"}', Visitor("mbox3rdPartyId", "o")),
        ('{"id":null,"pc":"p"}', Visitor("pcId", "p")),
        ('{"id":0}', Visitor("mbox3rdPartyId", "0")),
        (json.dumps({"id": "😀" * 256}), Visitor("mbox3rdPartyId", "😀" * 256)),
    ],
)
def test_an_identifier_is_a_text_or_a_whole_number(document: str, visitor: Visitor) -> None:
    """Acceptance 46: a number is written as digits; an empty one gives way to the next path."""
    given = {"mbox3rdPartyId": {"path": ["id", "other"]}, "pcId": "pc"}
    assert change(document, visitor=given).visitor == visitor


def test_an_identifier_that_is_none_is_refused() -> None:
    """Acceptance 46: over 256 characters, a boolean, an object, and nothing at all under any path."""
    long = "id must have at most 256 characters, to identify a visitor (mapping of crm)"
    assert refusal(json.dumps({"id": "x" * 257})) == long
    assert refusal({"id": True}) == "id must be a text or a whole number, to identify a visitor (mapping of crm)"
    assert refusal({"id": {}}).startswith("id must not be an object")
    assert refusal({"id": ""}, visitor={"mbox3rdPartyId": {"path": ["id", "x.y"]}, "pcId": "pc"}) == (
        "id, x.y, pc must not all be missing or empty: one of them identifies the visitor (mapping of crm)"
    )
    assert outcome('{"id":""}', unmapped=Unmapped.SKIP) == Skip(NO_VISITOR)


@pytest.mark.parametrize(
    ("condition", "document", "holds"),
    [
        ({"equals": "x"}, '{"c":"x"}', True),
        ({"equals": "x"}, "{}", False),
        ({"equals": True}, '{"c":"true"}', True),
        ({"equals": 1.50}, '{"c":1.5}', True),
        ({"equals": "x"}, '{"c":["x"]}', False),
        ({"in": ["x", 0]}, '{"c":0}', True),
        ({"in": ["x", 0]}, '{"c":-0}', False),
        ({"not-in": ["x"]}, "{}", True),
        ({"not-in": ["x"]}, '{"c":"x"}', False),
        ({"begins": "com."}, '{"c":"com.acme"}', True),
        ({"begins": "com."}, '{"c":null}', False),
        ({"exists": True}, '{"c":null}', False),
        ({"exists": True}, '{"c":{}}', True),
        ({"exists": False}, "{}", True),
    ],
)
def test_a_skip_names_the_condition_that_did_not_hold(condition: dict[str, Any], document: str, holds: bool) -> None:  # noqa: FBT001
    """Item 4: an event that is not for us is a skip, counted by the condition's text."""
    tree = document[:-1] + ("," if len(document) > 2 else "") + '"id":"1"}'
    found = outcome(tree, when=[{"path": "id", "exists": True}, {"path": "c", **condition}])
    ((operator, operand),) = condition.items()
    texts = operand if isinstance(operand, list) else [operand]
    told = ", ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in texts)
    assert found == Skip(f"c {operator} {told}") or (holds and isinstance(found, Changes))


COPIED = '{"id":"1","o":{"a":"x","n":10.50,"t":true,"z":null,"in":{"b":1,"c":{"d":2}},"e.f":"y"}}'


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        ({"from": "o"}, {"a": "x", "n": "10.50", "t": "true", "in.b": "1", "in.c.d": "2", "e.f": "y"}),
        (
            {"from": "o", "prefix": "p."},
            {"p.a": "x", "p.n": "10.50", "p.t": "true", "p.in.b": "1", "p.in.c.d": "2", "p.e.f": "y"},
        ),
        ({"from": "o", "only": ["a", "in.c", "e.f", "q"]}, {"a": "x", "in.c.d": "2", "e.f": "y"}),
        ({"from": "o", "except": ["a", "n", "in.c", "e.f"]}, {"t": "true", "in.b": "1"}),
        ({"from": "missing"}, {}),
    ],
)
def test_copy_flattens_by_the_rules_of_version_1(copy: dict[str, Any], expected: dict[str, str]) -> None:
    """Dotted names, a prefix before each, some of them or all but some."""
    assert change(COPIED, copy=[copy]).attributes == expected


def test_copy_refuses_what_version_1_refuses() -> None:
    """Arrays, empty objects and names, and too many levels, unless they are left out."""
    assert refusal({"id": "1", "o": {"t": ["secret"]}}, copy=[{"from": "o"}]) == (
        "o.t must not be an array: leave it out, or map it by itself (mapping of crm)"
    )
    assert change('{"id":"1","o":{"t":[1],"a":2}}', copy=[{"from": "o", "except": ["t"]}]).attributes == {"a": "2"}
    assert refusal('{"id":"1","o":{"t":{}}}', copy=[{"from": "o"}]).startswith("o.t must have at least one attribute")
    assert refusal('{"id":"1","o":{"":1}}', copy=[{"from": "o"}]).startswith("o must not have an empty attribute name")
    deep = json.loads('{"a":' * 17 + "1" + "}" * 17)
    assert "must not be an object: 16 levels" in refusal({"id": "1", "o": deep}, copy=[{"from": "o"}])
    assert (
        refusal('{"id":"1","o":"secret"}', copy=[{"from": "o"}]) == "o must be an object to be copied (mapping of crm)"
    )


def test_each_makes_one_change_of_every_item() -> None:
    """Item 4: paths begin at the item, `$value` is the record, and an entry's place is the item's index."""
    document = {
        "type": "UPDATE",
        "table": "customers",
        "data": [
            {"id": "1", "a": "x"},
            {"id": "", "a": "y"},
            {"id": "1", "a": "z", "old": True},
            {"id": "2", "a": ["secret"]},
        ],
    }
    given: dict[str, Any] = {
        "each": "data",
        "when": [{"path": "$value.type", "in": ["INSERT", "UPDATE"]}, {"path": "old", "exists": False}],
        "attributes": {"a": "a", "table": "$value.table"},
    }
    found = outcome(document, **given)
    assert isinstance(found, Changes)
    one, two, three, four = found.items
    assert one == Change(Visitor("mbox3rdPartyId", "1"), {"a": "x", "table": "customers"})
    assert str(two) == "id must not all be missing or empty: one of them identifies the visitor (mapping of crm)"
    assert three == Skip("old exists false")
    assert isinstance(four, Refused)
    assert outcome({**document, "type": "DELETE"}, **given) == Skip("$value.type in INSERT, UPDATE")


PRIORITY = {"high": [{"path": "type", "equals": "funded"}], "low": [{"path": "type", "begins": "news"}]}


@pytest.mark.parametrize(
    ("rules", "kind", "priority"),
    [
        ("low", "funded", "low"),
        (PRIORITY, "funded", "high"),
        (PRIORITY, "newsletter", "low"),
        (PRIORITY, "visit", "normal"),
        ({**PRIORITY, "else": "low"}, "visit", "low"),
        ({"low": PRIORITY["high"], "high": [*PRIORITY["high"], {"path": "gone", "exists": True}]}, "funded", "low"),
        ({"high": PRIORITY["high"], "low": PRIORITY["high"]}, "funded", "high"),
    ],
)
@pytest.mark.parametrize("kind_of_visitor", ["mbox3rdPartyId", "pcId"])
def test_a_change_has_the_priority_of_the_first_class_whose_conditions_hold(
    rules: Any, kind: str, priority: str, kind_of_visitor: str
) -> None:
    """A word is for all events; of conditions all must hold, and high is asked first."""
    text = json.dumps({"id": "1", "a": "x", "type": kind})
    assert change(text, visitor={kind_of_visitor: "id"}, priority=rules).priority.word == priority


def test_items_have_priorities_of_their_own() -> None:
    """One of a batch may matter more than the others."""
    found = outcome('[{"id":"1","a":1,"type":"funded"},{"id":"2","a":2}]', each="$value", priority=PRIORITY)
    assert isinstance(found, Changes)
    assert [item.priority.word for item in found.items if isinstance(item, Change)] == ["high", "normal"]


def test_each_reads_an_array_as_the_value_and_items_whole() -> None:
    """Item 4: `each: $value`, and `$item` for all of an item."""
    found = outcome('[{"id":"1","a":1},{"id":"2","b":2}]', each="$value", copy=[{"from": "$item", "except": ["id"]}])
    assert found == Changes(
        (Change(Visitor("mbox3rdPartyId", "1"), {"a": "1"}), Change(Visitor("mbox3rdPartyId", "2"), {"b": "2"}))
    )


def test_each_without_a_list_has_nothing_and_with_too_many_is_refused() -> None:
    """Item 4: a missing list is no error; what is no list, or is too long, refuses the record."""
    assert outcome("{}", each="data") == outcome('{"data":[]}', each="data") == Changes(())
    assert (
        refusal('{"data":{}}', each="data") == "$value.data must be an array, for one change an item (mapping of crm)"
    )
    assert "must have at most 5,000 items" in refusal({"data": [{}] * 5_001}, each="data")


def test_what_debezium_did_not_get_is_no_value() -> None:
    """Acceptance 39: Postgres' unavailable value is absent, by path and by copy."""
    document = {"id": "1", "o": {"a": "__debezium_unavailable_value", "b": "x"}}
    given: dict[str, Any] = {
        "format": "debezium",
        "copy": [{"from": "o"}],
        "attributes": {"c": {"path": "o.a", "default": "d"}},
    }
    assert change(document, **given).attributes == {"b": "x", "c": "d"}


def test_paths_that_match_nothing_are_said_with_the_nearest_name() -> None:
    """Acceptance 43: after 20 samples each path that never matched is listed, with what was probably meant."""
    mapped = source(
        when=[{"path": "$headers.tpye", "exists": False}],
        copy=[{"from": "customer", "except": ["emial"]}],
        attributes={"tier": "customer.teir", "city": "customer.city", "x": "nothing.like[0].it"},
        visitor={"mbox3rdPartyId": "customer.id"},
    )
    coverage = Coverage(mapped)
    for number in range(20):
        document: Any = {
            "customer": {"id": str(number), "tier": "gold", "email": "secret", **({"city": "Basel"} if number else {})}
        }
        coverage.see(document, None, {"type": "a"}, "crm", 0)
    assert [(one.path, one.field, one.nearest) for one in coverage.unmatched()] == [
        ("$headers.tpye", "when", "$headers.type"),
        ("customer.teir", "attributes.tier", "customer.tier"),
        ("nothing.like[0].it", "attributes.x", None),
        ("customer.emial", "copy.except", "customer.email"),
    ]


def test_a_hundred_paths_on_a_megabyte_are_bounded() -> None:
    """Acceptance 47: the loop is not held for 50 ms by mapping one event, whatever its shape."""
    names = {f"a{n}": f"list[k=none{n}].v" if n % 2 else f"o{n}.p.q" for n in range(100)}
    document: Any = {"id": "1", "list": [{"k": f"some{n}", "pad": "x" * 900} for n in range(1_000)], "o": {}}
    compiled = compile_source(source(attributes=names), Nulls.DROP)
    assert len(json.dumps(document)) > 900_000
    spent = []
    for _ in range(5):
        began = time.process_time()
        compiled(document, None, {}, "crm", 0)
        spent.append(time.process_time() - began)
    assert min(spent) < (0.05 if sys.gettrace() is None else 0.5)  # Coverage counts lines, and makes them slow.


def test_attributes_of_several_objects_keep_their_names() -> None:
    """The fast way reads each object's fields at once: their order in the structs is not that of the mapping."""
    document = '{"id":"1","z":{"b":1,"a":2,"in":{"q":3}},"b":4,"a":{"x":5},"c":6}'
    given = {"one": "a.x", "two": "b", "three": "z.in.q", "four": "z.a", "five": "z.b", "six": "z.b", "seven": "id"}
    assert change(document, attributes=given).attributes == {
        "one": "5", "two": "4", "three": "3", "four": "2", "five": "1", "six": "1", "seven": "1",
    }  # fmt: skip


def test_an_odd_shape_falls_back_to_the_plain_way() -> None:
    """A null, a list or a text where an object was expected is read as any document; what is no JSON is refused."""
    for odd in ("null", "[]", '"x"', "7"):
        assert change(f'{{"id":"1","p":{odd}}}', attributes={"a": "p.q"}).attributes == {}
    assert refusal('{"id":"1"', attributes={"a": "p.q"}) == "(record) must be valid JSON"
