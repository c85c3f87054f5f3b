"""`connector map` shows what becomes of samples, without Kafka and without an account."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connector.cli import main
from connector.cli.map.applied import Sample, apply
from connector.cli.map.view import print_json, print_text
from connector.decoding import GivenRecord, event_reader
from connector.events import Nulls
from connector.mapping import load
from connector.settings.load import PREFIXES
from tests.support.formats import FakeSchemas, avro_schema, framed, record_of, written

MAPPING = """\
version: 1
sources:
  - topics: [segment-track]
    format: json
    when: [{path: type, equals: track}]
    visitor: {mbox3rdPartyId: userId}
    occurredAt: {path: [originalTimestamp, timestamp]}
    attributes:
      revenue: properties.revenue
      tier: context.traits.loyaltyTeir
      note: {path: "$headers.note", default: none}
"""
ORDER = """{"type": "track", "userId": "C-1001", "timestamp": "2026-11-22T10:15:00Z",
"properties": {"revenue": 1043.50}, "context": {"traits": {"loyaltyTier": "gold"}}}"""
NO_USER = '{"type": "track", "properties": {"revenue": 7}, "secret": "canary"}'


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a mapping and samples, and an environment without settings."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    files = {"m.yaml": MAPPING, "order.json": ORDER, "page.json": '{"type": "page"}', "nobody.json": NO_USER}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_each_sample_is_a_change_a_skip_or_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    """43 and 48. Paths that found nothing are named with the nearest name; a refusal names no value."""
    samples = ("--sample", "order.json", "--sample", "page.json", "--sample", "nobody.json")
    assert main(["map", "--mapping", "m.yaml", *samples, "--header", "note=hello"]) == 1
    told = capsys.readouterr()
    assert told.err == ""
    assert "canary" not in told.out
    assert max(map(len, told.out.splitlines())) <= 100
    lines = [" ".join(line.split()) for line in told.out.splitlines() if line.strip()]
    assert lines[:7] == [
        "topic segment-track, by the mapping's source segment-track, as json",
        "order.json: change of mbox3rdPartyId C-1001 at 2026-11-22T10:15:00Z",
        "revenue 1043.50",
        "note hello",
        "page.json: skipped: `type equals track` does not hold",
        "nobody.json: refused: userId must not all be missing or empty: one of them identifies the visitor",
        "(mapping of segment-track)",
    ]
    assert "context.traits.loyaltyTeir attributes.tier context.traits.loyaltyTier" in lines
    assert lines[-1] == "3 samples: 1 to be sent, 1 skipped, 1 refused"


def test_programs_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With the same facts, and code 0 where nothing is refused."""
    assert main(["map", "--mapping", "m.yaml", "--sample", "order.json", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["topic"], told["source"], told["format"]) == ("segment-track", "segment-track", "json")
    (item,) = told["samples"][0]["items"]
    assert item["visitor"] == {"mbox3rdPartyId": "C-1001"}
    assert item["attributes"] == {"revenue": "1043.50", "note": "none"}
    assert [one["path"] for one in told["unmatched"]] == [
        "originalTimestamp",
        "context.traits.loyaltyTeir",
        "$headers.note",
    ]


def test_stdin_is_a_sample_and_a_topic_without_a_source_is_version_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """42. That it has no source is said, with the topic that was probably meant."""
    event = b'{"pcId": "v", "profile": {"tier": "gold"}}'
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(event)))
    assert main(["map", "--mapping", "m.yaml", "--topic", "segment-trak", "--sample", "-"]) == 0
    told = capsys.readouterr()
    assert "no source for segment-trak, which is read as event version 1" in told.err
    assert "did you mean segment-track?" in told.err
    assert "stdin: change of pcId v\n    tier  gold" in told.out


def test_without_a_mapping_events_are_version_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the form that EVENT_FORMAT names."""
    Path("event.json").write_text(
        '{"specversion": "1.0", "type": "t", "data": {"pcId": "v", "profile": {"tier": "gold"}}}'
    )
    assert main(["map", "--sample", "event.json"]) == 1
    assert "refused: profile must be an object" in capsys.readouterr().out
    monkeypatch.setenv("EVENT_FORMAT", "cloudevents")
    assert main(["map", "--sample", "event.json"]) == 0
    assert capsys.readouterr().out.startswith("by no source of a mapping, as event version 1 in cloudevents\n")


def test_the_class_of_a_change_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Who writes conditions for priorities must see which class an event gets before it counts."""
    ranked = MAPPING.replace(
        "    attributes:\n", "    priority: {high: [{path: type, equals: track}]}\n    attributes:\n", 1
    )
    Path("m.yaml").write_text(ranked)
    assert main(["map", "--mapping", "m.yaml", "--sample", "order.json"]) == 0
    assert "change of mbox3rdPartyId C-1001 at 2026-11-22T10:15:00Z, priority high" in capsys.readouterr().out
    main(["map", "--mapping", "m.yaml", "--sample", "order.json", "--format", "json"])
    assert json.loads(capsys.readouterr().out)["samples"][0]["items"][0]["priority"] == "high"


@pytest.mark.parametrize(
    ("words", "mapping", "said"),
    [
        ([], MAPPING.replace("visitor:", "vistor:"), "line 6, sources[0].vistor: unknown field; did you mean visitor?"),
        ([], MAPPING.replace("properties.revenue", "properties..revenue"), "line 9, sources[0].attributes.revenue: "),
        ([], MAPPING + MAPPING.partition("sources:\n")[2], "line 12, sources[1].topics[0]: segment-track has a source"),
        ([], MAPPING.replace("format: json", "format: avro"), "SCHEMA_REGISTRY_URL: missing; the mapping reads"),
        (["--last", "3"], MAPPING, "map: --last is for --from-topic"),
        (["--sample", "-", "--sample", "-"], MAPPING, "map: stdin can be read once"),
        (["--header", "x"], MAPPING, "'x' is no NAME=VALUE"),
        (["--sample", "missing.json"], MAPPING, "map: missing.json cannot be read: No such file or directory"),
        (["--mapping", "none.yaml"], MAPPING, "EVENT_MAPPING_FILE: the file cannot be read: No such file"),
    ],
)
def test_what_cannot_work_is_code_2(
    words: list[str], mapping: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """42. Mistakes of a mapping have line, field and the nearest name, as at the start of the service."""
    Path("m.yaml").write_text(mapping)
    assert main(["map", "--mapping", "m.yaml", "--sample", "order.json", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_choice_of_topics_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No guess: the sources read differently. And a topic that is not consumed is worth a note."""
    monkeypatch.setenv("KAFKA_TOPICS", "segment-tracks,other")
    Path("m.yaml").write_text(MAPPING + MAPPING.partition("sources:\n")[2].replace("segment-track", "other"))
    assert main(["map", "--mapping", "m.yaml", "--sample", "order.json"]) == 2
    assert "choose one by --topic (other, segment-track)" in capsys.readouterr().err
    assert main(["map", "--mapping", "m.yaml", "--sample", "order.json", "--topic", "other"]) == 0
    told = capsys.readouterr().err
    assert "segment-track is not among the topics consumed; did you mean segment-tracks?" in told


def test_kafka_is_needed_for_a_topic_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """And then its address is asked for, as by every command."""
    assert main(["map", "--mapping", "m.yaml", "--from-topic", "t"]) == 2
    assert "KAFKA_BOOTSTRAP_SERVERS: missing" in capsys.readouterr().err
    assert main(["map", "--from-topic", "t", "--key", "k"]) == 2
    assert "--key is for --sample" in capsys.readouterr().err


def shown(mapped: dict[str, Any], *values: bytes, schemas: FakeSchemas | None = None) -> tuple[str, Any]:
    """Text and JSON of a report."""
    mapping = load(json.dumps({"version": 1, "sources": [mapped]}))
    source = mapping.sources[0]
    events = event_reader(source.topics, "json", mapping, nulls=Nulls.DROP, schemas=schemas)
    samples = [Sample(f"s{at}", GivenRecord(source.topics[0], value)) for at, value in enumerate(values)]
    report = apply(events, source.topics[0], source, schemas, samples)
    text, whole = io.StringIO(), io.StringIO()
    print_text(text, report)
    print_json(whole, report)
    return text.getvalue(), json.loads(whole.getvalue())


def test_what_an_avro_schema_says_is_shown() -> None:
    """18 and 48. A name of Connect is no logical type: the bare number is shown with what reads it."""
    schema = record_of(id="string", since={"type": "int", "connect.name": "io.debezium.time.Date"}, raw="bytes")
    rows = [{"id": "C-1001", "since": 18_262, "raw": b"canary"}, {"id": "", "since": 1, "raw": b""}]
    mapped = {"topics": ["crm"], "format": "avro", "visitor": {"pcId": "id"}, "attributes": {"since": "since"}}
    values = [framed(written(schema, row)) for row in rows]
    text, told = shown(mapped, *values, schemas=FakeSchemas(avro_schema(schema)))
    assert "s0 (schema 7): change of pcId C-1001\n    since  18262\n" in text
    flat = " ".join(text.split())
    assert "refused: id must not all be missing or empty: one of them identifies the visitor" in flat
    assert "(mapping of crm, schema 7)" in flat
    assert "int: io.debezium.time.Date, which is read as the bare int; a mapping reads it with as: epoch-days" in flat
    assert "canary" not in text
    assert told["schemas"][0]["fields"][2] == {"path": "raw", "type": "bytes", "note": None}
    assert told["samples"][1]["schema"] == 7


def test_each_item_of_a_record_is_shown_by_itself() -> None:
    """Numbered as in the header of a dead letter."""
    mapped = {
        "topics": ["t"],
        "format": "json",
        "each": "users",
        "when": [{"path": "on", "not-in": [False]}],
        "visitor": {"pcId": "id"},
        "attributes": {"a": "a"},
    }
    users = b'{"users": [{"id": "1", "a": "\\u001b[2J"}, {"id": "2", "on": false}, {"a": 1}, {"id": "4"}]}'
    text, told = shown(mapped, users, b'{"users": []}', b"null")
    assert "\x1b" not in text
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()][1:]
    assert lines[:6] == [
        "s0, item 0: change of pcId 1",
        "a ?[2J",
        "s0, item 1: skipped: `on not-in false` does not hold",
        "s0, item 2: refused: id must not all be missing or empty: one of them identifies the visitor",
        "(mapping of t)",
        "s0, item 3: nothing to send of pcId 4",
    ]
    assert lines[6:8] == ["s1: nothing: its list has no items", "s2: skipped: it has no value"]
    assert [item["outcome"] for item in told["samples"][0]["items"]] == ["change", "skip", "refused", "change"]


def test_what_target_may_not_do_with_a_change_is_told(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A value that Target may cut is found before a single update was sent; each attribute once, with a count."""
    source = "topics: [t], format: json, visitor: {mbox3rdPartyId: id}, attributes: {note: n}"
    mapping = f"{{version: 1, sources: [{{{source}}}]}}"
    (folder / "long.yaml").write_text(mapping)
    (folder / "long.json").write_text(json.dumps({"id": "a+b", "n": "x" * 257}))
    samples = ("--sample", "long.json", "--sample", "long.json")
    assert main(["map", "--mapping", "long.yaml", *samples, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["concerns"]
    assert [(one["concern"], one["field"], one["changes"]) for one in told] == [
        ("id_characters", "mbox3rdPartyId", 2),
        ("long_value", "note", 2),
    ]
    assert main(["map", "--mapping", "long.yaml", *samples]) == 0
    assert "Target may cut it" in " ".join(capsys.readouterr().out.split())
