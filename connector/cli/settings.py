"""`connector settings`, and how every command that needs settings says what is wrong with them."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from connector.cli.console import console_of
from connector.delivery.answer import Verdict
from connector.settings import BadSettings, SettingDoc, describe, json_schema, markdown
from connector.settings.errors import InvalidValue
from connector.settings.formats import status_verdicts
from connector.target.statuses import Meaning, changed, rows

if TYPE_CHECKING:
    from connector.cli import Subparsers


_EXAMPLE: Final = """\
example:
  connector settings
  connector settings --format json | python -m json.tool
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "settings",
        help="every setting: name, type, unit, default, what for",
        description="Prints every setting. Each is an environment variable of the same name.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "markdown"),
        default="table",
        help="table (default), json: a JSON Schema 2020-12 of the variables, markdown: the page docs/settings.md",
    )


def run(args: argparse.Namespace) -> int:
    """Print the settings on stdout."""
    if args.format == "json":
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    elif args.format == "markdown":
        sys.stdout.write(markdown())
    else:
        print_table(sys.stdout)
    return 0


def print_mistakes(bad: BadSettings, file: TextIO) -> None:
    """Print one line a mistake; secrets are masked in them."""
    file.writelines(f"{mistake}\n" for mistake in bad.mistakes)


def print_table(file: TextIO) -> None:
    """Print the table, as wide as the terminal, or 100 columns of plain text off one."""
    console = console_of(file)
    docs = describe()
    table = Table(box=SIMPLE_HEAD, show_lines=False, pad_edge=False)
    table.add_column("setting: type, unit, default", min_width=max(len(doc.name) for doc in docs), overflow="fold")
    table.add_column("what for", overflow="fold")
    for doc in docs:
        table.add_row(Text.assemble((doc.name, "bold"), f"\n{_facts(doc)}"), Text(_purpose(doc)))
        table.add_row("", "")
    console.print(table)
    console.print(_statuses())


def _statuses() -> Table:
    """What each answer of Target means, the account's own rows included where the variable can be read."""
    changes: Mapping[int, Meaning] = {}
    with suppress(InvalidValue):
        given = status_verdicts(os.environ.get("TARGET_STATUS_VERDICTS", "{}"))
        changes = changed({status: Verdict(verdict) for status, verdict in given.items()})
    table = Table(title="What Target's answers mean (TARGET_STATUS_VERDICTS)", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("status", "means", "why, or what to look at"):
        table.add_column(name)
    for status, row in rows(changes):
        table.add_row(status, row.verdict.value, Text(row.hint))
    return table


def _facts(doc: SettingDoc) -> str:
    default = "required" if doc.required else f"default {doc.default}" if doc.default else "unset by default"
    return "\n".join(f"  {part}" for part in (", ".join(filter(None, (doc.type, doc.unit))), default))


def _purpose(doc: SettingDoc) -> str:
    return f"{doc.description}\nAllowed: {doc.allowed}."
