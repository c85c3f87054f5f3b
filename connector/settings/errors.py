"""What is said about wrong settings: one line a mistake, with the remedy, and never a secret."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from connector.errors import ConnectorError

MASK: Final = "***"
_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to put right.

    `variable` is the name as the environment has it, or should have it. `was` is the value as given, masked where it
    may hold a secret; None when there is none or it is not to be shown. `reason` says what is wrong, `allowed` which
    values are right, `nearest` which name may have been meant.
    """

    variable: str
    was: str | None = None
    reason: str = ""
    allowed: str = ""
    nearest: str | None = None

    @property
    def setting(self) -> str:
        """The variable, in quotes where its name does not print as it is."""
        return self.variable if self.variable.isprintable() else quoted(self.variable)

    @property
    def remedy(self) -> str:
        """What is wrong and what is right, without the name: a log line has that in a field of its own.

        Behind a name such as KAFKA_SASL_PASSWORD and a colon, the log's redaction takes a word for the password.
        """
        was = "" if self.was is None else f"was {quoted(self.was)}"
        what = ": ".join(part for part in (was, self.reason) if part)
        allowed = f"{self.allowed} is allowed" if self.allowed else ""
        nearest = f"did you mean {self.nearest}?" if self.nearest else ""
        return "; ".join(part for part in (what, allowed, nearest) if part)

    def __str__(self) -> str:
        """Give the whole mistake as one printable line."""
        return f"{self.setting}: {self.remedy}"


class BadSettings(ConnectorError):
    """The environment makes no settings; `mistakes` has all of them, and the text is one line for each."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class InvalidValue(ConnectorError, ValueError):
    """A value that its setting cannot take: one reason for each thing wrong with it, none of them showing a secret."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def quoted(text: str) -> str:
    """Give a text in quotes on one line, cut where it is long: what an environment holds may be anything."""
    if text == MASK:
        return text
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return json.dumps(shown, ensure_ascii=not shown.isprintable())
