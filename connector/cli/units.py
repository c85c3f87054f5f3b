"""Times and shares as people read them."""


def span(seconds: float) -> str:
    """A time for people: 0.3 s, 10 s, 10 min, 1 h, 3.5 h, 2.1 days."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= (2 * size if unit == "days" else size):
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}" if number >= 10 else f"{round(number, 1):g}"  # noqa: PLR2004


def percent(share: float) -> str:
    """A share for people: 0.04 %, 3.2 %, 78 %."""
    number = 100 * share
    if number >= 10 or number == 0:  # noqa: PLR2004 - two digits are enough
        return f"{number:,.0f} %"
    return f"{number:.2g} %"
