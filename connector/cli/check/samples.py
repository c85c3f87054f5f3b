"""What is said of the last records of a topic: read as the service would, refusals and skips named."""

from collections import Counter
from collections.abc import Iterator, Sequence

from connector.cli.check.findings import Finding, State
from connector.decoding import EventReader, SourceSamples
from connector.delivery.ports import Record
from connector.errors import CommandError
from connector.events import Change, Refused
from connector.events.concerns import WHY, Concern, concerns
from connector.formats import Format, Schemas
from connector.mapping import Changes, Mapping, Skip, Source, without_another

SHOWN = 3
"""Refused records of a topic that are named, and paths."""
_BY_SCHEMA = frozenset({Format.AVRO, Format.PROTOBUF})
"""Their paths are held to a schema, which says more than a few records."""


class Samples:
    """Judges the records of one topic after the other. Reading may wait for a schema: not on the event loop."""

    def __init__(self, events: EventReader, mapping: Mapping | None, schemas: Schemas | None) -> None:
        self._events = events
        self._mapping = mapping
        self._schemas = schemas

    def judge(self, topic: str, records: Sequence[Record]) -> Iterator[Finding]:
        """Say how they are read, and which paths of the mapping found nothing in them."""
        what = f"events of {topic}"
        try:
            told: Counter[tuple[Concern, str]] = Counter()
            yield self._read(what, topic, records, told)
            yield from _concerns(topic, told, len(records))
            source = self._mapping.source(topic) if self._mapping is not None else None
            if source is not None and source.format not in _BY_SCHEMA:
                yield from self._paths(topic, source, records)
        except CommandError as unavailable:
            remedy = "look at the lines of the schema registry"
            yield Finding(State.WARNING, what, f"could not be read: {unavailable}", remedy)

    def _read(self, what: str, topic: str, records: Sequence[Record], told: Counter[tuple[Concern, str]]) -> Finding:
        """`told` is given what Target may not do with the changes."""
        refused: list[str] = []
        skips: Counter[str] = Counter()
        for record in records:
            place = f"partition {record.partition()} offset {record.offset()}"
            try:
                outcome = self._events(record)
            except Refused as reason:
                refused.append(f"{place}: {reason}")
                continue
            if isinstance(outcome, Skip):
                skips[outcome.condition] += 1
            elif isinstance(outcome, Changes):
                for item in outcome.items:
                    if isinstance(item, Change):
                        told.update(concerns(item.recipient, item.attributes).items())
                wrong = [(at, item) for at, item in enumerate(outcome.items) if isinstance(item, Refused)]
                if wrong:
                    at, first = wrong[0]
                    refused.append(f"{place} item {at}: {first}")
        if refused:
            return self._refused(what, topic, records, refused)
        return _in_form(what, len(records), skips)

    def _refused(self, what: str, topic: str, records: Sequence[Record], refused: Sequence[str]) -> Finding:
        detail = f"{len(refused)} of the last {len(records)} are refused: " + "; ".join(refused[:SHOWN])
        remedy = "have their producer correct them: as they are they become dead letters"
        if len(refused) == len(records):
            named = "the mapping right" if self._mapping and self._mapping.source(topic) else "EVENT_FORMAT its format"
            remedy = f"is this the right topic, and {named}? as they are they become dead letters"
        return Finding(State.WARNING, what, detail, remedy)

    def _paths(self, topic: str, source: Source, records: Sequence[Record]) -> Iterator[Finding]:
        seen = SourceSamples(source, self._schemas)
        for record in records:
            seen.see(record)
        if not seen.seen:
            return
        what = f"paths in {topic}"
        missed = without_another(source, seen.unmatched)
        near = [f"{one.path} ({one.field}), did you mean {one.nearest}?" for one in missed if one.nearest]
        if near:
            detail = f"nothing is there in the last {seen.seen} records: " + "; ".join(near[:SHOWN])
            remedy = "correct the mapping; `connector map` shows what it makes of them"
            yield Finding(State.WARNING, what, detail, remedy)
        elif missed:
            names = ", ".join(one.path for one in missed[:SHOWN])
            yield Finding(State.OK, what, f"all found something in the last {seen.seen} records, but {names}")
        else:
            yield Finding(State.OK, what, f"all found something in the last {seen.seen} records")


def _concerns(topic: str, told: Counter[tuple[Concern, str]], number: int) -> Iterator[Finding]:
    """Each kind once, with the attribute that has it most often."""
    seen: set[Concern] = set()
    for (concern, name), count in told.most_common():
        if concern not in seen:
            seen.add(concern)
            detail = f"{name} has {WHY[concern]}; {count} times in the last {number}"
            yield Finding(State.WARNING, f"values in {topic}", detail, "docs/target.md has the limits of Target's APIs")


def _in_form(what: str, number: int, skips: Counter[str]) -> Finding:
    if not skips:
        return Finding(State.OK, what, f"the last {number} are in the right form")
    told = "; ".join(f"{count} by `{condition}`" for condition, count in skips.most_common(SHOWN))
    if skips.total() == number:
        remedy = "is the mapping's condition right? what it does not hold for is skipped, and nothing is sent"
        return Finding(State.WARNING, what, f"the last {number} are all skipped: {told}", remedy)
    return Finding(State.OK, what, f"the last {number} are in the right form, and skipped are {told}")
