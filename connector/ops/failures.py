"""What an exception becomes in a log line: one sentence and a list of places, and none of its variables."""

import sys
from collections.abc import Iterator
from traceback import walk_tb
from typing import Final

MAX_CHAIN: Final = 5
"""Exceptions of one chain, or members of one group."""
MAX_FRAMES: Final = 30
"""Frames of one exception, the innermost ones."""


def describe(error: BaseException) -> str:
    """`Type: message`, then what it was raised from after ` <- `, and in brackets what a group holds."""
    return " <- ".join(_sentence(link) for link in _chain(error))


def places(error: BaseException) -> list[str]:
    """`module:line function`, outermost first; then the same for each cause, behind a line that says so."""
    lines: list[str] = []
    for link in _chain(error):
        if lines:
            lines.append(f"caused by {type(link).__name__}")
        frames = [
            f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
            for frame, line in walk_tb(link.__traceback__)
        ]
        lines += frames[-MAX_FRAMES:]
    return lines


def current(exc_info: object) -> BaseException | None:
    """The exception that a logger's `exc_info` stands for: itself, the usual triple, or True for the current one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) > 1:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(MAX_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _sentence(error: BaseException) -> str:
    sentence = _said(error)
    if isinstance(error, BaseExceptionGroup):
        sentence += f" [{', '.join(map(_said, error.exceptions[:MAX_CHAIN]))}]"
    return sentence


def _said(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        message = "<no message>"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
