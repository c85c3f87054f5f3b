"""Why a schema is not there, as data: what waits, what waits for a person, and what never comes.

| failure | what the store does |
|---|---|
| `Unreachable` | asks again, after the pause that the registry asked for if there is one |
| `Unauthorised`, `WrongUrl` | asks again; a person must act |
| `NotFound` | asks again for a minute, then refuses the id |
| `Unusable` | refuses the id |

No reason holds a secret, a text of the registry, or an exception's own text.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or one that says "later"; `retry_after` in seconds, if it said when."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """The login was refused, or its right to read."""

    reason: str


@dataclass(frozen=True, slots=True)
class WrongUrl:
    """The answer is not one of a Schema Registry."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The registry says that it has no such schema."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """The schema is there and cannot be used."""

    reason: str


Failure: TypeAlias = Unreachable | Unauthorised | WrongUrl | NotFound | Unusable
