"""Protobuf schemas as text, compiled by protoc: the only place where reading a format starts a process."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from connector.events import Refused
from connector.formats import Dependency, Format, Schema, SchemaId, SchemaKind
from connector.formats.protobuf import compile_schema
from connector.formats.protobuf.compile import to_base64
from tests.support.formats import framed, protobuf_schema, read
from tests.support.protobuf_files import classes, file, record

PERSON = """
syntax = "proto3";
package t;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Tier { NONE = 0; GOLD = 1; }
message Person {
  string id = 1;
  optional int64 points = 2;
  Tier tier = 3;
  google.protobuf.Timestamp at = 4;
  google.protobuf.StringValue city = 5;
  map<string, double> totals = 6;
  message Home { string city = 1; }
}
"""
CITY = 'syntax = "proto3"; package t; message City { string name = 1; }'
HOME = 'syntax = "proto3"; package t; import "geo/city.proto"; message Home { City city = 1; }'
WORK = 'syntax = "proto3"; package t; import "geo/city.proto"; message Work { City city = 1; }'
BOTH = """
syntax = "proto3";
package t;
import "home.proto";
import "work.proto";
message Both { Home home = 1; Work work = 2; }
"""


def _schema(text: str, *dependencies: tuple[str, str]) -> Schema:
    return Schema(SchemaId(7), SchemaKind.PROTOBUF, text, tuple(Dependency(*each) for each in dependencies))


def _compiled(schema: Schema) -> Schema:
    return Schema(schema.id, schema.kind, schema.text, schema.dependencies, compile_schema(schema))


def _unusable(schema: Schema) -> str:
    with pytest.raises(Refused) as refused:
        compile_schema(schema)
    return refused.value.reason


def test_text_and_base64_of_one_message_decode_alike() -> None:
    """Notes, 30."""
    text = _compiled(_schema(PERSON))
    imports = ("google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto")
    fields = "string id = 1; optional int64 points = 2; Tier tier = 3; google.protobuf.Timestamp at = 4"
    fields += "; google.protobuf.StringValue city = 5; map<string,double> totals = 6"
    binary = protobuf_schema(
        file("x.proto", *imports, enums={"Tier": {"NONE": 0, "GOLD": 1}}, Person=fields, Person__Home="string city = 1")
    )
    message: Any = classes(text)["Person"](id="C-1001", points=0, tier=1, city={"value": ""}, totals={"a": 0.1})
    message.at.FromJsonString("2026-11-22T10:15:00.123Z")
    node = {
        "id": "C-1001",
        "points": 0,
        "tier": "GOLD",
        "at": "2026-11-22T10:15:00.123Z",
        "city": "",
        "totals": {"a": "0.1"},
    }
    assert read(Format.PROTOBUF, record(message), text) == node
    assert read(Format.PROTOBUF, record(message), binary) == node
    for schema in (text, binary):
        for index in (b"\x04\x00\x00", b"\x04\x00\x02"):  # with and without the entry of the map before it
            assert read(Format.PROTOBUF, framed(index + b"\x0a\x05Basel"), schema) == {"city": "Basel"}


@pytest.mark.parametrize("which", range(8))
def test_references_two_deep_and_a_diamond_as_text_as_base64_and_mixed(which: int) -> None:
    """Notes, 8: a registry gives each file as it was registered."""
    built = {
        "geo/city.proto": file("geo/city.proto", City="string name = 1"),
        "home.proto": file("home.proto", "geo/city.proto", Home="City city = 1"),
        "work.proto": file("work.proto", "geo/city.proto", Work="City city = 1"),
    }
    texts = {"geo/city.proto": CITY, "home.proto": HOME, "work.proto": WORK}
    dependencies = [
        (name, to_base64(built[name]) if which >> number & 1 else text)
        for number, (name, text) in enumerate(texts.items())
    ]
    both = file("both.proto", "home.proto", "work.proto", Both="Home home = 1; Work work = 2")
    for main in (BOTH, to_base64(both)):
        schema = _compiled(_schema(main, *dependencies))
        message: Any = classes(schema)["Both"](home={"city": {"name": "Basel"}}, work={"city": {"name": "Bern"}})
        value = {"home": {"city": {"name": "Basel"}}, "work": {"city": {"name": "Bern"}}}
        assert read(Format.PROTOBUF, record(message), schema) == value


def test_a_dependency_may_have_the_name_that_we_give_the_schema() -> None:
    """The schema's own file has no name in a registry."""
    main = 'syntax = "proto3"; package t; import "schema.proto"; message Main { City city = 1; }'
    schema = _compiled(_schema(main, ("schema.proto", CITY)))
    message: Any = classes(schema)["Main"](city={"name": "Basel"})
    assert read(Format.PROTOBUF, record(message), schema) == {"city": {"name": "Basel"}}


def test_well_known_files_are_ours_whatever_a_registry_holds() -> None:
    """A reference of that name is left aside."""
    main = 'syntax = "proto3"; import "google/protobuf/empty.proto"; message M { google.protobuf.Empty e = 1; }'
    schema = _compiled(_schema(main, ("google/protobuf/empty.proto", "nonsense")))
    assert read(Format.PROTOBUF, framed(b"\x00\x0a\x00"), schema) == {"e": {}}


def test_tags_and_decimals_of_confluents_registry() -> None:
    """Its files are imported and in no registry; one that holds them is believed."""
    main = """
    syntax = "proto3";
    import "confluent/meta.proto";
    import "confluent/type/decimal.proto";
    message M {
      string id = 1 [(confluent.field_meta) = { tags: "PII", params: { key: "a", value: "b" } }];
      confluent.type.Decimal balance = 2;
    }
    """
    own = 'syntax = "proto3"; package confluent.type; message Decimal { string text = 1; }'
    data = framed(b"\x00\x0a\x01x\x12\x06\x0a\x02\x04\xce\x18\x02")
    assert read(Format.PROTOBUF, data, _compiled(_schema(main))) == {"id": "x", "balance": "12.30"}
    held = _compiled(_schema(main, ("confluent/type/decimal.proto", own)))
    assert read(Format.PROTOBUF, framed(b"\x00\x12\x03\x0a\x01y"), held) == {"balance": {"text": "y"}}


def test_proto2_with_groups_extensions_and_defaults() -> None:
    """Notes, 30."""
    text = """
    syntax = "proto2";
    message M {
      optional int32 a = 1 [default = 5];
      optional group G = 2 { optional string b = 1; }
      extensions 100 to 199;
    }
    extend M { optional string x = 100; }
    """
    schema = _compiled(_schema(text))
    data = b"\x13\x0a\x01w\x14" + b"\xa2\x06\x01x"
    assert read(Format.PROTOBUF, framed(b"\x00" + data), schema) == {"g": {"b": "w"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("message M {", "schema.proto"),
        ('syntax = "proto3"; import "gone.proto"; message M {}', "gone.proto"),
        ('syntax = "proto3"; import "../../etc/hostname"; message M {}', "hostname"),
        ('syntax = "proto3"; import "/etc/hostname"; message M {}', "/etc/hostname"),
        ('syntax = "proto3"; message M { Gone g = 1; }', '"Gone" is not defined'),
        ("{}", "schema.proto"),
        ("message M { " * 10_000, "schema.proto"),
        ("\udcff", "schema.proto"),
    ],
)
def test_text_that_protoc_does_not_take_is_refused_with_its_complaint(text: str, complaint: str) -> None:
    """Somebody wrote that schema, and needs to be told; the complaint is cut short."""
    reason = _unusable(_schema(text))
    assert reason.startswith("protoc does not take: ")
    assert complaint in reason
    assert len(reason) < 250
    assert "\n" not in reason


def test_a_cycle_of_texts_is_refused() -> None:
    """Notes, 8."""
    a = 'syntax = "proto3"; import "b.proto"; message A {}'
    b = 'syntax = "proto3"; import "a.proto"; message B {}'
    assert "ecursive" in _unusable(_schema(a.replace("A", "M"), ("a.proto", a), ("b.proto", b)))


def test_a_reference_that_leaves_its_folder_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Notes, 9: refused before a folder is made."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inner))
    for name in ("../../x", str(tmp_path / "x"), "a/../../../x"):
        reason = _unusable(_schema("message M {}", (name, "message X {}")))
        assert reason == "refers to a file whose name is no relative path of plain characters"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list(inner.iterdir()) == []


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether protoc takes the text or not."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compile_schema(_schema(PERSON))
    _unusable(_schema("message M {"))
    assert list(tmp_path.iterdir()) == []
