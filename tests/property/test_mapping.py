"""Holds the mapping's two twins to one verdict each: schema and loader, generated JSON types and the plain walk.

What the schema cannot say, and the loader does, is listed in `BEYOND_THE_SCHEMA`.
"""

import copy
import json
from pathlib import Path as File
from typing import Any

from hypothesis import HealthCheck, assume, event, given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connector.events import Nulls, Refused
from connector.events.change import PRIORITIES
from connector.formats.readers import Format, KeyForm
from connector.mapping import BadMapping, JsonMapper, Unmapped, compile_source, load, rules
from connector.mapping.load import IDENTIFIERS
from connector.mapping.model import Form
from connector.mapping.paths import Path, Root, Select, parse_path
from tests.support.json_tree import plain

SCHEMA: dict[str, Any] = json.loads(
    (File(__file__).parents[2] / "schemas" / "event-mapping.v1.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
BEYOND_THE_SCHEMA = (
    "has a source already",
    "needs key:",
    "needs each",
    "$timestamp is a date-time already",
)
suite = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

names = st.sampled_from(["a", "b", "c", "é", "x.y", "first name", "a'b", "@id", "0"])
steps: st.SearchStrategy[Any] = st.one_of(
    names,
    names,
    st.integers(-2, 2),
    st.builds(
        Select,
        st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2).map(tuple),
        st.sampled_from(["x", "0", "true", "a b", "it's", "[1]"]),
        st.booleans(),
    ),
)
item_paths = st.builds(Path, st.just(Root.ITEM), st.lists(steps, min_size=1, max_size=3).map(tuple))
value_paths = st.builds(Path, st.just(Root.VALUE), st.lists(steps, max_size=2).map(tuple))
other_paths = st.sampled_from(["$topic", "$timestamp", "$headers.type", "$key", "$key.a"]).map(parse_path)
any_paths = st.one_of(item_paths, item_paths, item_paths, value_paths, other_paths).map(str)
tree_paths = st.one_of(item_paths, value_paths).map(str)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=4), st.integers(-5, 5), st.booleans(), st.sampled_from([1.5, "x"])
)
conversions: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([form.value for form in Form if form is not Form.DECIMAL]),
    st.builds(dict, decimal=st.sampled_from([0, 2, 100])),
    st.builds(dict, join=st.sampled_from(["", "|"])),
)


def objects(needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Build objects with some of the optional fields."""
    return st.fixed_dictionaries(needed, optional=optional)


found_values: st.SearchStrategy[Any] = st.one_of(
    any_paths,
    objects(
        {"path": any_paths | st.lists(any_paths, min_size=1, max_size=3)},
        {"as": conversions, "values": st.dictionaries(st.text(max_size=2), scalars, min_size=1, max_size=2)},
    ),
    st.builds(lambda a, b: {"template": f"{{{a}}}-{{{{{{{b}}}"}, any_paths, any_paths),
)
values: st.SearchStrategy[Any] = st.one_of(
    found_values,
    st.builds(
        lambda value, default: {**value, "default": default}, found_values.filter(lambda v: type(v) is dict), scalars
    ),
    st.builds(dict, constant=scalars),
)
conditions: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        lambda path, name, text: {"path": path, name: text}, any_paths, st.sampled_from(["equals", "begins"]), scalars
    ),
    st.builds(
        lambda path, name, texts: {"path": path, name: texts},
        any_paths,
        st.sampled_from(["in", "not-in"]),
        st.lists(scalars, min_size=1, max_size=2),
    ),
    st.builds(lambda path, exists: {"path": path, "exists": exists}, any_paths, st.booleans()),
)
priority_words = st.sampled_from(list(PRIORITIES))
priority_rules: dict[str, Any] = {word: st.lists(conditions, min_size=1, max_size=2) for word in PRIORITIES}
priority_rules["else"] = priority_words
some_names = st.lists(st.sampled_from(["a", "b", "a.b", "c"]), min_size=1, max_size=2)
copies = st.one_of(
    objects({"from": tree_paths}, {"prefix": st.sampled_from(["", "p."]), "only": some_names}),
    objects({"from": tree_paths}, {"except": some_names}),
)


def sources(topic: str, form: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Build sources that the schema accepts; the loader may know better."""
    visitor = objects({}, dict.fromkeys(IDENTIFIERS, found_values)).filter(bool)
    rest: dict[str, Any] = {
        "key": st.sampled_from([key.value for key in KeyForm]),
        "when": st.lists(conditions, min_size=1, max_size=2),
        "priority": priority_words | objects({}, priority_rules).filter(bool),
        "each": tree_paths,
        "occurredAt": found_values,
        "copy": st.lists(copies, min_size=1, max_size=2),
    }
    attributes = st.dictionaries(st.sampled_from(["a", "b", "a.b", "t"]), values, min_size=1, max_size=4)
    return objects({"topics": st.just([topic]), "format": form, "visitor": visitor, "attributes": attributes}, rest)


def with_key(drawn: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Let sources read the key, so that the loader has little against them."""
    return drawn.map(lambda source: {**source, "key": "format"})


mappings = st.builds(
    lambda one, two: {"version": 1, "sources": [one, two]},
    st.sampled_from([form.value for form in Format]).flatmap(
        lambda form: sources("one", st.just(form)) | with_key(sources("one", st.just(form)))
    ),
    with_key(sources("two", st.just("protobuf"))),
)
junk: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, 0, 1, 1.0, 2.0, "", "a", "a\n", "a..b", ".a", "a.", "$a", "a[", "a[x]", "a b", "[0]", "['a b']"]
    ),
    st.sampled_from(
        ["$value", "$item", "$key", "$topic.a", "$headers", "$headers.a.b", "$headers['x y']", "a[b=]", "a[b=c]"]
    ),
    st.sampled_from(
        ["{a}", "{{a}}", "{a", "a}", "epoch-ms", "decimal", "..", "x" * 250, "a" + ".a" * 31, "a" + ".a" * 32]
    ),
    st.sampled_from(
        ["$value" + ".a" * 31, "$value" + ".a" * 32, {"decimal": 101}, {"join": "", "decimal": 1}, {"path": "a"}]
    ),
    st.sampled_from(
        [[], {}, ["a"], ["one"], ["a", "a"], [1], {"a": "b"}, {"": "a"}, {"path": []}, {"constant": None}, [None]]
    ),
    st.text(alphabet="ab.[]{}='\"^$ \n0-", max_size=8),
    values,
    conditions,
).map(copy.deepcopy)
FIELDS = [
    "path",
    "default",
    "values",
    "as",
    "template",
    "constant",
    "equals",
    "exists",
    "only",
    "except",
    "from",
    "copy",
]
field_names = st.sampled_from([*FIELDS, "key", "when", "each", "zeroValues", "topics", "pcId", "version", "x", ""])


def containers(tree: Any) -> list[Any]:
    """Return every object and list of a tree, outermost first."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return [] if inner is None else [tree, *(one for item in inner for one in containers(item))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Take a good mapping and break it in up to three places."""
    tree = copy.deepcopy(draw(mappings))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(containers(tree)))
        key: Any = draw(field_names)
        if isinstance(place, list) or (place and draw(st.booleans())):
            if not place:
                place.append(draw(junk))
                continue
            key = draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
            if draw(st.booleans()):
                del place[key]
                continue
        place[key] = draw(junk)
    return tree


def mistakes(tree: Any) -> list[str] | None:
    """Return what the loader finds wrong in a mapping."""
    try:
        load(json.dumps(tree))
    except BadMapping as bad:
        return [mistake.text for mistake in bad.mistakes]
    return []


@suite
@given(mutated())
def test_schema_and_loader_give_one_verdict(tree: Any) -> None:
    """No mapping passes an editor's check by the schema and is then refused, but for what no schema can say."""
    found = mistakes(tree)
    assert found is not None
    accepted = VALIDATOR.is_valid(tree)
    event("good" if accepted else "bad")
    if accepted:
        assert all(any(words in text for words in BEYOND_THE_SCHEMA) for text in found), found
    else:
        assert found, [error.message for error in VALIDATOR.iter_errors(tree)]


@suite
@given(st.one_of(item_paths, value_paths))
def test_a_path_reads_back_as_it_is_written(path: Path) -> None:
    """What a refusal names can be pasted into a mapping."""
    assume(path != Path(Root.ITEM))
    assert parse_path(str(path)) == path


numbers = st.sampled_from(["0", "-0", "-0.0", "10.50", "1e400", "-7", "12345678901234567890123", "9" * 4_301])
leaves = st.one_of(
    st.sampled_from(["x", "0", "true", "a b", "", "-0,", "2026-11-22T10:15:00Z", "id", "é"]).map(json.dumps),
    numbers,
    st.sampled_from(["true", "false", "null"]),
)


def containers_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write lists and objects; a name may come twice."""
    members = st.tuples(names, inner).map(lambda pair: f"{json.dumps(pair[0])}: {pair[1]}")
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(members, max_size=5).map(lambda items: "{" + ",".join(items) + "}"),
        st.lists(members, max_size=5).map(lambda items: "{" + ",".join(items) + "}"),
    )


documents = st.recursive(leaves, containers_of, max_leaves=20)


def outcome(mapped: Any, *record: Any) -> str:
    """Return what became of a record, refusals by their words."""
    try:
        return repr(mapped(*record))
    except Refused as refused:
        return str(refused)


@suite
@given(with_key(sources("one", st.sampled_from(["json", "debezium"]))), documents, st.sampled_from(Nulls), st.data())
def test_generated_types_and_the_plain_walk_find_the_same(
    tree: dict[str, Any], text: str, nulls: Nulls, data: st.DataObject
) -> None:
    """Whatever the mapping and the record, reading only what is used changes nothing: not a digit, not a refusal."""
    try:
        (source,) = load(json.dumps({"version": 1, "sources": [tree]})).sources
    except BadMapping:
        reject()
    compiled = compile_source(source, nulls, data.draw(st.sampled_from(Unmapped)))
    value = text.encode()
    if data.draw(st.integers(0, 3)) == 0:
        damaged = bytearray(value)
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place : place + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([b"", b"\xff", b"{", b"0", b","])
        )
        value = bytes(damaged)
    rest = (plain(b'{"a": 0}'), {"type": "x"}, "one", 1_795_342_500_123)
    fast = outcome(JsonMapper(compiled, plain), value, *rest)
    slow = outcome(lambda value: compiled(plain(value), *rest), value)
    event("refused" if " must " in slow else "mapped")
    assert fast == slow


@suite
@given(mappings, st.randoms(use_true_random=False))
def test_the_digest_knows_meaning_from_spelling(tree: dict[str, Any], random: Any) -> None:
    """Another order of fields and of sources is the same mapping; another topic is not."""
    assume(not mistakes(tree))
    shuffled = json.loads(json.dumps(tree))
    for place in containers(shuffled):
        if isinstance(place, dict):
            members = list(place.items())
            random.shuffle(members)
            place.clear()
            place.update(members)
    shuffled["sources"].reverse()
    assert rules(load(json.dumps(shuffled, indent=1))) == rules(load(json.dumps(tree)))
    shuffled["sources"][0]["topics"] = ["three"]
    assert rules(load(json.dumps(shuffled))) != rules(load(json.dumps(tree)))
