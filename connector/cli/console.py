"""Each command prints its tables the same way: as wide as the terminal, or 100 columns of plain text off one."""

from typing import Final, TextIO

from rich.console import Console

_WIDTH_OFF_A_TERMINAL: Final = 100


def console_of(file: TextIO) -> Console:
    """A console that takes no text for markup or an emoji: names, notes and values are others' words."""
    terminal = file.isatty()
    return Console(
        file=file,
        width=None if terminal else _WIDTH_OFF_A_TERMINAL,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
    )
