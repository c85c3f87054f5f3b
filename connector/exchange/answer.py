"""What came of one HTTP exchange, as data: pure, so that each room says in its own words what it means."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Trouble(StrEnum):
    """Why there is no whole answer."""

    TIMEOUT = "timeout"
    PROXY_UNREACHABLE = "proxy unreachable"
    PROXY_REFUSED = "proxy refused"
    UNKNOWN_HOST = "unknown host"
    UNTRUSTED = "untrusted certificate"
    NO_CONNECTION = "no connection"
    NO_FILES = "no open files left"
    NO_HTTP = "no valid HTTP"
    TOO_LARGE = "too large"
    BROKE_OFF = "broke off"


_UNSENT: Final = frozenset(
    {
        Trouble.PROXY_UNREACHABLE,
        Trouble.PROXY_REFUSED,
        Trouble.UNKNOWN_HOST,
        Trouble.UNTRUSTED,
        Trouble.NO_CONNECTION,
        Trouble.NO_FILES,
    }
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, whatever its status. The body may hold a secret."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No whole answer."""

    trouble: Trouble

    @property
    def may_have_happened(self) -> bool:
        """Whether the request may have reached the server and taken effect."""
        return self.trouble not in _UNSENT
