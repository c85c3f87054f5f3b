"""How `connector plan` shows what it found: a table with sentences for people, one object for programs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from textwrap import TextWrapper
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table

from connector.cli.console import console_of
from connector.cli.units import percent, span
from connector.plan import LingerForecast, Quota, SurveyResult

MIB = 1 << 20
PROGRESS_SECONDS = 0.5


class Progress:
    """One line on a terminal, drawn over itself; nothing elsewhere."""

    def __init__(self, file: TextIO, expected: int) -> None:
        self._file = file
        self._expected = expected
        self._next = 0.0 if file.isatty() else float("inf")
        self._shown = False

    def show(self, records: int) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            self._shown = True
            share = min(1.0, records / self._expected) if self._expected else 1.0
            self._file.write(f"\r\x1b[K{records:,} of {self._expected:,} records ({share:.0%})")
            self._file.flush()

    def clear(self) -> None:
        """Leave nothing behind."""
        if self._shown:
            self._file.write("\r\x1b[K")
            self._file.flush()


def print_json(
    file: TextIO, topics: Sequence[str], found: SurveyResult, quota: Quota, best: float | None, advice: Sequence[str]
) -> None:
    """One line; times in seconds or as UTC in ISO 8601, memory in bytes."""
    facts = asdict(found)
    outlooks = facts.pop("outlooks")
    for name in ("asked_since", "since", "until"):
        facts[name] = datetime.fromtimestamp(facts[name], UTC).isoformat(timespec="milliseconds")
    report = {
        "topics": list(topics),
        **facts,
        "seconds": found.seconds,
        "quota": asdict(quota),
        "lingers": outlooks if found.records else [],
        "best_linger": best,
        "advice": list(advice),
    }
    file.write(json.dumps(report) + "\n")


def print_text(
    file: TextIO, topics: Sequence[str], found: SurveyResult, quota: Quota, best: float | None, advice: Sequence[str]
) -> None:
    """As wide as the terminal, or 100 columns of plain text off one."""
    console = console_of(file)
    wrapper = TextWrapper(console.width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    lines = [f"{', '.join(topics)}: {_counts(found)}"]
    for source, counts in found.skipped.items():
        conditions = ", ".join(f"{count:,} by `{condition}`" for condition, count in counts.items())
        lines.append(f"Skipped of {source}: {conditions}")
    if found.first_refused:
        lines.append(f"The first refused one: {found.first_refused}")
    file.writelines(f"{wrapper.fill(line)}\n" for line in lines)
    if found.records:
        console.print(_table(found.outlooks, quota, best))
        seconds = f"{found.unchanged_seconds:g}"
        about = (
            f"Calls a day with unchanged values sent, and left out by COALESCE_UNCHANGED_SECONDS={seconds}. As it is, "
        )
        about += "the part of the calls by class, and of those whose newest change is older when its turn comes:"
        file.write(f"{wrapper.fill(about)}\n")
        console.print(_makeup(found.outlooks))
    file.writelines(f"{wrapper.fill(f'- {sentence}')}\n" for sentence in advice)


def _counts(found: SurveyResult) -> str:
    if not found.records:
        return "no records"
    parts = [(found.refused, "refused"), (found.tombstones, "tombstones"), (found.empty, "with nothing to send")]
    if found.skipped:
        parts.append((sum(sum(counts.values()) for counts in found.skipped.values()), "skipped"))
    apart = "; ".join(f"{count:,} {what}" for count, what in parts)
    events = f" with {found.events:,} events" if found.events != found.records else ""
    return f"{found.records:,} records{events} in {span(found.seconds)} ({apart})"


def _table(outlooks: Sequence[LingerForecast], quota: Quota, best: float | None) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("linger", "updates a day", "of the quota", "delay p50", "delay p99", "peak visitors", "peak memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for outlook in outlooks:
        table.add_row(
            span(outlook.linger),
            f"{outlook.updates_per_day:,.0f}",
            percent(outlook.quota_share) if outlook.quota_share is not None and quota.updates else "-",
            _delay(outlook.delay_p50),
            _delay(outlook.delay_p99),
            f"{outlook.peak_visitors:,}",
            f"{outlook.peak_bytes / MIB:,.1f} MiB",
            "<- fits" if outlook.linger == best else "pauses" if outlook.paused else "",
        )
    return table


def _makeup(outlooks: Sequence[LingerForecast]) -> Table:
    """Show what a day's calls consist of, and so what a setting could save."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    ages = list(outlooks[0].updates_per_day_older_than)
    classes = list(outlooks[0].updates_per_day_by_class)
    older = [f"older\n> {span(age).replace('24 h', '1 day')}" for age in ages]
    for name in ("\nlinger", "unchanged\nsent", "unchanged\nleft out", *(f"class\n{name}" for name in classes), *older):
        table.add_column(name, justify="right", no_wrap=True)
    for outlook in outlooks:
        calls = outlook.updates_per_day
        table.add_row(
            span(outlook.linger),
            f"{outlook.with_unchanged.updates_per_day:,.0f}",
            f"{outlook.without_unchanged.updates_per_day:,.0f}",
            *(_share(outlook.updates_per_day_by_class[name], calls) for name in classes),
            # EVENT_MAX_AGE_SECONDS must be longer than the linger.
            *(_share(outlook.updates_per_day_older_than[age], calls) if age > outlook.linger else "-" for age in ages),
        )
    return table


def _share(part: float, of: float) -> str:
    return percent(part / of) if of else "-"


def _delay(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)
