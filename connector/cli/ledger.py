"""The quota's ledger as a command sees it: read to its end once, with a record of the command's own when it has one."""

import asyncio
from collections.abc import Sequence
from typing import Final

from connector.errors import Fatal
from connector.quota.ledger import Ledger
from connector.quota.ports import Appended, LedgerLog
from connector.quota.records import NewerLedger, decode

WAIT_SECONDS: Final = 30.0


class _Reading:
    """Folds the ledger to its end, then books, and reads on until the booking was read."""

    def __init__(self, log: LedgerLog, booking: bytes | None, seconds: float) -> None:
        self.ledger = Ledger()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = log
        self._booking = booking
        self._behind = True
        self._reason = f"Kafka did not answer within {seconds:.0f} s"

    def read(self, batch: Sequence[Appended]) -> None:
        """These came next."""
        try:
            for value, appended in batch:
                if (record := decode(value)) is not None:
                    self.ledger.apply(record, appended)
                if value == self._booking and not self._behind:
                    self._finish()
        except NewerLedger as error:
            self.failed(_unusable(str(error), "use the newer version of this command"))

    def caught_up(self) -> None:
        """All that was there was read."""
        self._behind = False
        if self._booking is None:
            self._finish()
        else:
            self._log.append(self._booking, self._not_booked)

    def delayed(self, reason: str) -> None:
        """It is tried again until the time is over."""
        self._reason = reason

    def shortened(self) -> None:
        """What was read still counts."""

    def failed(self, error: Exception) -> None:
        """It cannot be read."""
        if not self.done.done():
            self.done.set_exception(error)

    def late(self) -> None:
        """The time is over."""
        self.failed(_unusable(self._reason, "look at the brokers, and try again"))

    def _not_booked(self) -> None:
        self.failed(_unusable("the booking was not acknowledged and may still come", "look before you book it again"))

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _unusable(reason: str, hint: str) -> Fatal:
    return Fatal("quota_ledger_unusable", reason, hint)


async def read_ledger(log: LedgerLog, booking: bytes | None, seconds: float = WAIT_SECONDS) -> Ledger:
    """The ledger as it is at its end, with the booking. Raises Fatal when it cannot be had within `seconds`."""
    reading = _Reading(log, booking, seconds)
    timer = asyncio.get_running_loop().call_later(seconds, reading.late)
    log.start(reading)
    try:
        await reading.done
    finally:
        timer.cancel()
        await log.close(1.0)
    return reading.ledger
