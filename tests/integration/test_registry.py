"""The client and the store before a real registry, with what real producers register; and the fake held to it."""

import asyncio
import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.timestamp_pb2 import Timestamp

from connector.formats.schema import Schema, SchemaId, SchemaKind, SchemaMissing
from connector.registry.answers import Fetched, Reference
from connector.registry.client import RegistryClient
from connector.registry.config import RegistryConfig, parse_addresses
from connector.registry.failures import Failure, NotFound, WrongUrl
from connector.registry.references import load
from connector.registry.store import SchemaStore
from tests.support.registry.apicurio import Registry
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.front import Front, status

AVRO_FOOT = '{"type":"record","name":"Money","namespace":"acme","fields":[{"name":"amount","type":"long"}]}'


def avro(name: str, *uses: str) -> str:
    """A record of records."""
    fields = [{"name": use.lower(), "type": f"acme.{use}"} for use in uses]
    return json.dumps({"type": "record", "name": name, "namespace": "acme", "fields": fields})


def proto(name: str, *uses: str) -> str:
    """A message of messages."""
    imports = "".join(f'import "{use}.proto";' for use in uses)
    fields = "".join(f"{use} f{number} = {number};" for number, use in enumerate(uses, 1))
    return f'syntax = "proto3";{imports} message {name} {{ {fields} int32 own = 9; }}'


def json_schema(name: str, *uses: str) -> str:
    """An object of objects."""
    properties = {use: {"$ref": f"{use}.json"} for use in uses}
    return json.dumps({"$id": f"{name}.json", "type": "object", "properties": properties})


TEXTS: dict[SchemaKind, tuple[Callable[..., str], str]] = {
    SchemaKind.AVRO: (avro, "acme.{}"),
    SchemaKind.PROTOBUF: (proto, "{}.proto"),
    SchemaKind.JSON: (json_schema, "{}.json"),
}
"""For each kind how a text is written, and by what name it is referred to."""


@pytest.fixture(scope="module")
def confluent(apicurio: Registry) -> Iterator[SchemaRegistryClient]:
    """The client that producers register with; by itself it would wait for ever."""
    with SchemaRegistryClient({"url": apicurio.url, "timeout": 60}) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    """What subjects of this test alone begin with."""
    return f"s{uuid.uuid4().hex[:8]}"


def config(url: str) -> RegistryConfig:
    """For a registry on a machine that may be busy."""
    return RegistryConfig(parse_addresses(url), "test", timeout_seconds=60.0)


def loaded(url: str, *numbers: int) -> list[Schema | Failure]:
    """What comes of schemas by their numbers."""

    async def main() -> list[Schema | Failure]:
        async with RegistryClient(config(url)) as client:
            return [await load(client, SchemaId(number)) for number in numbers]

    return asyncio.run(main())


def number_in(record: bytes | None) -> int:
    """The schema's number in a record, behind the magic byte."""
    assert record is not None
    assert record[0] == 0
    return int.from_bytes(record[1:5])


@pytest.mark.parametrize("kind", list(SchemaKind))
def test_references_two_levels_deep_and_a_diamond_of_a_real_registry(
    confluent: SchemaRegistryClient, apicurio: Registry, prefix: str, kind: SchemaKind
) -> None:
    """8. Each text comes as it was registered, and before what refers to it."""
    write, name = TEXTS[kind]
    texts = {"Foot": write("Foot"), "Left": write("Left", "Foot"), "Right": write("Right", "Foot")}
    texts["Top"] = write("Top", "Left", "Right")
    uses = {"Foot": (), "Left": ("Foot",), "Right": ("Foot",), "Top": ("Left", "Right")}
    numbers = {}
    for each, text in texts.items():
        references = [SchemaReference(name.format(use), f"{prefix}-{use}", 1) for use in uses[each]]
        numbers[each] = confluent.register_schema(f"{prefix}-{each}", Registered(text, str(kind), references))
    (schema,) = loaded(apicurio.url, numbers["Top"])
    assert isinstance(schema, Schema)
    assert schema.kind is kind
    assert [each.name for each in schema.dependencies] == [name.format(each) for each in ("Foot", "Left", "Right")]
    if kind is not SchemaKind.PROTOBUF:
        given = [json.loads(text) for text in (*(each.text for each in schema.dependencies), schema.text)]
        assert given == [json.loads(text) for text in texts.values()]


def test_what_real_producers_register_is_found_by_the_number_in_their_records(
    confluent: SchemaRegistryClient, apicurio: Registry, prefix: str
) -> None:
    """Confluent's own serializers; of Protobuf they register a descriptor, in base64."""

    def context(topic: str) -> SerializationContext:
        return SerializationContext(f"{prefix}-{topic}", MessageField.VALUE)

    in_json = {"title": "Event", "type": "object", "properties": {"amount": {"type": "integer"}}}
    records = [
        AvroSerializer(confluent, AVRO_FOOT)({"amount": 1}, context("a")),
        ProtobufSerializer(Timestamp, confluent)(Timestamp(seconds=1), context("p")),
        JSONSerializer(json.dumps(in_json), confluent)({"amount": 1}, context("j")),
    ]
    schemas = loaded(apicurio.url, *map(number_in, records))
    assert [schema.kind for schema in schemas if isinstance(schema, Schema)] == list(SchemaKind)
    in_avro, in_protobuf, json_text = (schema.text for schema in schemas if isinstance(schema, Schema))
    assert json.loads(in_avro)["name"] == "Money"
    descriptor = FileDescriptorProto.FromString(base64.b64decode(in_protobuf, validate=True))
    assert [message.name for message in descriptor.message_type] == ["Timestamp"]
    assert json.loads(json_text) == in_json


def test_an_id_whose_subject_was_deleted_still_is_read(
    confluent: SchemaRegistryClient, apicurio: Registry, prefix: str
) -> None:
    """7. And so is what it refers to."""
    confluent.register_schema(f"{prefix}-money", Registered(AVRO_FOOT, "AVRO"))
    reference = SchemaReference("acme.Money", f"{prefix}-money", 1)
    number = confluent.register_schema(f"{prefix}-top", Registered(avro("Top", "Money"), "AVRO", [reference]))
    confluent.delete_subject(f"{prefix}-top")
    (schema,) = loaded(apicurio.url, number)
    assert isinstance(schema, Schema)
    assert [each.name for each in schema.dependencies] == ["acme.Money"]


def test_the_fake_answers_as_the_real_registry(
    confluent: SchemaRegistryClient, apicurio: Registry, prefix: str
) -> None:
    """What the contract tests show of the client before the fake holds before this one."""
    money, order = f"{prefix}-money", f"{prefix}/order"
    first = confluent.register_schema(money, Registered(AVRO_FOOT, "AVRO"))
    reference = Reference("acme.Money", money, 1)
    text = avro("Order", "Money")
    second = confluent.register_schema(order, Registered(text, "AVRO", [SchemaReference("acme.Money", money, 1)]))
    fake = FakeRegistry()
    numbers = {first: fake.register(money, AVRO_FOOT), second: fake.register(order, text, references=[reference])}

    async def answers(client: RegistryClient, number: Callable[[int], int]) -> list[Any]:
        asked = [
            await client.schema(SchemaId(number(first))),
            await client.schema(SchemaId(number(second))),
            await client.version(money, 1),
            await client.version(order, "latest"),
            await client.schema(SchemaId(987_654)),
            await client.version(money, 7),
            await client.version(f"{prefix}-none", "latest"),
            await client.version(f"{prefix}-none", 1),
        ]
        return [
            (json.loads(each.text), each.kind, each.references) if isinstance(each, Fetched) else type(each)
            for each in asked
        ]

    async def main() -> None:
        async with Front(fake) as front:
            async with RegistryClient(config(front.url)) as client:
                of_fake = await answers(client, numbers.__getitem__)
            async with RegistryClient(config(apicurio.url)) as client:
                assert await answers(client, lambda number: number) == of_fake
                # It has no GUIDs, and that is no word on the schema: the record waits.
                assert isinstance(await client.schema(SchemaId(str(uuid.uuid4()))), WrongUrl)
            # And a wrong path of a real one says nothing about a schema either.
            async with RegistryClient(config(apicurio.url.removesuffix("/v7"))) as client:
                assert isinstance(await client.schema(SchemaId(first)), WrongUrl)
        assert of_fake.count(NotFound) == 4

    asyncio.run(main())


def test_an_outage_of_a_real_registry_ends_by_itself(
    confluent: SchemaRegistryClient, apicurio: Registry, prefix: str
) -> None:
    """1. Through a server in front of it, so that the registry itself need not be started again."""
    number = SchemaId(confluent.register_schema(f"{prefix}-value", Registered(AVRO_FOOT, "AVRO")))

    async def main() -> None:
        woken = asyncio.Event()
        troubles = [status(503, Retry_After="0"), status(502)]
        async with Front(apicurio.url, troubles=troubles) as front, RegistryClient(config(front.url)) as client:
            store = SchemaStore(
                lambda schema_id: load(client, schema_id),
                max_schemas=10,
                clock=time.monotonic,
                rng=random.Random(1),
            )
            store.listen(woken.set)
            with pytest.raises(SchemaMissing):
                store.get(number)
            async with asyncio.timeout(60.0):
                while store.waiting:
                    woken.clear()
                    await woken.wait()
            assert json.loads(store.get(number).text) == json.loads(AVRO_FOOT)
            assert len(front.requests) == 3
            await store.close()

    asyncio.run(main())
