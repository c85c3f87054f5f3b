"""Numbers as options take them: a wrong one is answered with the unit and the bounds, not with a function's name."""

import argparse
import math
from collections.abc import Callable

SHOWN = 32
"""Characters of a wrong one that are shown."""
MOST_DIGITS = 20
"""Beyond some thousand, Python itself refuses to read a number, in words of its own."""


def whole(what: str, least: int, most: float = math.inf) -> Callable[[str], int]:
    """A reader of whole numbers; `what` completes the sentence "'x' is no …", with unit and bounds."""

    def read(text: str) -> int:
        digits = text.removeprefix("-")
        number = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS else None
        if number is None or not least <= number <= most:
            raise _wrong(text, what)
        return number

    return read


def number(what: str, least: float, most: float) -> Callable[[str], float]:
    """Likewise, with fractions."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise _wrong(text, what)
        return number

    return read


def _wrong(text: str, what: str) -> argparse.ArgumentTypeError:
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return argparse.ArgumentTypeError(f"{shown!r} is no {what}")
