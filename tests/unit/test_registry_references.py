"""What a schema refers to: fetched once each, in order, and never more than a stranger may ask for."""

import asyncio
from collections.abc import Iterable

import pytest

from connector.formats.schema import Dependency, Schema, SchemaId, SchemaKind
from connector.registry.answers import MAX_REFERENCES, Reference
from connector.registry.failures import Failure, NotFound, Unusable
from connector.registry.references import load, load_latest, unfit_name
from tests.support.registry.fake import FakeRegistry

KINDS = tuple(SchemaKind)


def loaded(registry: FakeRegistry, number: int) -> Schema | Failure:
    """What comes of the schema of this number."""
    return asyncio.run(load(registry, SchemaId(number)))


def refers(*names: str) -> Iterable[Reference]:
    """References to the first versions of subjects, by their own names."""
    return [Reference(name, name, 1) for name in names]


@pytest.mark.parametrize("kind", KINDS)
def test_references_two_levels_deep_and_a_diamond(kind: SchemaKind) -> None:
    """8. Each comes once, and before what refers to it; a diamond's foot is fetched once."""
    registry = FakeRegistry()
    registry.register("foot", "foot text", kind)
    registry.register("left", "left text", kind, refers("foot"))
    registry.register("right", "right text", kind, refers("foot"))
    top = registry.register("top", "top text", kind, refers("left", "right"))
    assert loaded(registry, top) == Schema(
        SchemaId(top),
        kind,
        "top text",
        (Dependency("foot", "foot text"), Dependency("left", "left text"), Dependency("right", "right text")),
    )
    assert registry.asked == [f"schema {top}", "left/1", "foot/1", "right/1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cycle_of_references_is_a_refusal(kind: SchemaKind) -> None:
    """8. Followed, it would have no end."""
    registry = FakeRegistry()
    registry.register("a", "a", kind, refers("b"))
    registry.register("b", "b", kind, refers("c"))
    registry.register("c", "c", kind, refers("a"))
    top = registry.register("top", "top", kind, refers("a"))
    assert loaded(registry, top) == Unusable("it refers to itself, directly or by others")
    assert len(registry.asked) == 4


def test_more_than_100_references_are_a_refusal() -> None:
    """8. A hundred are read, wide or deep; one more is not."""
    for count, wide in ((MAX_REFERENCES, True), (MAX_REFERENCES, False), (MAX_REFERENCES + 1, True), (101, False)):
        registry = FakeRegistry()
        for number in range(count):
            registry.register(
                f"s{number}", "text", references=refers() if wide or not number else refers(f"s{number - 1}")
            )
        names = [f"s{number}" for number in range(count)] if wide else [f"s{count - 1}"]
        given = loaded(registry, registry.register("top", "top", references=refers(*names)))
        if count > MAX_REFERENCES:
            assert given == Unusable("it refers to more than 100 schemas")
        else:
            assert isinstance(given, Schema)
            assert len(given.dependencies) == count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["../../x", "/x", "a/../../x", "..", "\\\\host\\x", "..\\x", "C:/x", "", "a\nb", "a\0b", "x" * 501]
)
def test_a_reference_by_a_name_that_leaves_its_folder_is_refused(name: str, kind: SchemaKind) -> None:
    """9. The name may become a file's; it is refused before anything is fetched or written, and not repeated."""
    registry = FakeRegistry()
    registry.register("subject", "text", kind)
    top = registry.register("top", "top", kind, [Reference(name, "subject", 1)])
    given = loaded(registry, top)
    assert isinstance(given, Unusable)
    assert "a name that cannot be used" in given.reason
    assert registry.asked == [f"schema {top}"]


@pytest.mark.parametrize(
    "name", ["com.acme.Customer", "acme/common/money.proto", "https://acme.com/schemas/money.json", "a..b", "money"]
)
def test_an_ordinary_name_is_used(name: str) -> None:
    """Avro's full names, Protobuf's paths and JSON Schema's addresses."""
    assert unfit_name(name) == ""


def test_two_schemas_by_one_name_are_a_refusal() -> None:
    """One of them would be read by the other's text."""
    registry = FakeRegistry()
    registry.register("money", "1")
    registry.register("money", "2")
    registry.register("order", "order", references=[Reference("Money", "money", 2)])
    top = registry.register("top", "top", references=[Reference("Money", "money", 1), Reference("Order", "order", 1)])
    assert loaded(registry, top) == Unusable("it refers to two schemas by one name")


def test_a_reference_of_another_type_is_a_refusal() -> None:
    """No compiler takes it."""
    registry = FakeRegistry()
    registry.register("money", "{}", SchemaKind.JSON)
    top = registry.register("top", "top", SchemaKind.AVRO, refers("money"))
    assert loaded(registry, top) == Unusable("it is AVRO and refers to a schema that is JSON")


def test_a_reference_that_is_not_there_yet_is_asked_for_again_as_the_schema_is() -> None:
    """A follower may have the one and not yet the other."""
    registry = FakeRegistry()
    top = registry.register("top", "top", references=refers("money"))
    assert isinstance(loaded(registry, top), NotFound)


def test_a_hundred_schemas_of_ten_megabytes_are_not_kept_in_memory() -> None:
    """Each by itself is within the bound of an answer."""
    registry = FakeRegistry()
    for number in range(3):
        registry.register(f"s{number}", "x" * 4_000_000)
    top = registry.register("top", "top", references=refers("s0", "s1", "s2"))
    assert loaded(registry, top) == Unusable("it has more than 10,000,000 characters with all that it refers to")


@pytest.mark.parametrize("number", [-1, 2**31, 2**32 - 1])
def test_a_number_that_is_none_of_a_registry_is_refused_without_asking(number: int) -> None:
    """A registry answers such a number by an error that looks like a wrong address, which would hold the partition."""
    registry = FakeRegistry()
    assert isinstance(loaded(registry, number), Unusable)
    assert registry.asked == []


def test_a_guid_is_asked_for_as_such() -> None:
    """The header names a schema so."""
    registry = FakeRegistry()
    guid = registry.guid(registry.register("top", "top"))
    given = asyncio.run(load(registry, SchemaId(guid)))
    assert given == Schema(SchemaId(guid), SchemaKind.AVRO, "top")


def test_a_subjects_name_without_an_end_is_not_asked_for() -> None:
    """No registry takes such an address, and what it answers would look like a wrong one, which waits."""
    registry = FakeRegistry()
    top = registry.register("top", "top", references=[Reference("money", "x" * 501, 1)])
    assert isinstance(loaded(registry, top), Unusable)
    assert len(registry.asked) == 1


def test_the_latest_schema_of_a_subject_comes_with_its_references() -> None:
    """What a check of a mapping before the first record looks at."""
    registry = FakeRegistry()
    registry.register("money", "money")
    registry.register("topic-value", "old")
    registry.register("topic-value", "new", references=refers("money"))
    given = asyncio.run(load_latest(registry, "topic-value"))
    assert given == Schema(SchemaId(0), SchemaKind.AVRO, "new", (Dependency("money", "money"),))
    assert isinstance(asyncio.run(load_latest(registry, "other-value")), NotFound)
