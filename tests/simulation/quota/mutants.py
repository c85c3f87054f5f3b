"""Bugs planted in the quota's protocol: what the argument for it forbids, one sentence of it after the other."""

from connector.delivery.allowance import Allowance
from connector.delivery.gate import Gate
from connector.quota.holder import Holder
from connector.quota.ledger import Ledger
from connector.quota.terms import Terms
from tests.simulation.mutants import Edit, Mutant
from tests.simulation.quota.replica import Replica

_ASKED = "Grant(number, granted, asked + self.terms.lease)"
_COUNTED = "self.lease + self.request_timeout + self.settled"
_AWAKE = "self._world.timeline.now + self._boot"
_ANSWERED = "not grant.flying and not grant.lost"

# No seeds: each bug shows in a good part of the worlds of its profile, so that no change of the dice makes one stale.
MUTANTS = (
    Mutant(
        "spent past the end",
        "whoever was frozen past a lease's end spends it when others have had it since",
        "freezes",
        (),
        (Edit(Allowance, "current", " and awake < grant.ends", ""),),
    ),
    Mutant(
        "end by the wall clock",
        "a clock that is set back makes a lease last",
        "set back",
        (),
        (Edit(Replica, "awake", _AWAKE, "self._world.timeline.now + self._wall"),),
    ),
    Mutant(
        "end by a clock that sleeps",
        "a machine that slept believes that its lease is young",
        "freezes",
        (),
        (Edit(Replica, "awake", _AWAKE, f"{_AWAKE} - self._stood"),),
    ),
    Mutant(
        "asked at reading",
        "a lease lasts from when its record was read, and counts from when it was written",
        "late reads",
        (),
        (Edit(Holder, "read", _ASKED, "Grant(number, granted, awake + self.terms.lease)"),),
    ),
    Mutant(
        "granted before it is read",
        "what was asked for is spent, whatever the fold grants",
        "calm",
        (),
        (
            Edit(
                Holder,
                "_ask",
                "self._asked = (self._number, awake, size)",
                "self._asked = (self._number, awake, size)\n"
                "    grants.append(Grant(self._number, size, awake + terms.lease))",
            ),
            Edit(Holder, "read", f"self.allowance.grants.append({_ASKED})", "pass"),
        ),
    ),
    Mutant(
        "late grants kept",
        "a lease that nobody waits for any more is spent from when it is found",
        "appends",
        (),
        (
            Edit(
                Holder,
                "read",
                "self._late.append((record.lease, granted))",
                "self.allowance.grants.append(Grant(record.lease, granted, awake + self.terms.lease))",
            ),
        ),
    ),
    Mutant(
        "granted twice",
        "a reserve that is written twice gives its holder two leases",
        "appends",
        (),
        (
            Edit(Ledger, "_reserve", "key in self.leases or not granted", "not granted"),
            Edit(Holder, "read", "self._asked = None", "pass"),
        ),
    ),
    Mutant(
        "returned twice",
        "a return that is written twice takes off twice",
        "doubled",
        (),
        (Edit(Ledger, "_return", "lease.granted - record.unused", "lease.updates - record.unused"),),
    ),
    Mutant(
        "returned after it ceased to count",
        "a return takes off what nobody counts any more",
        "freezes",
        (),
        (
            Edit(
                Ledger,
                "_return",
                "if lease is None:",
                "if lease is None:\n        self.used = max(0, self.used - record.unused)",
            ),
        ),
    ),
    Mutant(
        "returned and spent",
        "a replica that has sent all gives its lease back, and spends it when something comes",
        "drips",
        (),
        (
            Edit(Holder, "_end", "unused, grant.left = grant.left, 0", "unused = grant.left"),
            Edit(
                Holder,
                "_give_back",
                "awake < grant.ends and not idle:\n            grants.append(grant)",
                "awake < grant.ends and (need.waiting or need.in_flight):\n"
                "            grants.append(grant)\n"
                "        elif awake < grant.ends:\n"
                "            records += self._end(grant, awake)\n"
                "            grants.append(grant)",
            ),
        ),
    ),
    Mutant(
        "answered with one on the wire",
        "a lease is settled while a request of it has not arrived",
        "long way",
        (),
        (Edit(Holder, "_end", _ANSWERED, "not grant.lost"),),
    ),
    Mutant(
        "answered without an answer",
        "a lease is settled although a request that timed out may still arrive",
        "long way",
        (),
        (
            Edit(Holder, "_end", _ANSWERED, "not grant.flying"),
            Edit(Holder, "_give_back", "not grant.lost and ", ""),
        ),
    ),
    Mutant(
        "failed calls are free",
        "a request that failed is not counted, and the endpoint counts it",
        "answers",
        (),
        (
            Edit(
                Gate,
                "leave",
                "grant.flying -= 1",
                "grant.flying -= 1\n    grant.left += verdict not in _DONE",
            ),
        ),
    ),
    Mutant(
        "counted for the window only",
        "a lease ceases to count a window after it was asked for",
        "answers",
        (),
        (Edit(Terms, "counted", _COUNTED, "self.window"),),
    ),
    Mutant(
        "the lease's time left out",
        "what is sent at a lease's end is counted too short",
        "edges",
        (),
        (Edit(Terms, "counted", _COUNTED, "self.request_timeout + self.settled"),),
    ),
    Mutant(
        "the timeout left out",
        "what arrives at its timeout is counted too short",
        "answers",
        (),
        (Edit(Terms, "counted", _COUNTED, "self.lease + self.settled"),),
    ),
    Mutant(
        "the margin left out",
        "a broker whose clock is ahead lets a lease go before it is time",
        "edges",
        (),
        (Edit(Terms, "settled", "self.margin + self.window", "self.window"),),
    ),
    Mutant(
        "the margin left out of a lease",
        "likewise for what was never answered",
        "edges",
        (),
        (Edit(Terms, "counted", _COUNTED, "self.lease + self.request_timeout + self.window"),),
    ),
    Mutant(
        "folded by one's own clock",
        "replicas see different states at the same record",
        "calm",
        (),
        (Edit(Holder, "read", "self.ledger.apply(record, appended)", "self.ledger.apply(record, awake)"),),
    ),
    Mutant(
        "settings instead of the record",
        "in a rolling upgrade replicas fold the same record by other limits and windows",
        "upgrade",
        (),
        (
            Edit(
                Holder,
                "read",
                "granted = self.ledger.apply(record, appended)",
                "terms = self.terms\n"
                "    if isinstance(record, Reserve):\n"
                "        asks = record.holder, record.lease, record.updates\n"
                "        record = Reserve(*asks, terms.limit, terms.counted, 1.0)\n"
                "    granted = self.ledger.apply(record, appended)",
            ),
        ),
    ),
    Mutant(
        "spent elsewhere is not counted",
        "calls that someone told of do not count",
        "by hand",
        (),
        (Edit(Ledger, "apply", "record.updates, 0.0, record.counted", "record.updates, 0.0, record.counted / 2"),),
    ),
    Mutant(
        "asks for nothing",
        "a replica with nothing to send holds leases",
        "calm",
        (),
        (Edit(Holder, "_ask", "idle or ", ""),),
    ),
    Mutant(
        "unused is not returned",
        "what was not sent counts as if it were, and the quota is not used",
        "calm",
        (),
        (Edit(Holder, "_end", "grant.number, unused,", "grant.number, 0,"),),
    ),
    Mutant(
        "waits for what was lost",
        "a replica whose record was lost never asks again",
        "lost",
        (),
        (
            Edit(Holder, "_ask", "awake - self._asked[1] > terms.lease", "False"),
            Edit(Holder, "failed", "self._asked = None", "pass"),
        ),
    ),
)
