"""Commands before a real broker and a real Schema Registry: they read what real producers write, and change nothing."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.support.kafka.client import Kafka
from tests.support.process import Program
from tests.support.registry.apicurio import Registry

CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [
        {"name": "CUST_NO", "type": "string"},
        {"name": "TIER", "type": ["null", "string"], "default": None},
        {"name": "SINCE", "type": {"type": "int", "connect.name": "io.debezium.time.Date"}},
        {"name": "GONE", "type": "boolean"},
    ],
}
COUNT = 30


class World(NamedTuple):
    """A topic of Avro records, of which every third is not for us."""

    topic: str
    settings: dict[str, str]
    record: bytes
    """The last record's value."""


@pytest.fixture(scope="module")
def world(kafka: Kafka, apicurio: Registry) -> World:
    """Written by confluent's own serializer."""
    topic = kafka.unique_topic("customers", 3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    value, began = None, int(time.time() - 60) * 1_000
    with SchemaRegistryClient({"url": apicurio.url, "timeout": 60}) as client:
        write = AvroSerializer(client, json.dumps(CUSTOMER))
        for number in range(COUNT):
            row = {"CUST_NO": f"C-{number}", "TIER": "gold", "SINCE": 18_262, "GONE": number % 3 == 0}
            value = write(row, SerializationContext(topic, MessageField.VALUE))
            producer.produce(topic, value, f"C-{number}", number % 3, timestamp=began + number * 1_000)
    assert producer.flush(60) == 0
    source = {
        "topics": [topic],
        "format": "avro",
        "when": [{"path": "GONE", "equals": False}],
        "visitor": {"mbox3rdPartyId": "CUST_NO"},
        "attributes": {"tier": "TEIR", "since": {"path": "SINCE", "as": "epoch-days"}},
    }
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TOPICS": topic,
        "EVENT_MAPPING": json.dumps({"version": 1, "sources": [source]}),
        "SCHEMA_REGISTRY_URL": apicurio.url,
        "SCHEMA_REGISTRY_TIMEOUT_SECONDS": "60",
    }
    assert value is not None
    return World(topic, settings, value)


def ran(folder: Path, world: World, *words: str, **others: str) -> tuple[int, str]:
    """Code and output of a command."""
    with Program(folder, words, {**world.settings, **others}) as program:
        code = program.wait(120)
        assert program.stderr == ""
        return code, program.stdout


def test_map_reads_the_end_of_a_topic_and_shows_what_the_schema_says(world: World, tmp_path: Path) -> None:
    """18 and 43. The newest records of all partitions; a number that Connect names stays bare, and `as` reads it."""
    code, out = ran(tmp_path, world, "map", "--from-topic", world.topic, "--last", "9", "--format", "json")
    told: dict[str, Any] = json.loads(out)
    assert code == 0
    assert len(told["samples"]) == 9
    items = [item for sample in told["samples"] for item in sample["items"]]
    found = {item["visitor"]["mbox3rdPartyId"]: item["attributes"] for item in items if item["outcome"] == "change"}
    assert set(found) == {f"C-{number}" for number in range(COUNT - 9, COUNT) if number % 3}
    assert all(attributes == {"since": "2020-01-01"} for attributes in found.values())
    assert [item["outcome"] for item in items] == ["skip", "change", "change"] * 3
    assert [(one["path"], one["nearest"]) for one in told["unmatched"]] == [("TEIR", "TIER")]
    (schema,) = told["schemas"]
    notes = {field["path"]: field["note"] for field in schema["fields"]}
    assert notes["SINCE"].endswith("a mapping reads it with as: epoch-days")


def test_map_reads_a_record_from_a_file_byte_for_byte(world: World, tmp_path: Path) -> None:
    """With the schema id in front; without Kafka and without an account. A cut one is refused by the schema's id."""
    (tmp_path / "one.avro").write_bytes(world.record)
    (tmp_path / "cut.avro").write_bytes(world.record[:-1])
    files = [word for name in ("one", "cut") for word in ("--sample", str(tmp_path / f"{name}.avro"))]
    code, out = ran(tmp_path, world, "map", *files, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    number = int.from_bytes(world.record[1:5])
    assert code == 1
    flat = " ".join(out.split())
    assert f"one.avro (schema {number}): change of mbox3rdPartyId C-{COUNT - 1} since 2020-01-01 " in flat
    assert f"cut.avro (schema {number}): refused: $value must be Avro by schema {number}, and ends too early" in flat


def test_check_holds_the_paths_to_the_newest_schema(world: World, tmp_path: Path) -> None:
    """The registry answers, the records are in form, and the path that cannot exist is named. Target is not there."""
    code, out = ran(
        tmp_path, world, "check", "--format", "json", TARGET_CLIENT_CODE="demo", TARGET_BASE_URL="http://127.0.0.1:9"
    )
    said = {line["check"]: line for line in map(json.loads, out.splitlines())}
    assert code == 1
    assert said["mapping"]["detail"] == f"{world.topic} as avro"
    (registry,) = [line for what, line in said.items() if what.startswith("schema registry")]
    assert registry["state"] == "ok"
    paths = said[f"paths of {world.topic}"]
    assert paths["state"] == "warning"
    assert "TEIR (attributes.tier), did you mean TIER?" in paths["detail"]
    events = said[f"events of {world.topic}"]
    assert events["state"] == "ok"
    assert "skipped are 3 by `GONE equals false`" in events["detail"]


def test_plan_forecasts_mapped_records(world: World, tmp_path: Path) -> None:
    """Skips are counted by their condition, and are no updates."""
    code, out = ran(tmp_path, world, "plan", "--format", "json", "--linger", "1")
    told = json.loads(out)
    assert code == 0
    assert (told["records"], told["refused"], told["skipped"]) == (30, 0, {world.topic: {"GONE equals false": 10}})
    assert told["lingers"][0]["updates"] == 20
