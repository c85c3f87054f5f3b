"""Calls that a command makes are calls of the account: each is leased of the quota's window before it is sent."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from connector.cli.check.findings import CheckFailed
from connector.cli.ledger import read_ledger
from connector.errors import Fatal
from connector.quota.policy import QuotaPolicy
from connector.quota.ports import LedgerLog
from connector.quota.records import Reserve, Return, encode

LEASE_SECONDS: Final = 6.0
"""For reading the ledger, and for the lease to come back with it."""
HELD_SECONDS: Final = 20.0
"""From before the ledger was read, until which a probe may begin; longer than all probes take one after the other."""


@dataclass(frozen=True, slots=True)
class Leases:
    """Where a command gets its calls from."""

    terms: QuotaPolicy
    ledger: Callable[[], LedgerLog]
    """A new reader of it, each time."""
    boottime: Callable[[], float]
    """Seconds by a clock that runs on while the machine sleeps."""
    name: str = "connector check --probe"
    """Who asks, as `connector quota` shows it."""

    async def take(self, calls: int) -> float:
        """Lease this number of calls; returns until when they may begin. Raises `CheckFailed` when they may not."""
        terms, holder, asked = self.terms, f"check-{uuid.uuid4().hex}", self.boottime()
        counted = HELD_SECONDS + terms.request_timeout + terms.settled
        asking = Reserve(holder, 1, calls, terms.limit, counted, HELD_SECONDS, weight=0, name=self.name)
        try:
            ledger = await read_ledger(self.ledger(), encode(asking), LEASE_SECONDS)
        except Fatal as fatal:
            msg = f"not sent, because the quota's ledger cannot tell whether a call is free: {fatal.failure.reason}"
            raise CheckFailed(
                msg, f"{fatal.failure.hint}; with QUOTA_UPDATES=0 it is sent without being counted"
            ) from fatal
        lease = ledger.leases.get((holder, 1))
        if lease is None or lease.updates < calls:
            if lease is not None:
                await self._give_back(Return(holder, 1, lease.updates))
            msg = f"not sent: {ledger.used:,} of the {terms.limit:,} calls of the window are used or leased"
            raise CheckFailed(msg, "`connector quota` tells when the next come free")
        return asked + HELD_SECONDS

    async def _give_back(self, unused: Return) -> None:
        with suppress(Fatal):  # Then it counts for a window, as if it had been used.
            await read_ledger(self.ledger(), encode(unused), LEASE_SECONDS)
