"""Paths that no record can have are found by the schema, before there is a record; and none that one can have."""

from typing import Any

import pytest

from connector.events import Refused
from connector.formats import shape_of
from connector.mapping import Source, Unmatched, impossible, load, without_another
from tests.support.formats import avro_schema, protobuf_schema
from tests.support.protobuf_files import file

CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "namespace": "crm",
    "fields": [
        {"name": "CUST_NO", "type": "string"},
        {"name": "SINCE", "type": ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}]},
        {"name": "SEEN", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "BALANCE", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "ODD", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTime"}},
        {
            "name": "HOME",
            "type": [
                "null",
                {"type": "record", "name": "Address", "fields": [{"name": "CITY", "type": "string"}]},
                {"type": "record", "name": "Box", "namespace": "old", "fields": [{"name": "BOX", "type": "int"}]},
            ],
        },
        {"name": "IDS", "type": {"type": "array", "items": {"type": "map", "values": "Address"}}},
    ],
}


def source(**fields: Any) -> Source:
    """A source of an Avro topic."""
    given = {"topics": ["crm"], "format": "avro", "visitor": {"mbox3rdPartyId": "CUST_NO"}, **fields}
    (loaded,) = load(repr({"version": 1, "sources": [given]}).replace("True", "true")).sources
    return loaded


def said(found: tuple[Unmatched, ...]) -> list[tuple[str, str, str | None]]:
    """Path, field and nearest path of each."""
    return [(one.path, one.field, one.nearest) for one in found]


def test_an_avro_schema_says_which_paths_can_lead_to_nothing() -> None:
    """In unions, lists, searches and maps; with the nearest name where one is near."""
    mapped = source(
        when=[{"path": "$headers.any", "exists": True}, {"path": "HOME.BOX", "exists": True}],
        copy=[{"from": "HOME", "except": ["CITTY"]}],
        attributes={
            "a": "HOME.CITY",
            "b": "IDS[x=1].home.CITY",
            "c": "IDS[0].any.CTY",
            "d": "CUST_NO.x",
            "e": "IDS.any",
            "f": {"path": ["CUSTNO", "CUST_NO"]},
            "g": "$timestamp",
        },
    )
    shape = shape_of(avro_schema(CUSTOMER))
    assert shape is not None
    found = impossible(mapped, shape)
    assert said(found) == [
        ("IDS[0].any.CTY", "attributes.c", "IDS[0].any.CITY"),
        ("CUST_NO.x", "attributes.d", None),
        ("IDS.any", "attributes.e", None),
        ("CUSTNO", "attributes.f", "CUST_NO"),
        ("HOME.CITTY", "copy.except", "HOME.CITY"),
    ]
    # A field that was renamed has two paths, of which one is enough.
    assert "attributes.f" not in [one.field for one in without_another(mapped, found)]
    assert len(without_another(mapped, found)) == 4


def test_paths_of_items_keys_and_data_begin_where_the_mapping_begins_them() -> None:
    """With `each` at the item, of a CloudEvent at the event; of an unknown key nothing is said."""
    shape = shape_of(avro_schema(CUSTOMER))
    assert shape is not None
    each = source(
        each="IDS", key="format", visitor={"mbox3rdPartyId": "$key.id"}, attributes={"a": "x.CITY", "b": "x.CITTY"}
    )
    assert said(impossible(each, shape)) == [("x.CITTY", "attributes.b", "x.CITY")]
    assert said(impossible(each, shape, shape)) == [
        ("$key.id", "visitor.mbox3rdPartyId", "$key.IDS"),
        ("x.CITTY", "attributes.b", "x.CITY"),
    ]
    wrong = source(each="ISD", attributes={"a": "x.CITY"}, visitor={"mbox3rdPartyId": "$value.CUST_NO"})
    assert said(impossible(wrong, shape)) == [("$value.ISD", "each", "$value.IDS")]
    no_list = source(each="HOME", attributes={"a": "CITY"}, visitor={"mbox3rdPartyId": "$value.CUST_NO"})
    assert said(impossible(no_list, shape)) == [("$value.HOME", "each", None)]
    event = source(format="cloudevents", visitor={"mbox3rdPartyId": "subject"}, attributes={"a": "data.SEEM"})
    assert said(impossible(event, shape)) == [("data.SEEM", "attributes.a", "data.SEEN")]


def test_a_schema_is_shown_with_what_a_person_has_to_know_to_map_it() -> None:
    """18. Names of Connect are no logical types: the number stays bare, and `as` reads it."""
    shape = shape_of(avro_schema(CUSTOMER))
    assert shape is not None
    told = {path: f"{at.type}; {at.note}".removesuffix("; ") for path, at in shape.places(100)}
    bare = "null or int; io.debezium.time.Date, which is read as the bare int; a mapping reads it with as: epoch-days"
    assert told["SINCE"] == bare
    assert told["SEEN"] == "long (timestamp-millis)"
    assert told["BALANCE"] == "bytes (decimal, scale 2)"
    assert told["ODD"].endswith("the bare long; a mapping has no conversion for it")
    assert told["HOME"] == "null or record crm.Address or record old.Box"
    assert told["IDS[0].NAME.CITY"] == "string"
    assert list(told)[:3] == ["CUST_NO", "SINCE", "SEEN"]
    assert len(list(shape.places(3))) == 3


def test_a_protobuf_schema_says_so_too() -> None:
    """Types that hold themselves end; of several messages any may be meant."""
    made = file(
        "a.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/wrappers.proto",
        P="string id = 1; P parent = 2; repeated Q qs = 3; map<string,Q> by_name = 4; google.protobuf.Struct free = 5;"
        " google.protobuf.StringValue name = 6",
        Q="int64 points = 1",
    )
    shape = shape_of(protobuf_schema(made))
    assert shape is not None
    mapped = source(
        format="protobuf",
        visitor={"mbox3rdPartyId": "parent.parent.id"},
        attributes={
            "a": "qs[0].points",
            "b": "by_name.any.points",
            "c": "free.a[0].b",
            "d": "name.value",
            "e": "qs[0].point",
            "f": "points",
        },
    )
    assert said(impossible(mapped, shape)) == [
        ("name.value", "attributes.d", None),
        ("qs[0].point", "attributes.e", "qs[0].points"),
    ]
    assert [path for path, _ in shape.places(3)] == ["id", "parent", "parent.id"]


@pytest.mark.parametrize("schema", ["no json", {"type": "array", "items": "null"}])
def test_a_schema_that_no_value_can_be_read_by_is_refused(schema: Any) -> None:
    """With the reason that records would be refused with."""
    with pytest.raises(Refused):
        shape_of(avro_schema(schema))
