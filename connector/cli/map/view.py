"""How `connector map` shows what became of the samples: blocks with tables for people, one object for programs."""

import json
from collections import Counter
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from connector.cli.console import console_of
from connector.cli.map.applied import NO_TOPIC, Applied, Report
from connector.cli.terminal import printable
from connector.decoding import REPLAYED
from connector.events import Change, Refused
from connector.events.change import Priority
from connector.events.concerns import WHY
from connector.formats import SchemaKind
from connector.mapping import NO_VISITOR, Item, Skip

MOST_FIELDS: Final = 200
"""Of a schema, that are shown."""


def print_json(file: TextIO, report: Report) -> None:
    """One line. What a schema says is told for every kind of schema that is known."""
    told = {
        "topic": report.topic,
        "source": report.source,
        "format": report.format,
        "samples": [
            {"sample": one.name, "schema": one.schema, "items": [_fields(item) for item in one.items]}
            for one in report.samples
        ],
        "unmatched": [{"path": one.path, "field": one.field, "nearest": one.nearest} for one in report.unmatched],
        "concerns": [
            {"concern": concern, "field": name, "changes": count, "reason": WHY[concern]}
            for (concern, name), count in report.concerns.items()
        ],
        "schemas": [
            {
                "id": number,
                "kind": str(schema.kind),
                "fields": [
                    {"path": path, "type": at.type, "note": at.note or None} for path, at in shape.places(MOST_FIELDS)
                ],
            }
            for number, (schema, shape) in report.schemas.items()
        ],
    }
    file.write(json.dumps(told) + "\n")


def _fields(item: Item) -> dict[str, object]:
    if isinstance(item, Change):
        visitor = {item.recipient.kind: item.recipient.id}
        told = {"occurredAt": item.occurred, "priority": item.priority.word, "attributes": item.attributes}
        return {"outcome": "change", "visitor": visitor, **told}
    if isinstance(item, Skip):
        return {"outcome": "skip", "condition": item.condition}
    return {"outcome": "refused", "field": item.field, "reason": item.reason}


def print_text(file: TextIO, report: Report) -> None:
    """As wide as the terminal, or 100 columns of plain text off one."""
    console = console_of(file)
    by = "no source of a mapping" if report.source is None else f"the mapping's source {report.source}"
    console.print(f"{'' if report.topic == NO_TOPIC else f'topic {report.topic}, '}by {by}, as {report.format}\n")
    for sample in report.samples:
        _print_sample(console, sample)
    for number, (schema, shape) in report.schemas.items():
        if schema.kind is SchemaKind.AVRO:
            table = _table("path", "what schema " + str(number) + " says")
            for path, at in shape.places(MOST_FIELDS):
                table.add_row(printable(path), printable(f"{at.type}: {at.note}" if at.note else at.type))
            console.print(table)
    _print_unmatched(console, report)
    _print_concerns(console, report)
    console.print(_summary(report))


def _print_sample(console: Console, sample: Applied) -> None:
    schema = "" if sample.schema is None else f" (schema {sample.schema})"
    name = printable(sample.name) + schema
    if not sample.items:
        console.print(f"{name}: {'nothing: its list has no items' if sample.is_list else 'skipped: it has no value'}")
    for place, item in enumerate(sample.items):
        where = f"{name}, item {place}" if sample.is_list else name
        console.print(Text(f"{where}: ", style="bold").append(Text(printable(_headline(item)), style="not bold")))
        if isinstance(item, Change) and item.attributes:
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(overflow="fold")
            grid.add_column(overflow="fold")
            for title, text in item.attributes.items():
                grid.add_row(Text(printable(title)), Text(printable(text)))
            console.print(Padding(grid, (0, 0, 0, 4), expand=False))
    console.print()


def _headline(item: Item) -> str:
    if isinstance(item, Refused):
        return f"refused: {item}"
    if isinstance(item, Skip):
        return f"skipped: {_condition(item)}"
    when = "" if item.occurred is None else f" at {item.occurred}"
    what = "change" if item.attributes else "nothing to send"
    rank = "" if item.priority is Priority.NORMAL else f", priority {item.priority.word}"
    return f"{what} of {item.recipient.kind} {item.recipient.id}{when}{rank}"


def _condition(skip: Skip) -> str:
    if skip.condition == REPLAYED:
        return "its headers say that another item is meant"
    return skip.condition if skip.condition == NO_VISITOR else f"`{skip.condition}` does not hold"


def _print_unmatched(console: Console, report: Report) -> None:
    if not report.unmatched:
        return
    table = _table("this path found nothing", "in", "did you mean")
    for one in report.unmatched:
        table.add_row(printable(one.path), printable(one.field), printable(one.nearest or "-"))
    console.print(table)


def _print_concerns(console: Console, report: Report) -> None:
    if not report.concerns:
        return
    table = _table("it is sent, but", "field", "changes")
    for (concern, name), count in report.concerns.items():
        table.add_row(WHY[concern], printable(name), str(count))
    console.print(table)


def _summary(report: Report) -> str:
    counts: Counter[str] = Counter(_kind(item) for one in report.samples for item in one.items)
    counts["without a value"] = sum(not one.items and not one.is_list for one in report.samples)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    number = len(report.samples)
    return f"{number} sample{'s' * (number != 1)}" + (f": {told}" if told else "")


def _kind(item: Item) -> str:
    return "refused" if isinstance(item, Refused) else "skipped" if isinstance(item, Skip) else "to be sent"


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
