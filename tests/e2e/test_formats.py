"""Other people's events through the service, from real producers by a real Schema Registry, also while that is away.

One broker, one registry and one process for all of it: the tests of this file follow one another.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from tests.support.kafka.client import Kafka
from tests.support.oracle import event
from tests.support.process import Connector, Sandbox, environment
from tests.support.registry.apicurio import Registry
from tests.support.registry.front import Front
from tests.support.worked_examples import EXAMPLES, Example

GROUP = "formats"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SOURCES: list[dict[str, Any]] = [yaml.safe_load(example.mapping)["sources"][0] for example in EXAMPLES]
MAPPING = {"version": 1, "sources": SOURCES}
"""The mapping of all examples, as one."""
BY_REGISTRY = ("avro", "protobuf")
PLAIN = "formats-plain"
"""A topic that no source names: its events are version 1."""
OUTAGE_SECONDS = 120.0
"""The registry is asked again after half a minute at most."""

Serialize = Callable[[dict[str, Any]], bytes | None]


class World(NamedTuple):
    """Everything that runs."""

    kafka: Kafka
    sandbox: Sandbox
    connector: Connector
    front: Front
    client: SchemaRegistryClient
    token_file: Path
    on_loop: Callable[[Any], Any]
    """Runs what the server in front of the registry has to do."""

    def produce(self, topic: str, value: bytes | None, codec: str = "none", partition: int = 0) -> None:
        """As a producer with this codec."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "compression.type": codec})
        producer.produce(topic, value, partition=partition)
        assert producer.flush(60) == 0

    def profile(self, visitor: str) -> dict[str, str] | None:
        """What the endpoint holds of it."""
        return self.sandbox.profiles().get(f"mbox3rdPartyId:{visitor}")

    def committed(self, topic: str) -> dict[int, int]:
        """By partition."""
        return {number: where.offset for number, where in self.kafka.committed(GROUP, topic).items()}

    def waits(self) -> float:
        """The metric."""
        return self.connector.metrics()["target_connector_schema_waits"]


@contextmanager
def in_a_thread() -> Iterator[Callable[[Any], Any]]:
    """An event loop beside the test; what it gives runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def world(kafka: Kafka, apicurio: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All of it, with a registry that cannot be reached yet and wants the token `one`."""
    folder = tmp_path_factory.mktemp("formats")
    for topic in topics():
        kafka.create_topic(topic, 2)
    mapping, token_file = folder / "mapping.yaml", folder / "token"
    mapping.write_text(json.dumps(MAPPING))
    token_file.write_text("one")
    front = Front(apicurio.url, accept={"Bearer one"})
    with (
        in_a_thread() as on_loop,
        SchemaRegistryClient({"url": apicurio.url, "timeout": 60}) as client,
        Sandbox(folder) as sandbox,
    ):
        on_loop(front.start())
        on_loop(front.stop())  # It keeps its port.
        settings = environment(
            kafka.bootstrap,
            ",".join(topics()),
            sandbox.url,
            KAFKA_GROUP_ID=GROUP,
            EVENT_MAPPING_FILE=str(mapping),
            SCHEMA_REGISTRY_URL=front.url,
            SCHEMA_REGISTRY_TOKEN_FILE=str(token_file),
            SCHEMA_REGISTRY_TIMEOUT_SECONDS=5,
        )
        with Connector(folder, settings) as connector:
            yield World(kafka, sandbox, connector, front, client, token_file, on_loop)
            assert connector.stop() == 0
        on_loop(front.stop())


def topics() -> list[str]:
    """All that are read."""
    return [*(source["topics"][0] for source in SOURCES), PLAIN]


def avro(client: SchemaRegistryClient, topic: str, schema: str) -> Serialize:
    """As Confluent's serializer writes it. It takes moments where the document has their text."""
    moments = [field["name"] for field in json.loads(schema)["fields"] if "logicalType" in str(field["type"])]
    write = AvroSerializer(client, schema)

    def serialize(document: dict[str, Any]) -> bytes | None:
        document = document | {name: datetime.fromisoformat(document[name]) for name in moments}
        written: bytes | None = write(document, SerializationContext(topic, MessageField.VALUE))
        return written

    return serialize


def protobuf(client: SchemaRegistryClient, topic: str, schema: str, folder: Path) -> Serialize:
    """As Confluent's serializer writes it, by a class that is made as a producer's would be."""
    (folder / "example.proto").write_text(schema)
    files = folder / "example.binpb"
    protoc = Path(sys.executable).with_name("protoc")
    command: list[str | Path] = [
        protoc,
        f"-I{folder}",
        "--include_imports",
        f"--descriptor_set_out={files}",
        "example.proto",
    ]
    subprocess.run(command, check=True)
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(files.read_bytes()).file:
        pool.Add(file)
    (message,) = pool.FindFileByName("example.proto").message_types_by_name.values()
    made = GetMessageClass(message)
    write = ProtobufSerializer(made, client)
    return lambda document: write(ParseDict(document, made()), SerializationContext(topic, MessageField.VALUE))


def plain(document: dict[str, Any]) -> bytes:
    """As any producer of JSON."""
    return json.dumps(document).encode()


def serializer(world: World, example: Example, source: Mapping[str, Any], folder: Path) -> Serialize:
    """What a producer of this example writes with."""
    if source["format"] == "avro":
        return avro(world.client, source["topics"][0], example.schema)
    if source["format"] == "protobuf":
        return protobuf(world.client, source["topics"][0], example.schema, folder)
    return plain


def test_every_worked_example_arrives_also_when_the_registry_is_down_at_the_start(world: World, tmp_path: Path) -> None:
    """1 and 16 of the pitfalls, and the page's promise: each example from its own blocks, in every compression.

    Wrong designs: to wait for the registry before reading anything, or to bury what cannot be read yet.
    """
    expected: dict[str, dict[str, str]] = {}
    by_registry = set()
    for number, (example, source) in enumerate(zip(EXAMPLES, SOURCES, strict=True)):
        write = serializer(world, example, source, tmp_path)
        for codec in CODECS:
            visitor = f"C-{number}-{codec}"
            document = json.loads(example.document.replace("C-1001", visitor))
            world.produce(source["topics"][0], write(document), codec)
            expected[visitor] = json.loads(example.change)["profile"]
            by_registry |= {visitor} if source["format"] in BY_REGISTRY else set()
    world.produce(PLAIN, event("plain", tier="x").value)
    expected["plain"] = {"tier": "x"}
    at_once = {visitor: profile for visitor, profile in expected.items() if visitor not in by_registry}
    found = partial(_found, world, expected)
    world.connector.until(lambda: found() == at_once, "all that needs no registry is delivered")
    world.connector.until(lambda: world.waits() == len(BY_REGISTRY), "the others wait")
    world.connector.until(lambda: world.connector.said("schema_missing"), "the log says so")
    for source in SOURCES:
        if source["format"] in BY_REGISTRY:
            assert not any(world.committed(source["topics"][0]).values())
    world.on_loop(world.front.start())
    world.connector.until(lambda: found() == expected, "all is delivered", OUTAGE_SECONDS)
    assert world.waits() == 0
    assert dead_letters(world) == 0


def _found(world: World, expected: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    profiles = world.sandbox.profiles()
    named = {visitor: profiles.get(f"mbox3rdPartyId:{visitor}") for visitor in expected}
    return {visitor: profile for visitor, profile in named.items() if profile is not None}


def dead_letters(world: World) -> float:
    """All since the start."""
    return world.connector.metrics()['target_connector_events_done_total{outcome="dead_lettered"}']


def test_a_new_schema_that_is_refused_holds_its_partition_and_no_other(world: World) -> None:
    """1 and 3 of the pitfalls: a 401 in the middle of a topic, ended by a new token in the file, without a restart.

    Wrong designs: the offset moves past what was not read; or the records behind it, whose schema is known, go first.
    """
    example, source = next(pair for pair in zip(EXAMPLES, SOURCES, strict=True) if pair[1]["format"] == "avro")
    topic = source["topics"][0]
    schema = json.loads(example.schema)
    document = json.loads(example.document)
    world.front.accept = {"Bearer two"}
    write = avro(world.client, topic, example.schema)
    more = {**schema, "fields": [*schema["fields"], {"name": "SEGMENT", "type": "string", "default": ""}]}
    write_more = avro(world.client, topic, json.dumps(more))
    before = world.kafka.end_offsets(topic)
    world.produce(topic, write_more({**document, "CUST_NO": "held", "TIER": "older", "SEGMENT": "a"}))
    world.produce(topic, write({**document, "CUST_NO": "held", "TIER": "newest"}))
    world.produce(topic, write({**document, "CUST_NO": "other"}), partition=1)
    world.connector.until(lambda: world.profile("other"), "the other partition goes on")
    world.connector.until(lambda: world.committed(topic).get(1) == before[1] + 1, "and is committed")

    def refused() -> list[dict[str, Any]]:
        said = world.connector.said("schema_missing")
        return [line for line in said if "HTTP 401" in line["reason"]]

    world.connector.until(refused, "the log says that the login is refused")
    assert (refused()[0]["topic"], refused()[0]["partition"], refused()[0]["offset"]) == (topic, 0, before[0])
    assert world.waits() == 1
    (wait,) = world.connector.status()["schema_waits"]
    assert (wait["topic"], wait["partition"], wait["offset"]) == (topic, 0, before[0])
    assert wait["schema"] == refused()[0]["schema"]
    assert "401" in wait["reason"]
    assert world.committed(topic)[0] == before[0]
    assert world.profile("held") is None
    assert dead_letters(world) == 0
    world.token_file.write_text("two")
    world.connector.until(
        lambda: (world.profile("held") or {}).get("crm.TIER") == "newest", "both are delivered", OUTAGE_SECONDS
    )
    assert world.profile("held") == {"crm.TIER": "newest", "crm.CITY": "Basel", "crm.POINTS": "1200",
                                     "crm.OPT_IN": "true", "crm.SEGMENT": "a"}  # fmt: skip
    world.connector.until(lambda: world.committed(topic)[0] == before[0] + 2, "and committed")
    assert world.waits() == 0
    assert world.connector.status()["schema_waits"] == []
    assert world.connector.said("schema_arrived")[-1]["offset"] == before[0]
    log = world.connector.stdout
    assert "Bearer" not in log
    assert "newest" not in log
