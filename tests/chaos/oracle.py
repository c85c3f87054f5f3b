"""The oracle of a chaos run: it reads the topic, the endpoint's journal, dead letters and commits, no code of ours.

What it checks, in the words of its reasons:

- lost: the endpoint never took the last value of an attribute, or a record that can never be delivered has no letter;
- stale: the endpoint took the last value, and an older one after it;
- back in time: a request carried a value older than one that the endpoint had taken, from any client, whether or not a
  newer one corrected it later. The same value again is a repeat: that is allowed, and counted.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from tests.chaos.load import MALFORMED, POISON
from tests.support.kafka.client import Record

SHOWN = 5
"""Reasons of each kind that are listed in full."""
KIND = "mbox3rdPartyId:"

Profile = Mapping[str, int]


class Request(NamedTuple):
    """One request in the endpoint's journal; times in seconds of the machine's monotonic clock."""

    start: float
    end: float
    client: str
    visitor: str
    attributes: Profile
    verdict: str
    applied: bool

    @classmethod
    def read(cls, line: str) -> "Request":
        """From a line of the sandbox's log."""
        record: dict[str, Any] = json.loads(line)
        visitor = (record["visitor"] or "").removeprefix(KIND)
        attributes = {name: int(value) for name, value in record["attributes"].items()}
        return cls(
            record["start"], record["end"], record["client"], visitor, attributes, record["verdict"], record["applied"]
        )


class Span(NamedTuple):
    """A time in which a replica was frozen or cut off."""

    what: str
    start: float
    end: float


@dataclass(slots=True)
class Life:
    """One process of a replica, as seen from outside and, only to name causes, in its log."""

    name: str
    end: str = "alive"
    """How it ended: `killed`, `stopped`, or `alive`."""
    spans: list[Span] = field(default_factory=list)
    took: list[tuple[float, int]] = field(default_factory=list)
    """When it was given which partition."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a run leaves to judge it by."""

    records: list[Record]
    letters: list[Record]
    journal: list[Request]
    profiles: Mapping[str, Profile]
    committed: Mapping[int, int]
    ends: Mapping[int, int]
    lives: Mapping[str, Life]
    overlaps: list[str]
    broken_rules: Mapping[str, int]
    incidents: list[str]
    """What was wrong while it ran: a process that ended by itself, a stop that was not clean."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Without reasons nothing was found."""

    reasons: list[str]
    counts: dict[str, int]


def judge(evidence: Evidence) -> Verdict:
    """Run all checks."""
    truth = _truth(evidence.records)
    trips = list(back_in_time(evidence))
    causes = Counter(trip.cause for trip in trips)
    checks = {
        "incident": evidence.incidents,
        "wrong in the end": list(_wrong_profiles(evidence, truth)),
        "lost": list(chain(_unburied_records(evidence), _unburied_values(evidence, truth))),
        "back in time": [trip.text for trip in trips],
        "two at once": evidence.overlaps,
        "not committed": _uncommitted(evidence),
        "rule of the API broken": [f"{rule}: {count}" for rule, count in evidence.broken_rules.items()],
    }
    reasons = [reason for kind, found in checks.items() for reason in _shorten(kind, found)]
    counts = {
        "events": len(evidence.records),
        "malformed": sum(_kind(record) == MALFORMED for record in evidence.records),
        "requests at the endpoint": len(evidence.journal),
        "updates taken": sum(request.applied for request in evidence.journal),
        "repeats": _repeats(evidence.journal),
        "back in time": len(trips),
        **{f"back in time, {cause}": count for cause, count in sorted(causes.items())},
        "dead letters": len(evidence.letters),
        "dead letters for the same record or a known value": _repeated_letters(evidence.letters),
    }
    return Verdict(reasons, counts)


# What must be there in the end.


def _truth(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """The last value of each attribute in log order, by visitor."""
    profiles: dict[str, dict[str, int]] = {}
    for record in records:
        if record.value is not None and _kind(record) != MALFORMED:
            event = json.loads(record.value)
            profiles.setdefault(event["mbox3rdPartyId"], {}).update(event["profile"])
    return profiles


def _wrong_profiles(evidence: Evidence, truth: Mapping[str, Profile]) -> Iterator[str]:
    taken = {(r.visitor, name, value) for r in evidence.journal if r.applied for name, value in r.attributes.items()}
    buried = {(who, name, value) for who, name, value in _buried_values(evidence.letters)}
    for visitor in sorted(truth.keys() | evidence.profiles.keys()):
        if visitor.startswith(POISON):
            continue
        must, found = truth.get(visitor, {}), evidence.profiles.get(visitor, {})
        for name in sorted(must.keys() | found.keys()):
            value = must.get(name)
            if value == found.get(name):
                continue
            item = (visitor, name, value)
            how = "stale" if item in taken else "buried although it could be delivered" if item in buried else "lost"
            yield f"{how}: {visitor} {name} must be {value}, is {found.get(name)}"


def _unburied_records(evidence: Evidence) -> Iterator[str]:
    letters = {(_number(each, "partition"), _number(each, "offset"), each.value) for each in evidence.letters}
    for record in evidence.records:
        if _kind(record) == MALFORMED and (record.partition, record.offset, record.value) not in letters:
            yield f"the malformed record {record.partition}/{record.offset} has no dead letter"


def _unburied_values(evidence: Evidence, truth: Mapping[str, Profile]) -> Iterator[str]:
    newest: dict[tuple[str, str], int] = {}
    for visitor, name, value in _buried_values(evidence.letters):
        newest[visitor, name] = max(value, newest.get((visitor, name), -1))
    for visitor, profile in truth.items():
        if visitor.startswith(POISON):
            for name, value in profile.items():
                found = newest.get((visitor, name))
                if found != value:
                    yield f"{visitor} {name}: the last value is {value}, the newest in a dead letter {found}"


def _uncommitted(evidence: Evidence) -> list[str]:
    return [
        f"partition {partition}: committed {evidence.committed.get(partition)}, the log ends at {end}"
        for partition, end in evidence.ends.items()
        if end and evidence.committed.get(partition) != end
    ]


# What happened on the way.


class Trip(NamedTuple):
    """A request with a value older than one that was taken before it."""

    cause: str
    text: str


def back_in_time(evidence: Evidence) -> Iterator[Trip]:
    """Each request that carried an older value than the endpoint already had, with its cause."""
    partitions = {(record.key or b"").decode(): record.partition for record in evidence.records}
    held: dict[tuple[str, str], tuple[int, Request]] = {}
    for request in sorted(evidence.journal, key=_start):
        for name, value in request.attributes.items():
            newest, by = held.get((request.visitor, name), (-1, request))
            if value < newest:
                cause = _cause(request, by, evidence.lives, partitions.get(request.visitor, -1))
                yield Trip(
                    cause,
                    f"{cause}: {request.visitor} {name}={value} by {request.client} at {request.start:.3f} "
                    f"({request.verdict}), after {newest} by {by.client} at {by.start:.3f} ({by.verdict})",
                )
                break
        if request.applied:
            for name, value in request.attributes.items():
                if value > held.get((request.visitor, name), (-1, request))[0]:
                    held[request.visitor, name] = (value, request)


def _cause(older: Request, newer: Request, lives: Mapping[str, Life], partition: int) -> str:
    """Name the cause; only for the reader, no verdict depends on it."""
    sender = lives.get(older.client, Life(older.client))
    before = lives.get(newer.client, Life(newer.client))
    again = any(number == partition and newer.start < when <= older.start for when, number in sender.took)
    if older.client == newer.client:
        return "by the same process that lost and regained it" if again else "by the same owner"
    zombie = [span.what for span in sender.spans if span.start < newer.start and span.start < older.start]
    if zombie and not again:
        return f"by a former owner, {zombie[-1]}"
    if before.end == "killed":
        return "read again after a kill"
    ill = [span.what for span in before.spans if span.start < older.start]
    return f"read again from one {ill[-1]}" if ill else "read again after a hand-over"


def _repeats(journal: Iterable[Request]) -> int:
    """Updates that were accepted and carried nothing new."""
    held: dict[tuple[str, str], int] = {}
    repeats = 0
    for request in sorted((request for request in journal if request.applied), key=_start):
        items = {(request.visitor, name): value for name, value in request.attributes.items()}
        repeats += all(held.get(name, -1) >= value for name, value in items.items())
        held.update({name: max(value, held.get(name, -1)) for name, value in items.items()})
    return repeats


def _repeated_letters(letters: Iterable[Record]) -> int:
    seen: set[object] = set()
    repeats = 0
    for letter in letters:
        key = (letter.key, letter.value)
        repeats += key in seen
        seen.add(key)
    return repeats


# Reading.


def _start(request: Request) -> float:
    return request.start


def _kind(record: Record) -> str:
    return (record.key or b"").decode().partition("-")[0]


def _number(letter: Record, name: str) -> int:
    return int(letter.headers[f"__connect.errors.{name}"])


def _buried_values(letters: Iterable[Record]) -> Iterator[tuple[str, str, int]]:
    for letter in letters:
        if _kind(letter) != MALFORMED:
            event = json.loads(letter.value or b"")
            for name, value in event["profile"].items():
                yield event["mbox3rdPartyId"], name, int(value)


def _shorten(kind: str, found: list[str]) -> list[str]:
    """A few of each kind, and how many there are."""
    shown = [f"{kind}: {text}" for text in found[:SHOWN]]
    return [*shown, f"{kind}: {len(found)} in all"] if len(found) > SHOWN else shown
