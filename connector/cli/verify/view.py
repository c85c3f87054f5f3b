"""How `connector verify` shows what it found: a table with sentences for people, one object for programs. No ids."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import TextWrapper
from typing import Any, Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table

from connector.cli.console import console_of
from connector.cli.units import percent, span
from connector.verify.judge import Verdict
from connector.verify.tally import CONFIDENCE, Conclusion, Tally

WORDS: Final = {
    Verdict.MATCH: "match",
    Verdict.LATE: "late",
    Verdict.LOST: "lost",
    Verdict.REPLACED: "replaced",
    Verdict.OVERWRITTEN: "overwritten",
    Verdict.CUT: "cut",
    Verdict.EMPTY_IGNORED: "empty ignored",
    Verdict.UNKNOWN: "unknown or expired",
    Verdict.EXPIRED: "may be too old",
    Verdict.PENDING: "not settled yet",
    Verdict.DEAD_LETTERED: "in the dead letters",
}
_SURE: Final = f"{CONFIDENCE:.0%}".replace("%", " %")


@dataclass(frozen=True, slots=True)
class Report:
    """What the judgement rests on, and the judgement."""

    topics: Sequence[str]
    hours: float
    records: int
    """Settled ones that were read."""
    distinct: int
    """Their visitors."""
    delay: float
    """Seconds that an event was given until its update counts as accepted."""
    tally: Tally
    failed: int
    """Visitors who could not be fetched."""


def print_json(file: TextIO, report: Report) -> None:
    """One line; times in seconds."""
    file.write(json.dumps(facts(report)) + "\n")


def facts(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    tally = report.tally
    low, high = tally.bounds
    return {
        "topics": list(report.topics),
        "hours": report.hours,
        "records": report.records,
        "delay_seconds": round(report.delay, 3),
        "visitors": {
            "distinct": report.distinct,
            "drawn": tally.drawn,
            "fetched": tally.fetched,
            "failed": report.failed,
            "unknown": tally.unknown,
            "judged": tally.judged,
            "harmed": tally.harmed,
        },
        "attributes": {verdict.value: tally.attributes[verdict] for verdict in Verdict},
        "harmed_share": {"low": low, "high": high, "confidence": CONFIDENCE},
        "applied_seconds": {"p50": tally.delay(0.5), "p95": tally.delay(0.95), "most": tally.delay(1.0)},
        "overriding": tally.is_overriding,
        "conclusion": tally.conclusion.name.lower(),
    }


def print_text(file: TextIO, report: Report) -> None:
    """As wide as the terminal, or 100 columns off one."""
    console = console_of(file)
    tally = report.tally
    file.write(
        f"{', '.join(report.topics)}: {report.records:,} settled records of the last {span(report.hours * 3_600)}, "
        f"of {report.distinct:,} visitors; {tally.drawn:,} drawn, {tally.fetched:,} fetched\n"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("attributes", justify="right")
    table.add_column("visitors", justify="right")
    for verdict in Verdict:
        if tally.attributes[verdict]:
            table.add_row(WORDS[verdict], f"{tally.attributes[verdict]:,}", f"{tally.visitors[verdict]:,}")
    if table.row_count:
        console.print(table)
    wrapper = TextWrapper(width=console.width, initial_indent="- ", subsequent_indent="  ")
    file.writelines("\n".join(wrapper.wrap(sentence)) + "\n" for sentence in sentences(report))


def sentences(report: Report) -> Iterator[str]:
    """What it comes to, and what to look at."""
    tally = report.tally
    yield _harm(tally)
    if (median := tally.delay(0.5)) is not None:
        yield (
            f"From an event to its value at Target: half within {span(median)}, 95 % within "
            f"{span(tally.delay(0.95) or 0.0)}, at most {span(tally.delay(1.0) or 0.0)}."
        )
    if tally.is_overriding:
        yield (
            "Nothing is left that a later update of the same visitor did not carry: it seems that consecutive updates "
            "override each other. See docs/verify.md."
        )
    if tally.drawn and tally.unknown * 2 > tally.drawn:
        yield (
            f"Target has no profile of {tally.unknown:,} of them: new visitors, expired ones, or ids that Target does "
            "not know in this form. If it is all of them, look at TARGET_CLIENT_CODE."
        )
    if tally.attributes[Verdict.LOST] and not tally.attributes[Verdict.MATCH]:
        yield "No value at all arrived: connector verify --round-trip ID tells whether TARGET_UPDATE_PATH is right."
    if report.failed:
        yield f"{report.failed:,} could not be fetched."


def _harm(tally: Tally) -> str:
    if not tally.judged:
        return "Nothing could be judged."
    low, high = tally.bounds
    of = f"{tally.harmed:,} of {tally.judged:,} visitors that could be judged have a lost, replaced or cut value"
    if tally.harmed:
        return f"{of}: between {percent(low)} and {percent(high)} of all visitors, at {_SURE} confidence."
    few = " Fewer than half could be judged." if tally.conclusion is Conclusion.TOO_FEW else ""
    return f"{of}: below {percent(high)} of all visitors, at {_SURE} confidence.{few}"
