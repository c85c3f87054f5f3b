"""What a mapping makes of samples: pure, but for a schema that reading may wait for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from connector.decoding import EventReader, SourceSamples
from connector.delivery.ports import Record
from connector.events import Change, Refused
from connector.events.concerns import Concern, concerns
from connector.formats import Schema, SchemaId, Schemas, Shape, find_frame, shape_of
from connector.formats.document import VALUE
from connector.mapping import Changes, Item, Skip, Source, Unmatched

VERSION_1: Final = "event version 1"
NO_TOPIC: Final = "-"
"""Stands for the topic where none is known and none is needed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One record, and what it is called."""

    name: str
    record: Record


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one sample."""

    name: str
    items: tuple[Item, ...]
    """One for each change that it carries; none for a tombstone."""
    is_list: bool
    """Its items are those of `each`."""
    schema: int | str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether some of it would become a dead letter."""
        return any(isinstance(item, Refused) for item in self.items)


@dataclass(slots=True)
class Report:
    """Everything that is said of the samples of one topic."""

    topic: str
    source: str | None
    """The mapping's; None: it has none for this topic."""
    format: str
    samples: list[Applied] = field(default_factory=list)
    unmatched: Sequence[Unmatched] = ()
    schemas: dict[int | str, tuple[Schema, Shape]] = field(default_factory=dict)
    """By id, those in Avro that samples were written by."""

    @property
    def concerns(self) -> Counter[tuple[Concern, str]]:
        """What Target may not do with the changes, by attribute, and of how many."""
        return Counter(
            told
            for one in self.samples
            for item in one.items
            if isinstance(item, Change)
            for told in concerns(item.recipient, item.attributes).items()
        )


def apply(
    events: EventReader, topic: str, source: Source | None, schemas: Schemas | None, samples: Iterable[Sample]
) -> Report:
    """Read each sample as the service would. `source`: the one that reads the topic, if the mapping has one."""
    reader = events.topics.get(topic)
    form = VERSION_1 if source is None else str(source.format)
    if source is None and reader is not None:
        form = f"{VERSION_1} in {reader.format}"
    report = Report(topic, None if source is None else source.name, form)
    paths = None if source is None else SourceSamples(source, schemas)
    for sample in samples:
        applied = _applied(events, sample, is_list=reader is not None and reader.is_list)
        report.samples.append(applied)
        if paths is not None:
            paths.see(sample.record)
        if applied.schema is not None and applied.schema not in report.schemas and schemas is not None:
            with suppress(Refused):  # Of what the registry does not have, the sample's own refusal tells.
                schema = schemas.get(SchemaId(applied.schema))
                shape = shape_of(schema)
                if shape is not None:
                    report.schemas[applied.schema] = schema, shape
    report.unmatched = () if paths is None else paths.unmatched
    return report


def _applied(events: EventReader, sample: Sample, *, is_list: bool) -> Applied:
    schema = None
    with suppress(Refused):
        headers = sample.record.headers()
        found = find_frame(VALUE, sample.record.value() or b"", headers)
        schema = None if found is None else found[0]
    try:
        outcome = events(sample.record)
    except Refused as refused:
        return Applied(sample.name, (refused,), is_list=False, schema=schema)
    items: tuple[Item, ...] = (outcome,) if isinstance(outcome, Skip) else () if outcome is None else outcome.items
    return Applied(sample.name, items, is_list=is_list and isinstance(outcome, Changes), schema=schema)
