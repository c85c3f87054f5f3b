"""Keeps leases in hand: asks the ledger ahead of need, returns what is not needed, and tells how the window fills."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from connector.errors import Fatal
from connector.events.change import Priority
from connector.pipeline.state import ReplicaState
from connector.quota.lease_manager import Demand, LeaseManager
from connector.quota.ports import Appended, LedgerLog
from connector.quota.records import NewerLedger, Record, Reserve, decode, encode
from connector.quota.verified import Verified, verified_in
from connector.quota.view import View, view

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOOKS = 20
MOST_LOOK_SECONDS = 1.0
"""Looks within a lease, at least one a second, whether something has to be done."""
VIEW_LEASES_PER_SECOND = 10_000
"""Leases that are looked at for people, on average: a day of 100 replicas has 144,000, and the look takes 0.2 s."""
LEVELS = (0.8, 0.95)
FALL = 0.02
"""A level is said again when the use fell below it by so much in between."""
DRY = 0.25
"""Of a lease, for which updates wait before it is said: at the limit each lease that comes free is gone soon."""


class QuotaManager:
    """The holder of leases, joined to the ledger's log; every decision is the holder's."""

    def __init__(self, state: ReplicaState, holder: LeaseManager, ledger: LedgerLog) -> None:
        self.holder = holder
        self._state = state
        self._log = ledger
        self._boottime = state.boottime
        self._level = 0.0
        self._dry_at: float | None = None
        """Since when updates wait for what is not free."""
        self._stopped = False
        self._records = 0
        self._began = self._boottime()
        self._seen: View | None = None
        self._seen_at = -math.inf
        self._verified: tuple[Verified, float] | None = None
        """What `connector verify` found last, and when by the brokers' clock."""
        holder.allowance.call_when_wanted(state.quota_changed)
        state.paced(holder.per_second)

    async def keep(self) -> None:
        """Work for ever."""
        self._log.start(self)
        look = min(self.holder.terms.lease / LOOKS, MOST_LOOK_SECONDS)
        while True:
            self._decide()
            await self._state.leasing.wait(look)

    async def close(self, seconds: float) -> None:
        """Give back what is in hand, within this many seconds."""
        for record in self.holder.close(self._boottime()):
            self._append(record)
        await self._log.close(max(0.0, seconds))

    def _decide(self) -> None:
        before = self.holder.per_second
        need = self._need()
        for record in self.holder.decide(self._boottime(), need):
            self._append(record)
        self._look_at_the_window()
        if self.holder.per_second != before:
            self._state.paced(self.holder.per_second)
        if self.holder.blind:
            self.delayed("what was appended is not read back")
        self._say_level()
        self._say_dry(need)
        self._say_differences()

    def _look_at_the_window(self) -> None:
        self._state.window_filled(self.used - self.holder.in_hand)

    def _need(self) -> Demand:
        """What the quota is asked for."""
        state = self._state
        return Demand(
            waiting=sum(state.coalescer.waiting_of(each) for each in Priority if each <= state.gate.lowest),
            in_flight=state.gate.in_flight,
            partitions=len(state.partitions),
            per_second=state.pacing.rate,
            circuit_open=state.gate.circuit.is_open,
        )

    def _append(self, record: Record) -> None:
        number = record.lease if isinstance(record, Reserve) else 0
        self._log.append(encode(record), lambda: self.holder.failed(number, self._boottime()))

    # The Reader of the ledger's log.

    def read(self, batch: Sequence[Appended]) -> None:
        """Fold what came; a lease of ours among it lets updates go."""
        holder, boottime = self.holder, self._boottime()
        had = len(holder.allowance.grants)
        self._records += len(batch)
        try:
            for value, appended in batch:
                record = decode(value)
                if record is None and (found := verified_in(value)) is not None:
                    self._verified = found, appended
                holder.read(record, appended, boottime)
        except NewerLedger as error:
            self.failed(Fatal("quota_ledger_unusable", str(error), "bring every replica to the newer version"))
            return
        # Before anything is woken: a record of our own has just told the brokers' time, and so what is in the window.
        self._look_at_the_window()
        if len(holder.allowance.grants) > had:
            if self._stopped:
                self._stopped = False
                self._state.say("quota_resumed", level="info", used=self.used, limit=holder.terms.limit)
            self._state.paced(self.holder.per_second)
        self._state.quota_changed()

    def caught_up(self) -> None:
        """From now on it is known what is free."""
        self.holder.reached_end()
        seconds = round(self._boottime() - self._began, 2)
        log.info("quota_ledger_read", records=self._records, seconds=seconds, used=self.used)
        self._state.quota_changed()

    def delayed(self, reason: str) -> None:
        """Say it, once and then with backoff."""
        self._state.say("quota_ledger_delayed", about=reason, reason=reason, in_hand=self.holder.in_hand)

    def shortened(self) -> None:
        """Go on, since what was read is still known here, and say it until somebody has heard."""
        remedy = (
            "a replica that starts now takes the window for emptier than it is: book what is missing with `connector "
            "quota spend`, and find out who deletes from the topic"
        )
        self._state.say("quota_ledger_shortened", level="error", used=self.used, remedy=remedy)

    def failed(self, error: Exception) -> None:
        """Without the ledger nobody knows what may be sent."""
        self._state.fail(error)

    # What people see.

    @property
    def known(self) -> int | None:
        """What is used, for those who would take 0 for an empty window before the ledger has been read."""
        return self.used if self.holder.caught_up else None

    @property
    def used(self) -> int:
        """Updates that count in the window now, leases in hand included."""
        ledger, now = self.holder.ledger, self.holder.now(self._boottime())
        return ledger.used - ledger.until(now)

    @property
    def forecast(self) -> tuple[float | None, float | None] | None:
        """In how many seconds the pace is below the current rate, and the quota runs out; None before it was read."""
        if not self.holder.caught_up:
            return None
        seen = self._view()
        return seen.slowed_seconds, seen.used_up_seconds

    @property
    def verified(self) -> tuple[Verified, float] | None:
        """What `connector verify` found last, and how many seconds ago; None: nothing is known."""
        if self._verified is None:
            return None
        found, at = self._verified
        return found, max(0.0, self.holder.now(self._boottime()) - at)

    def status(self) -> Mapping[str, object]:
        """The window and what is in hand, for the status page."""
        holder = self.holder
        pace = None if holder.per_second == math.inf else round(holder.per_second, 3)
        told = self._view().numbers()
        return {"read": holder.caught_up, **told, "in_hand": holder.in_hand, "pace_per_second": pace}

    def _view(self) -> View:
        """The whole window; of a long ledger one that is some seconds old, but for what is used and free."""
        boottime, holder = self._boottime(), self.holder
        least = len(holder.ledger.leases) / VIEW_LEASES_PER_SECOND
        if self._seen is None or boottime - self._seen_at >= least:
            self._seen = view(holder.ledger, holder.terms, holder.now(boottime))
            self._seen_at = boottime
        used = self.used
        return replace(self._seen, used=used, free=max(0, holder.terms.limit - used))

    def _say_level(self) -> None:
        limit = self.holder.terms.limit
        share = self.used / limit
        if share < self._level - FALL:
            self._level = max((level for level in LEVELS if level <= share), default=0.0)
        reached = max((level for level in LEVELS if level <= share), default=0.0)
        if reached <= self._level:
            return
        self._level = reached
        self._state.say(
            "quota_nearly_used", about=f"{reached}", used=self.used, limit=limit, percent=round(100 * share)
        )

    def _say_dry(self, need: Demand) -> None:
        holder, limit = self.holder, self.holder.terms.limit
        if holder.in_hand or not need.waiting or not holder.caught_up or self.used < limit:
            self._dry_at = None
            return
        boottime = self._boottime()
        self._dry_at = boottime if self._dry_at is None else self._dry_at
        if self._stopped or boottime - self._dry_at < DRY * holder.terms.lease:
            return
        self._stopped = True
        release = holder.ledger.next_release()
        seconds = None if release is None else round(max(0.0, release[0] - holder.now(boottime)), 1)
        self._state.say("quota_used_up", used=self.used, limit=limit, next_free_seconds=seconds)

    def _say_differences(self) -> None:
        holder, terms = self.holder, self.holder.terms
        for asker in holder.ledger.differing(terms, holder.now(self._boottime()), holder.who):
            self._state.say(
                "quota_settings_differ",
                about=f"{asker.name} {asker.limit} {asker.window}",
                holder=asker.name,
                holder_limit=asker.limit,
                holder_window_seconds=asker.window,
                limit=terms.limit,
                window_seconds=terms.window,
                remedy="set QUOTA_UPDATES and QUOTA_WINDOW_SECONDS alike wherever this QUOTA_TOPIC is named; "
                "while a change of them is rolled out this ends by itself",
            )
