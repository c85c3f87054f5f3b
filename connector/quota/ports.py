"""What the keeper of a quota needs to see of the ledger's log, in both directions."""

from collections.abc import Callable, Sequence
from typing import Protocol

Appended = tuple[bytes | None, float]
"""A record's value, and its append time in seconds since the epoch, by the clock of the brokers."""


class Reader(Protocol):
    """Told what the log holds, in its order, from its beginning; all on the event loop."""

    def read(self, batch: Sequence[Appended]) -> None:
        """These came next."""
        ...

    def caught_up(self) -> None:
        """All that was there at the start was read."""
        ...

    def delayed(self, reason: str) -> None:
        """The log cannot be reached now; it is tried again."""
        ...

    def shortened(self) -> None:
        """Records that were read and may count still are not in the log any more: who reads it now knows too little."""
        ...

    def failed(self, error: Exception) -> None:
        """The log can never be read or written: nothing may be sent any more."""
        ...


class LedgerLog(Protocol):
    """One partition that everyone on the account appends to and reads whole."""

    def start(self, reader: Reader) -> None:
        """Begin to read; the reader is called on the running loop."""
        ...

    def append(self, value: bytes, failed: Callable[[], None]) -> None:
        """Append at once, without waiting; `failed` is called when it is not known to have been appended."""
        ...

    async def close(self, seconds: float) -> None:
        """Write what was appended, within this many seconds, and end."""
        ...
