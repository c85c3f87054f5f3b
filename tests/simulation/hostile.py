"""Mutated records of each format through the whole pipeline: none is lost, whatever is in them.

`python -m tests.simulation.hostile` sends ten thousand each; `make simulate` does it too.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connector.decoding import EventReader, event_reader
from connector.delivery.counters import Done
from connector.delivery.dead_letter import Stage
from connector.events import Nulls
from connector.events.change import Change, Refused
from connector.formats import Format, Schema, SchemaId, Schemas
from connector.mapping import Changes, Skip, load
from connector.registry.failures import Failure, NotFound, Unreachable
from connector.registry.retry import Patience
from connector.registry.store import SchemaStore
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeLog
from tests.support.formats import framed
from tests.support.mutated_records import GIVEN, mutated, schema_of
from tests.support.virtual_time import run

RECORDS: Final = 10_000
PARTITIONS: Final = 2
SHORT: Final = Patience(first=0.1, longest=1.0, unknown=2.0, unknown_pause=1.0)
"""What is unknown is refused within seconds: a mutated id is one that no registry has."""

Place = tuple[int, int, int | None]
"""Partition, offset and item."""

_MAPPING: Final = """
version: 1
sources:
  - topics: [t]
    format: {format}
    key: format
    when: [{{path: points, not-in: [13]}}]
    visitor:
      mbox3rdPartyId: {{path: [id, data.id, after.id, more.x.text]}}
      pcId: $key
    occurredAt: {{path: [at, time]}}
    copy: [{{from: more, prefix: more., except: [x]}}, {{from: free, except: [a]}}, {{from: after, only: [note]}}]
    attributes:
      points: points
      rate: {{path: rate, default: 1}}
      tier: {{path: tier, values: {{SILVER: silver, GOLD: gold}}, default: none}}
      tags: {{path: tags, as: join}}
      raw: {{path: raw, as: hex}}
      said: {{template: "{{id}}/{{tier}}/{{$topic}}"}}
"""
_LIST: Final = _MAPPING.replace("    key: format\n", "    key: format\n    each: list\n")


@dataclass(slots=True)
class Ends:
    """What became of the records of one format."""

    expected: Counter[str] = field(default_factory=Counter)
    """By reading each alone."""
    done: Mapping[Done, int] = field(default_factory=dict)
    """By the pipeline's counters."""
    letters: int = 0
    attempts: int = 0
    """How often the registry was asked; a partition waits meanwhile."""
    longest_ms: float = 0.0
    """The longest that one record kept the CPU busy."""


class _Registry:
    """Has one schema, and is away half of the time."""

    def __init__(self, schema: Schema, rng: random.Random) -> None:
        self._schema = schema
        self._rng = rng

    async def load(self, schema_id: SchemaId) -> Schema | Failure:
        """One attempt."""
        await asyncio.sleep(self._rng.uniform(0.01, 0.3))
        if self._rng.random() < 0.5:
            return Unreachable("no route")
        return self._schema if schema_id == self._schema.id else NotFound("no such schema")


class _All:
    """Knows at once what the registry says in the end."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def get(self, schema_id: SchemaId) -> Schema:
        """Raise Refused for what does not exist."""
        if schema_id != self._schema.id:
            raise Refused(field="schema", reason="does not exist")
        return self._schema


def hostile(record_format: Format, records: int, seed: int, *, as_list: bool = False) -> Ends:
    """Send that number of mutated records of a format through the pipeline, on virtual time; fails when one is lost.

    `as_list`: each item of a list in them is a change.
    """
    rng = random.Random(f"{record_format} {seed}")
    mapping = (_LIST if as_list else _MAPPING).format(format=record_format)

    def reader(schemas: Schemas) -> EventReader:
        return event_reader(["t"], "json", load(mapping), nulls=Nulls.EMPTY, schemas=schemas)

    log = FakeLog()
    for _ in range(records):
        value, headers = mutated(rng, rng.choice(GIVEN[record_format]))
        key = mutated(rng, (framed(b"\x00\x00"), None))[0] if rng.random() < 0.1 else None
        log.append(value, key=key, headers=headers, partition=rng.randrange(PARTITIONS))
    ends = Ends()
    refused = _read_alone(reader(_All(schema_of(record_format))), log, ends)
    with quiet():
        run(_through(log, reader, _Registry(schema_of(record_format), rng), ends, refused))
    return ends


def _read_alone(read: EventReader, log: FakeLog, ends: Ends) -> set[Place]:
    """Note what becomes of each record; returns partition, offset and item of what is refused."""
    refused: set[Place] = set()
    for name, records in log.records.items():
        for record in records:
            began = time.thread_time()
            try:
                outcome = read(record)
            except Refused:
                outcome = Changes(())
                refused.add((name.partition, record.offset(), None))
            ends.longest_ms = max(ends.longest_ms, 1_000 * (time.thread_time() - began))
            if (name.partition, record.offset(), None) in refused:
                continue
            if outcome is None or isinstance(outcome, Skip) or not outcome.items:
                ends.expected["skipped"] += 1
                continue
            for place, item in enumerate(outcome.items):
                if isinstance(item, Refused):
                    refused.add((name.partition, record.offset(), place if read.topics["t"].is_list else None))
                else:
                    is_change = isinstance(item, Change) and item.attributes
                    ends.expected["changes" if is_change else "skipped"] += 1
    ends.expected["refused"] = len(refused)
    return refused


async def _through(
    log: FakeLog, reader: Callable[[Schemas], EventReader], registry: _Registry, ends: Ends, refused: set[Place]
) -> None:
    clock = asyncio.get_running_loop().time
    store = SchemaStore(registry.load, max_schemas=10, clock=clock, rng=random.Random(1), patience=SHORT)
    limits: dict[str, Any] = {"max_dead_letters_in_a_row": 0, "max_dead_letter_ratio": 0.0}
    async with Bench(log, reader=reader(store), schemas=store, linger=0.0, **limits) as bench:
        await bench.settle(24 * 3_600.0)
        ends.done = dict(bench.pipeline.state.counters.events_done)
        written = [letter for letter in bench.letters.letters if letter.stage is Stage.DECODE]
    await store.close()
    ends.letters = len(written)
    ends.attempts = sum(store.outcomes.values())
    assert log.committed == {name: len(records) for name, records in log.records.items()}, "an offset stays behind"
    places = Counter((letter.source.partition, letter.offset, letter.item) for letter in written)
    assert places == Counter(refused), "what is refused has its letter, once"
    for letter in written:
        record = log.records[letter.source][letter.offset]
        as_it_came = record.key(), record.value(), list(record.headers() or ())
        assert (letter.key, letter.value, list(letter.headers)) == as_it_came
    # What is too large for any request is a dead letter as well.
    sent = ends.done[Done.ACCEPTED] + ends.done[Done.DEAD_LETTERED] - len(refused)
    assert (sent, ends.done[Done.SKIPPED]) == (ends.expected["changes"], ends.expected["skipped"])
    assert sum(ends.done.values()) == sum(ends.expected.values())


def main(arguments: list[str]) -> int:
    """Read the arguments and send them all; a failure is an AssertionError with the format's name above it."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hostile", description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, help="mutated records of each format")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other records")
    options = parser.parse_args(arguments)
    for record_format in Format:
        began = time.monotonic()
        ends = hostile(record_format, options.records, options.seed)
        sys.stdout.write(
            f"{record_format:12} {options.records} records in {time.monotonic() - began:.0f} s: {dict(ends.expected)}, "
            f"schemas asked for {ends.attempts} times, the longest record took the CPU for {ends.longest_ms:.1f} ms\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
