"""No path that a record can have is called impossible: a check that cries wolf is switched off."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.events.change import Refused
from connector.formats import Format, Node, shape_of
from connector.mapping import KeyForm, Source, impossible
from connector.mapping.model import Value
from connector.mapping.paths import Path, Root, Step
from tests.support.formats import avro_schema, framed, read, written

NAMES = ["a", "b", "c"]
LEAVES: list[tuple[Any, Any]] = [("string", "x"), ("long", 7), ("boolean", True), ("double", 0.5), ("null", None)]


def grow(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Types of types, each with a value of it; no list or map of items without a byte, which no reader takes."""
    solid = inner.filter(lambda pair: not _takes_no_byte(pair[0]))
    lists = solid.map(lambda pair: ({"type": "array", "items": pair[0]}, [pair[1]]))
    maps = solid.map(lambda pair: ({"type": "map", "values": pair[0]}, {"k": pair[1]}))
    single = inner.filter(lambda pair: pair[0] != "null" and type(pair[0]) is not list)
    unions = single.map(lambda pair: (["null", pair[0]], pair[1]))
    records = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1).map(_record)
    return st.one_of(lists, maps, unions, records)


def _takes_no_byte(schema: Any) -> bool:
    """Whether each value of it is written as nothing: null, and a record of nothing else."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return all(_takes_no_byte(field["type"]) for field in schema["fields"])
    return bool(schema == "null")


def _record(fields: dict[str, tuple[Any, Any]]) -> tuple[Any, Any]:
    kinds = [{"name": name, "type": pair[0]} for name, pair in fields.items()]
    return {"type": "record", "fields": kinds}, {name: pair[1] for name, pair in fields.items()}


def named(schema: Any, count: Iterator[int]) -> Any:
    """Give each record a name of its own, and some a namespace."""
    if isinstance(schema, list):
        return [named(one, count) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: named(one, count) if key in ("items", "values") else one for key, one in schema.items()}
    if "fields" in schema:
        number = next(count)
        made |= {"name": f"R{number}"} | ({"namespace": f"n{number}"} if number % 2 else {})
        made["fields"] = [{**field, "type": named(field["type"], count)} for field in schema["fields"]]
    return made


def paths(node: Node) -> Iterator[tuple[Step, ...]]:
    """Every path of a document."""
    yield ()
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from ((name, *rest) for rest in paths(inner))
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from ((place, *rest) for rest in paths(inner))


types = st.recursive(st.sampled_from(LEAVES), grow, max_leaves=8)


A_LIST_OF_NOTHING = ({"type": "array", "items": _record({"a": ("null", None)})[0]}, [{"a": None}])


@given(types)
@example(A_LIST_OF_NOTHING)
@example(({"type": "array", "items": "null"}, [None]))
def test_a_schema_is_refused_where_items_of_a_list_take_no_byte_and_nowhere_else(pair: tuple[Any, Any]) -> None:
    """It catches a generator of types that draws what no reader takes, which fails the tests below once in a while."""
    schema = named(_record({"a": pair})[0], iter(range(1_000)))
    registered = avro_schema(schema)
    if pair[1] in ([None], A_LIST_OF_NOTHING[1]):
        with pytest.raises(Refused, match="items that take no byte"):
            read(Format.AVRO, framed(written(schema, {"a": pair[1]})), registered)
    else:
        assert read(Format.AVRO, framed(written(schema, {"a": pair[1]})), registered) is not None


@given(st.dictionaries(st.sampled_from(NAMES), types, min_size=1).map(_record))
def test_every_path_of_a_record_is_possible_by_its_schema(pair: tuple[Any, Any]) -> None:
    """And beside each of its objects a name that the schema does not have is not.

    It catches a shape that loses a branch of a union, a name of a namespace, or the inside of a list or a map.
    """
    schema = named(pair[0], iter(range(1_000)))
    registered = avro_schema(schema)
    document = read(Format.AVRO, framed(written(schema, pair[1])), registered)
    shape = shape_of(registered)
    assert shape is not None
    there = [Path(Root.ITEM, steps) for steps in paths(document) if steps]
    attributes = {str(number): Value((path,)) for number, path in enumerate(there)}
    wrong = Path(Root.ITEM, ("zzz",))
    source = Source(("t",), Format.AVRO, {"pcId": Value((wrong,))}, KeyForm.NONE, attributes=attributes)
    assert [one.field for one in impossible(source, shape)] == ["visitor.pcId"]
