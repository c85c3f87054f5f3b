"""How `connector quota` shows the window to people: sentences, two rows of bars, and who has what of it."""

import time
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table

from connector.cli.console import console_of
from connector.cli.moments import local_text
from connector.cli.terminal import printable
from connector.cli.units import percent, span
from connector.quota.view import View

_BARS: Final = " ▁▂▃▄▅▆▇█"


def print_view(seen: View, topic: str, file: TextIO) -> None:
    """As wide as the terminal, or 100 columns of plain text off one."""
    console = console_of(file)
    console.print(
        f"{topic}: {seen.used:,} of {seen.limit:,} used in {span(seen.window_seconds)} "
        f"({percent(seen.used / seen.limit)}), {seen.free:,} free"
    )
    if seen.next_free_seconds is not None:
        console.print(f"next to come free: {calls(seen.next_free_updates)} {_when(seen.next_free_seconds)}")
    pace = per_second(seen.group_pace_per_second)
    console.print(f"pace of all replicas: {pace}, by QUOTA_HORIZON_SECONDS={seen.horizon_seconds:g}")
    for line in _forecast(seen):
        console.print(line)
    console.print(f"used, oldest to newest   |{sparkline(seen.history)}|")
    console.print(f"comes free, soon to late |{sparkline(seen.releases)}|")
    if seen.bookings:
        table = _table("booked by hand", "comes free", "note")
        for booking in seen.bookings:
            table.add_row(calls(booking.updates), _when(booking.free_in_seconds), printable(booking.note))
        console.print(table)
    if not seen.leases:
        console.print("nobody holds a lease")
        return
    table = _table("holder", "replica", "leased", "ends")
    for lease in seen.leases:
        ends = f"in {span(lease.ends_in_seconds)}"
        table.add_row(printable(lease.holder), printable(lease.name), calls(lease.updates), ends)
    console.print(table)


def calls(number: int) -> str:
    """A number, as people say it."""
    return f"{number:,} update" + "s" * (number != 1)


def per_second(rate: float) -> str:
    """A rate as people say it: below one a second, how long until the next."""
    if not rate:
        return "no update"
    return f"{rate:,.3g} updates a second" if rate >= 1 else f"one update every {span(1 / rate)}"


def _forecast(seen: View) -> Iterator[str]:
    if not seen.free:
        yield "it is used up: nobody who shares it sends until enough comes free"
        return
    ends = "does not run out" if seen.used_up_seconds is None else f"runs out {_when(seen.used_up_seconds)}"
    yield f"at the current rate ({per_second(seen.rate_per_second)}) it {ends}"
    if seen.slowed_seconds is not None:
        yield f"the pace slows updates {_when(seen.slowed_seconds) if seen.slowed_seconds else 'now'}"


def sparkline(numbers: Sequence[int]) -> str:
    """A bar each; only nothing at all is blank."""
    most = max(numbers, default=0)
    return "".join(_BARS[0 if not number else 1 + (len(_BARS) - 2) * number // most] for number in numbers)


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _when(seconds: float) -> str:
    """From now, and by this machine's clock with its zone; the day too, where the weekday alone says which."""
    return f"in {span(seconds)} ({local_text(time.time() + seconds)})"
