"""The demo's display: it must always show progress, and off a terminal it must be plain text."""

import io
from dataclasses import replace

import pytest

from connector.demo.view import LiveView, NoView, PlainView, Progress, View

START = Progress(
    seconds=0.1,
    events=0,
    total=3_000,
    done=0,
    events_rate=0,
    updates=0,
    updates_rate=0,
    saved=0,
    p99=None,
    note="the connector starts",
)
MIDDLE = replace(
    START,
    seconds=5,
    events=2_000,
    done=1_500,
    events_rate=400.4,
    updates=300,
    updates_rate=120.6,
    saved=0.8,
    p99=2.5,
    note="",
)


class Terminal(io.StringIO):
    """A text buffer that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def shown(view: View, *moments: Progress) -> None:
    """Show them from beginning to end."""
    with view:
        for moment in moments:
            view.show(moment)


def test_plain_lines_have_the_numbers() -> None:
    """Each in its unit, with what it counts, in one line without control characters."""
    out = io.StringIO()
    shown(PlainView(out), MIDDLE)
    assert out.getvalue() == (
        "  5.0 s  1,500 of 3,000 events done, 400 events/s in, 121 updates/s out, "
        "80% of calls saved, 500 waiting, 99% within 2.5 s\n"
    )


def test_plain_lines_leave_out_what_is_not_known_yet() -> None:
    """Before the first accepted update there is no age."""
    out = io.StringIO()
    shown(PlainView(out), replace(MIDDLE, p99=None))
    assert "within" not in out.getvalue()


def test_plain_lines_come_every_two_seconds_and_at_once_when_there_is_something_else_to_wait_for() -> None:
    """Ten updates a second would flood a log; four silent seconds at the start would look dead."""
    out = io.StringIO()
    forming = [replace(START, seconds=1 + tick / 10, note="the group forms") for tick in range(30)]
    moving = [replace(MIDDLE, seconds=4 + tick / 10) for tick in range(30)]
    shown(PlainView(out), START, *forming, *moving)
    assert [line.split("  ")[-1].split(",")[0] for line in out.getvalue().splitlines()] == [
        "the connector starts", "the group forms", "the group forms", "1", "1"
    ]  # fmt: skip


def test_sentences_come_at_once_and_whole() -> None:
    """A file that the demo is piped into can be followed."""
    out = io.StringIO()
    PlainView(out).say("killed [SIGKILL]")
    assert out.getvalue() == "killed [SIGKILL]\n"


def test_no_view_is_silent() -> None:
    """`--format json` is one line for a script and nothing else."""
    out = io.StringIO()
    view = NoView(out)
    view.say("nothing")
    shown(view, START, MIDDLE)
    assert out.getvalue() == ""


def test_the_board_has_the_numbers_and_what_is_waited_for() -> None:
    """As drawn by rich for a terminal; sentences are above it and are not read as markup."""
    out = Terminal()
    view = LiveView(out)
    with view:
        view.say("killed [SIGKILL] and [bold]started[/bold] again")
        view.show(START)
        view._live.refresh()  # noqa: SLF001 - else the clock decides whether this moment is ever drawn
        view.show(MIDDLE)
        view._live.refresh()  # noqa: SLF001 - likewise
    text = out.getvalue()
    assert "killed [SIGKILL] and [bold]started[/bold] again" in text
    assert "the connector starts" in text
    for number in ("1,500 of 3,000 events done", "400", "121", "80%", "500", "within 2.5 s"):
        assert number in text


def test_the_board_leaves_the_cursor_visible_and_itself_gone() -> None:
    """Also when the demo is interrupted, the terminal must be restored."""
    out = Terminal()

    def interrupted() -> None:
        with LiveView(out) as view:
            view.show(MIDDLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().rfind("\x1b[?25h") > out.getvalue().rfind("\x1b[?25l") >= 0
