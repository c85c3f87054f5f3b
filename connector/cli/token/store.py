"""Where a profile token is put for the connector to read: what a file and a Secret have in common."""

from types import TracebackType
from typing import Protocol, Self

from connector.errors import CommandError
from connector.target.profile_token.answers import ProfileToken


class StoreFailed(CommandError):
    """The token cannot be read or put there; no part of it is in the message."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")


class Superseded(CommandError):
    """Someone else has put a token there since it was read."""


class Store(Protocol):
    """One place; entered, it is this process's own as far as the place can promise that."""

    @property
    def name(self) -> str:
        """For a person."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def read(self) -> ProfileToken | None:
        """Give what is there; None: no token.

        Raises `StoreFailed`, also where nothing could be written: that is found before a POST ends a token.
        """
        ...

    async def write(self, token: ProfileToken) -> None:
        """Put it there as a whole. Raises `StoreFailed`, or `Superseded`."""
        ...
