"""One replica's side of the ledger: when it asks for a lease and how large, what it may spend, and what it gives back.

Pure: it is handed the time, says what to append, and is told what was appended. Its own times are those of a clock that
runs on while the machine sleeps (`boottime`); the ledger's are the brokers'.
"""

import math
import random
from collections import deque
from dataclasses import dataclass

from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve, Return

FIRST_UPDATES = 10
"""The size of the first lease. It doubles with each that was used up: what a crash wastes stays in proportion."""
PROBES = 10
"""What a replica asks for while the endpoint is down, or while it cannot read what it asked for."""
AGAIN = 0.25
"""Of a lease, after which one asks again who got less than asked for."""
RETRY_SECONDS = 1.0
"""After a failed append."""
MOST_BLIND = 4
"""After this number of leases that came too late, asking does not get rarer: one in 16 leases' time."""
IDLE = 0.5
"""Of a lease, after which a replica that sends nothing gives back what is in hand."""
WORTH = 0.005
"""Of the window: if a return frees the spent part by so much earlier, it is worth a record."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What this replica has to send."""

    waiting: int
    """Updates that wait."""
    in_flight: int
    partitions: int
    per_second: float
    """This replica's share of the group's rate; infinite without a limit."""
    circuit_open: bool = False


class LeaseManager:
    """Asks ahead of need, for what can be sent within a lease; spends nothing after a lease's end."""

    __slots__ = (
        *("_again_at", "_asked", "_closing", "_is_sure", "_late", "_number", "_offset", "_pace", "_pace_at", "_rng"),
        *("_size", "_busy_at", "allowance", "blind", "caught_up", "ledger", "name", "per_second", "terms", "who"),
    )

    def __init__(
        self, terms: QuotaPolicy, allowance: QuotaBudget, rng: random.Random, *, who: str, name: str, offset: float
    ) -> None:
        """`who` is unlike that of any other process, before or after; `name` is for people.

        `offset` is a first guess of what the brokers' clock is ahead of `boottime`, until a record of our own tells it.
        """
        self.terms = terms
        self.allowance = allowance
        self.who = who
        self.name = name
        self.ledger = Ledger()
        self.caught_up = False
        """The ledger's end was reached once."""
        self.per_second = 0.0
        """This replica's pace."""
        self.blind = 0
        """Leases in a row that came too late: a replica that appends and cannot read would take the whole window."""
        self._rng = rng
        self._number = 0
        self._asked: tuple[int, float, int] | None = None
        """The lease that was asked for and not read yet: its number, when, how many."""
        self._late: list[tuple[int, int]] = []
        """Leases that were granted when nobody waited for them any more: number and size."""
        self._closing: deque[QuotaGrant] = deque()
        self._size = FIRST_UPDATES
        self._again_at = -math.inf
        self._busy_at = -math.inf
        self._offset = offset
        self._is_sure = False
        """Whether a record of our own has told the brokers' time; before, it is asked whatever seems to be free."""
        self._pace = 0.0
        self._pace_at = -math.inf

    def reached_end(self) -> None:
        """The ledger was read to its end: what is free is known."""
        self.caught_up = True

    # What is read.

    def read(self, record: Record | None, appended: float, boottime: float) -> None:
        """Fold the next record of the log; `boottime` is a moment at or after which it was read."""
        # What was appended before now is older than now; one of our own was appended a moment ago.
        self._offset = max(self._offset, appended - boottime)
        if record is None:
            return
        granted = self.ledger.apply(record, appended)
        if not isinstance(record, Reserve) or record.holder != self.who:
            return
        self._offset = appended - boottime
        self._is_sure = True
        self.blind = 0
        if self._asked is None or self._asked[0] != record.lease:
            if granted:
                self._late.append((record.lease, granted))
            return
        number, asked, updates = self._asked
        self._asked = None
        if granted:
            self.allowance.grants.append(QuotaGrant(number, granted, asked + self.terms.lease))
        if granted < updates:
            self._again_at = boottime + self.terms.lease * AGAIN * self._rng.uniform(0.8, 1.2)

    def failed(self, number: int, boottime: float) -> None:
        """An append is not known to have happened; if it did after all, it is given back when it is read."""
        if self._asked is not None and self._asked[0] == number:
            self._asked = None
            self._again_at = boottime + RETRY_SECONDS

    # What is to be done.

    def decide(self, boottime: float, need: Demand) -> list[Record]:
        """What to append now: leases to give back, and perhaps one to ask for."""
        records = self._give_back(boottime, need)
        self._look(boottime, need)
        if (asking := self._ask(boottime, need)) is not None:
            records.append(asking)
        return records

    def close(self, boottime: float) -> list[Record]:
        """Give back all that is in hand, and leave the pace to the others: nothing may be sent after this."""
        for grant in self.allowance.grants:
            grant.close()
        records = self._give_back(boottime, Demand(0, 0, 0, 0.0))
        return [*records, Return(self.who, self._number, 0, leaves=True)] if self._number else records

    @property
    def asking(self) -> bool:
        """Whether a lease was asked for that was not read yet."""
        return self._asked is not None

    def has_hope(self, boottime: float, seconds: float) -> bool:
        """Whether something may be sent within this many seconds."""
        if self.in_hand or not self.caught_up:
            return self.in_hand > 0
        return self.ledger.free(self.terms.limit, self.now(boottime) + seconds) > 0

    def now(self, boottime: float) -> float:
        """The brokers' time, as near as it can be known; it only decides when to ask."""
        return max(self.ledger.now, boottime + self._offset)

    @property
    def in_hand(self) -> int:
        """Updates that are leased and not spent."""
        return sum(grant.left for grant in self.allowance.grants)

    def _give_back(self, boottime: float, need: Demand) -> list[Record]:
        grants, terms = self.allowance.grants, self.terms
        records: list[Record] = [Return(self.who, number, size) for number, size in self._late]
        self._late.clear()
        if need.waiting or need.in_flight:
            self._busy_at = boottime
        idle = boottime - self._busy_at > terms.lease * IDLE
        for _ in range(len(grants)):
            grant = grants.popleft()
            if grant.left and boottime < grant.ends and not idle:
                grants.append(grant)
            else:
                records += self._end(grant, boottime)
        for _ in range(len(self._closing)):
            grant = self._closing.popleft()
            if grant.flying:
                self._closing.append(grant)
            elif not grant.lost and self._is_worth_it:
                records.append(Return(self.who, grant.number, 0, terms.settled))
        return records

    def _end(self, grant: QuotaGrant, boottime: float) -> list[Record]:
        """Spend no more of it, and say what was not spent."""
        unused, grant.left = grant.left, 0
        if not unused:
            self._size = max(self._size, 2 * grant.size)
        elif boottime >= grant.ends:
            self._size = max(FIRST_UPDATES, (grant.size - unused) * 5 // 4)
        answered = not grant.flying and not grant.lost
        if not answered:
            self._closing.append(grant)
        if not unused and not (answered and self._is_worth_it):
            return []
        return [Return(self.who, grant.number, unused, self.terms.settled if answered else None)]

    @property
    def _is_worth_it(self) -> bool:
        return self.terms.lease + self.terms.request_timeout > WORTH * self.terms.window

    def _look(self, boottime: float, need: Demand) -> None:
        """The pace: what is free is spread over the horizon, and what comes free meanwhile is passed on."""
        terms = self.terms
        if boottime >= self._pace_at:
            now = self.now(boottime)
            free = max(0, self.ledger.free(terms.limit, now)) + self.in_hand
            coming = self.ledger.until(now + terms.lease) - self.ledger.until(now)
            self._pace = terms.pace(free, coming)
            self._pace_at = boottime + terms.lease / 20
        weights = self.ledger.active(self.now(boottime))
        mine = max(1, need.partitions)
        share = mine / (sum(weights.values()) + (0 if self.who in weights else mine))
        self.per_second = min(need.per_second, self._pace * share)

    def _ask(self, boottime: float, need: Demand) -> Record | None:
        terms = self.terms
        if self._asked is not None and boottime - self._asked[1] > terms.lease * (1 << min(self.blind, MOST_BLIND)):
            self._asked = None  # Too late to be of use; it is given back when it is read.
            self.blind += 1
        # Ahead of need: where events come one by one, nothing waits when it is looked.
        idle = boottime - self._busy_at > terms.lease * IDLE
        if idle or self._asked is not None or not self.caught_up or boottime < self._again_at:
            return None
        most = max(1, math.ceil(self.per_second * terms.lease)) if self.per_second < math.inf else 1 << 53
        if need.circuit_open or self.blind:
            most = min(most, PROBES)
        grants = self.allowance.grants
        lasting = sum(grant.left for grant in grants if grant.ends - boottime > terms.lease / 4)
        size = min(self._size, most)
        if 2 * lasting > size or (self._is_sure and self.ledger.free(terms.limit, self.now(boottime)) < 1):
            return None
        self._number += 1
        self._asked = (self._number, boottime, size)
        return Reserve(
            holder=self.who,
            lease=self._number,
            updates=size,
            limit=terms.limit,
            counted=terms.counted,
            held=terms.lease,
            weight=max(1, need.partitions),
            name=self.name,
            window=terms.window,
        )
