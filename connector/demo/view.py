"""What a person sees while the demo runs: a live board on a terminal, plain lines off one."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at the run; rates are a second's, over the last moments."""

    seconds: float
    events: int
    total: int
    done: int
    """Accepted, skipped or dead-lettered."""
    events_rate: float
    updates: int
    updates_rate: float
    saved: float
    """Share of calls saved by coalescing, 0 to 1."""
    p99: float | None
    """Seconds from a record's timestamp to its update's acceptance; None before the first."""
    note: str
    """What is waited for while nothing can move; else empty."""

    @property
    def waiting(self) -> int:
        """Events in the topic that are not done."""
        return self.events - self.done


class View(Protocol):
    """Shows moments and sentences."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, moment: Progress) -> None:
        """The newest numbers."""
        ...

    def say(self, text: str) -> None:
        """A sentence that stays."""
        ...


class LiveView:
    """A board that is drawn over itself."""

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, highlight=False, markup=False)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, moment: Progress) -> None:
        """Draw the board anew."""
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=moment.total, completed=moment.done, width=40, pulse=moment.events == 0),
            f"{moment.done:,} of {moment.total:,} events done",
        )
        board = Table.grid(padding=(0, 3))
        for _ in range(4):
            board.add_column(justify="right")
        board.add_row(*(Text(title, style="dim") for title in ("events/s", "updates/s", "calls saved", "waiting")))
        board.add_row(
            f"{moment.events_rate:,.0f}", f"{moment.updates_rate:,.0f}", f"{moment.saved:.0%}", f"{moment.waiting:,}"
        )
        # Always as many lines: a board that grows and shrinks makes the screen jump.
        age = "" if moment.p99 is None else f"99% of events are at Target within {moment.p99:g} s"
        self._live.update(Group(bar, board, Text(age, style="dim"), Text(moment.note, style="yellow")))

    def say(self, text: str) -> None:
        """Print above the board."""
        self._console.print(text)


class PlainView:
    """A line now and then, and one whenever there is something else to wait for."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._last = -PLAIN_SECONDS
        self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, moment: Progress) -> None:
        """Print a line, if the last one is old enough or says what is true no more."""
        if moment.seconds - self._last < PLAIN_SECONDS and moment.note == self._note:
            return
        self._last, self._note = moment.seconds, moment.note
        numbers = (
            f"{moment.done:,} of {moment.total:,} events done, "
            f"{moment.events_rate:,.0f} events/s in, {moment.updates_rate:,.0f} updates/s out, "
            f"{moment.saved:.0%} of calls saved, {moment.waiting:,} waiting"
        )
        age = "" if moment.p99 is None else f", 99% within {moment.p99:g} s"
        self.say(f"{moment.seconds:5.1f} s  {moment.note or numbers + age}")

    def say(self, text: str) -> None:
        """Print it."""
        self._file.write(text + "\n")
        self._file.flush()


class NoView(PlainView):
    """Says nothing: for `--format json`."""

    def say(self, text: str) -> None:
        """Swallow it."""
