"""What must be true in every world, at every moment and at the end; it knows the truth and judges what replicas do.

Each value is the serial number of its event, so that "newer" is a comparison. An attribute of a visitor comes over one
partition only, so that the order of its events is defined. A *stay* is one assignment of one partition to one replica.

1. Nothing is lost. At the moment when a replica asks for a commit, each record that the commit calls done (below its
   offset, or below `until` and not owed by the metadata) is done: for each attribute of it that value or a newer one was
   applied by the endpoint or is in an acknowledged dead letter; a record that cannot be read has its letter.
2. No stale value wins. A replica has one request a visitor on the wire. What is applied is never older than what a later
   stay applied before (a zombie), nor than what the same stay applied before. At the end each attribute has the value of
   its last event, unless that very value is a dead letter.
4. Memory is bounded: pending visitors and bytes are within their bounds, and the batches for which credit was given.
5. The group stays: a replica that runs answers a revoke within the request timeout, and a slack.
6. Reconciled: consumed = done + pending, after each turn of the loop.
7. Little is repeated. Exactly: a request carries no value that its own stay had accepted, none older than its stay had
   sent, and of an attribute the newest value that the replica had taken when the update was taken from the queue. It
   carries nothing that the word with which the stay began calls done. And each commit calls done all that was accepted
   in its stay before that moment, and all that the first word of the stay called done, except beyond a record that waits
   for its own letter, and except what its own visitor's older record still holds back. So after a crash nothing is sent
   again but what was on the wire, and what was settled after the last commit was asked for; more only if that commit was
   not acknowledged, or an older one landed after it.

Besides: a request begins only for a partition that the replica holds and that is not being revoked; while the circuit
is open Retry-After is kept; the first probe after an outage follows within the circuit's longest pause.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from connector.delivery import owed
from connector.delivery.answer import Answer, Verdict
from connector.delivery.letter import DeadLetter, Stage
from connector.delivery.offsets import OffsetAndMetadata, TopicPartition
from connector.pipeline import Pipeline, PipelineConfig
from tests.simulation.timeline import Process, Timeline
from tests.support.fakes import FakeRecord

CREDITS = 2
SLACK_SECONDS = 0.5
Key = tuple[str, str]
"""A visitor and an attribute."""


class Wrong(AssertionError):
    """An invariant does not hold."""


class Fact(NamedTuple):
    """What a record is: `visitor` is empty for one that is skipped; `malformed` for one that cannot be read."""

    visitor: str
    serials: Mapping[str, int]
    malformed: bool = False


class Word:
    """What a commit says is done."""

    __slots__ = ("_owed", "offset", "until")

    def __init__(self, where: OffsetAndMetadata) -> None:
        self.offset = max(0, where.offset)
        said = owed.decode(where.offset, where.metadata)
        self._owed = said.firsts if said is not None else {}
        self.until = said.until if said is not None else self.offset

    def calls_done(self, offset: int, print_: int) -> bool:
        """Whether the record of the visitor with this fingerprint is done, by this word; 0: it has no visitor."""
        if offset < self.offset:
            return True
        if offset >= self.until:
            return False
        first = self._owed.get(print_) if print_ else None
        return first is None or offset < first


@dataclass(eq=False)
class Stay:
    """One assignment of a partition."""

    number: int
    name: TopicPartition
    start: Word
    revoking: bool = False
    taken: int = 0
    newest: dict[Key, int] = field(default_factory=dict)
    sent: dict[Key, int] = field(default_factory=dict)
    accepted: dict[Key, tuple[int, float]] = field(default_factory=dict)
    """The newest accepted value, and when its replica learnt it."""
    letters: dict[int, float] = field(default_factory=dict)
    """When the replica learnt that a record's letter is written."""
    judged: tuple[object, ...] = ()
    changes: int = 0


@dataclass(eq=False)
class Sent:
    """A request."""

    member: str
    visitor: str
    at: float
    parts: list[tuple[Key, int, Stay]]


@dataclass(eq=False)
class Member:
    """A replica, as the oracle watches it."""

    process: Process
    pipeline: Pipeline
    config: PipelineConfig
    batch: int
    batch_bytes: int
    wire: set[str] = field(default_factory=set)
    last: Sent | None = None
    asked_to_wait: tuple[Sent, float] | None = None
    wait_until: float = 0.0
    open_since: float | None = None


class Oracle:
    """Told of everything that happens; raises Wrong (by `wrong`) when it must not have."""

    def __init__(self, timeline: Timeline, names: Sequence[TopicPartition], trace: Callable[..., None]) -> None:
        self._timeline = timeline
        self._trace = trace
        self.facts: dict[TopicPartition, list[Fact]] = {name: [] for name in names}
        self._prints: dict[str, int] = {"": 0}
        self._where: dict[int, tuple[TopicPartition, int]] = {}
        self._open: dict[TopicPartition, list[int]] = {name: [] for name in names}
        """Records that are not known to be done yet."""
        self.expected: dict[Key, int] = {}
        self.profile: dict[Key, int] = {}
        self._highest: dict[Key, tuple[int, int]] = {}
        """The newest value that was ever applied, and the number of its stay."""
        self._buried: dict[Key, int] = {}
        self._letters: dict[tuple[TopicPartition, int], float] = {}
        self._stays: dict[tuple[str, TopicPartition], Stay] = {}
        self._numbers = 0
        self.members: dict[str, Member] = {}
        self.big: set[str] = set()
        """Visitors whose updates may need several requests."""
        self.doomed: Callable[[str], bool] = lambda _visitor: False
        """Whether a visitor's updates may be dead letters."""
        self.words_are_short = False
        """Whether the broker takes less metadata than a commit would say."""
        self.failure: str = ""
        self.counts: Counter[str] = Counter()

    def wrong(self, what: str) -> None:
        """An invariant does not hold: remember it, for an exception may be swallowed, and raise."""
        self.failure = self.failure or f"at {self._timeline.now - 1_000:.3f} s: {what}"
        self._trace("WRONG", what)
        raise Wrong(self.failure)

    # The log.

    def produced(self, name: TopicPartition, fact: Fact) -> None:
        """A record was appended."""
        facts = self.facts[name]
        offset = len(facts)
        facts.append(fact)
        if fact.visitor and fact.visitor not in self._prints:
            self._prints[fact.visitor] = zlib.crc32(f"mbox3rdPartyId\0{fact.visitor}".encode())
        for attribute, serial in fact.serials.items():
            self._where[serial] = (name, offset)
            self.expected[fact.visitor, attribute] = serial
        if fact.visitor or fact.malformed:
            self._open[name].append(offset)

    # What a replica is told.

    def before_assigned(self, member: str, partitions: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        for name, start in partitions.items():
            if (member, name) in self._stays:
                self.wrong(f"{member} is given {name.partition} twice")
            self._numbers += 1
            word = Word(start)
            self._stays[member, name] = Stay(self._numbers, name, word, taken=word.offset)
            self._trace("assigned", member, name.partition, start.offset, word.until)

    def before_records(self, member: str, batch: Sequence[FakeRecord]) -> None:
        if self.members[member].pipeline.draining:
            return
        self._trace("records", member, len(batch))
        for record in batch:
            name = TopicPartition(record.topic(), record.partition())
            stay = self._stays.get((member, name))
            if stay is None:
                continue
            offset = record.offset()
            if offset > stay.taken and stay.taken > stay.start.offset:
                self.wrong(f"{member} was handed {offset} of {name.partition} after {stay.taken}")
            stay.taken = offset + 1
            stay.changes += 1
            fact = self.facts[name][offset]
            if not stay.start.calls_done(offset, self._prints[fact.visitor]):
                for attribute, serial in fact.serials.items():
                    stay.newest[fact.visitor, attribute] = serial

    def after_records(self, member: str, _batch: object) -> None:
        it = self.members[member]
        coalescer, config = it.pipeline.coalescer, it.config
        if len(coalescer) > config.max_visitors + CREDITS * it.batch:
            self.wrong(f"{member} holds {len(coalescer)} visitors, its bound is {config.max_visitors}")
        if coalescer.size > config.max_bytes + CREDITS * it.batch_bytes:
            self.wrong(f"{member} holds {coalescer.size} bytes, its bound is {config.max_bytes}")

    def after_lost(self, member: str, names: Sequence[TopicPartition]) -> None:
        self._trace("lost", member, [name.partition for name in names])
        self.over(member, names)

    def revoking(self, member: str, names: Sequence[TopicPartition]) -> None:
        self._trace("revoking", member, [name.partition for name in names])
        for name in names:
            if (stay := self._stays.get((member, name))) is not None:
                stay.revoking = True

    def over(self, member: str, names: Sequence[TopicPartition]) -> None:
        for name in names:
            self._stays.pop((member, name), None)

    def ended(self, member: str) -> None:
        """Its process is no more."""
        self.over(member, list(self.facts))
        self.members.pop(member, None)

    def revoke_took(self, member: str, began: float) -> None:
        """Invariant 5."""
        it = self.members.get(member)
        if it is None or it.process.went_on_at > began:
            return
        seconds = it.process.clock() - began
        if seconds > it.config.request_timeout + SLACK_SECONDS:
            self.wrong(f"{member} kept the group waiting for {seconds:.1f} s")

    # Offsets.

    def asked(self, member: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """A replica wants this committed: invariants 1 and 7."""
        for name, where in offsets.items():
            self._trace("asks", member, name.partition, where.offset, where.metadata)
            stay = self._stays.get((member, name))
            if stay is None:
                self.wrong(f"{member} commits {name.partition}, which was taken from it")
            elif where.offset > len(self.facts[name]):
                self.wrong(f"{member} commits {name.partition} beyond its end")
            else:
                self._judge(member, stay, where)

    def _judge(self, member: str, stay: Stay, where: OffsetAndMetadata) -> None:
        word, name = Word(where), stay.name
        facts, prints = self.facts[name], self._prints
        left = []
        for offset in self._open[name]:
            if offset >= word.until:
                left.append(offset)
            elif not self._is_done(name, offset):
                left.append(offset)
                if word.calls_done(offset, prints[facts[offset].visitor]):
                    self.wrong(f"lost: {member} commits {name.partition} {where} and {offset} is not done")
        self._open[name] = left
        if self.words_are_short:
            return
        state = (where, stay.changes)
        if stay.judged == state:
            return
        stay.judged = state
        self._is_complete(member, stay, word)

    def _is_complete(self, member: str, stay: Stay, word: Word) -> None:
        """Each record that was done by then is called done."""
        now = self._timeline.now
        facts, name = self.facts[stay.name], stay.name
        held: set[str] = set()
        for offset in range(min(stay.start.offset, word.offset), min(len(facts), max(stay.taken, stay.start.until))):
            fact = facts[offset]
            print_ = self._prints[fact.visitor]
            before = stay.start.calls_done(offset, print_)
            if not before and offset >= stay.taken:
                continue
            if fact.malformed and not before:
                if stay.letters.get(offset, now) >= now:
                    return
                continue
            if not before:
                if fact.visitor in held or not self._is_accepted(stay, fact, now):
                    held.add(fact.visitor)
                    continue
            if not word.calls_done(offset, print_) and fact.visitor not in held:
                self.wrong(
                    f"{member} commits {name.partition} {word.offset}/{word.until}: {offset} was done long before"
                )

    def _is_accepted(self, stay: Stay, fact: Fact, now: float) -> bool:
        if fact.visitor in self.big or self.doomed(fact.visitor):
            return False
        for attribute, serial in fact.serials.items():
            newest = stay.accepted.get((fact.visitor, attribute))
            if newest is None or newest[0] < serial or newest[1] >= now:
                return False
        return True

    def _is_done(self, name: TopicPartition, offset: int) -> bool:
        fact = self.facts[name][offset]
        if fact.malformed:
            return (name, offset) in self._letters
        for attribute, serial in fact.serials.items():
            key = (fact.visitor, attribute)
            if self._highest.get(key, (0,))[0] < serial and self._buried.get(key, 0) < serial:
                return False
        return True

    # Requests.

    def sent(self, member: str, visitor: str, attributes: Mapping[str, str]) -> Sent:
        """A request leaves."""
        it = self.members[member]
        now = self._timeline.now
        self.counts["requests"] += 1
        self._trace("sends", member, visitor, {name: _serial(value) for name, value in attributes.items()})
        if visitor in it.wire:
            self.wrong(f"two requests at once of {member} for {visitor}")
        if it.process.clock() < it.wait_until - 1e-6:
            self.wrong(f"{member} sends {it.wait_until - it.process.clock():.1f} s before Retry-After is over")
        it.wire.add(visitor)
        sent = Sent(member, visitor, now, [])
        for attribute, value in attributes.items():
            serial = _serial(value)
            name, offset = self._where[serial]
            stay = self._stays.get((member, name))
            if stay is None:
                self.wrong(
                    f"{member} sends {visitor} {attribute}={serial} of {name.partition}, which was taken from it"
                )
            else:
                self._may_be_sent(member, stay, (visitor, attribute), serial, offset)
                sent.parts.append(((visitor, attribute), serial, stay))
        it.last = sent
        return sent

    def _may_be_sent(self, member: str, stay: Stay, key: Key, serial: int, offset: int) -> None:
        what = f"{member} sends {key[0]} {key[1]}={serial} of {stay.name.partition}"
        if stay.revoking:
            self.wrong(f"{what} while that is being revoked")
        if stay.start.calls_done(offset, self._prints[key[0]]):
            self.wrong(f"{what}, which an earlier owner had settled and said so")
        if serial < stay.sent.get(key, 0):
            self.wrong(f"{what} after {stay.sent[key]}")
        if serial <= stay.accepted.get(key, (0, 0.0))[0]:
            self.wrong(f"{what}, and {stay.accepted[key][0]} was accepted")
        if key[0] not in self.big and serial != stay.newest.get(key):
            self.wrong(f"{what} with {stay.newest.get(key)} at hand")
        stay.sent[key] = serial

    def applied(self, sent: Sent) -> None:
        """The endpoint has done it, whatever the sender knows."""
        self._trace("applies", sent.member, sent.visitor, [serial for _, serial, _ in sent.parts])
        for key, serial, stay in sent.parts:
            highest, by = self._highest.get(key, (0, 0))
            if serial < highest:
                what = f"{key[0]} {key[1]}={serial} of {sent.member} is applied after {highest}"
                if by == stay.number:
                    self.wrong(f"stale: {what} of the same stay")
                elif by > stay.number:
                    self.wrong(f"zombie: {what} of a later owner")
            else:
                self._highest[key] = (serial, stay.number)
            self.profile[key] = serial

    def answered(self, sent: Sent, answer: Answer) -> None:
        """The replica has its answer."""
        it = self.members.get(sent.member)
        if it is None:
            return
        self._trace("hears", sent.member, sent.visitor, answer.verdict.value)
        self.counts[answer.verdict.value] += 1
        it.wire.discard(sent.visitor)
        accepted = answer.verdict is Verdict.ACCEPTED
        if accepted or (answer.verdict is Verdict.UNCONFIRMED and it.config.accept_unconfirmed):
            for key, serial, stay in sent.parts:
                stay.changes += 1
                if serial > stay.accepted.get(key, (0, 0.0))[0]:
                    stay.accepted[key] = (serial, self._timeline.now)
        if answer.verdict is Verdict.THROTTLED and answer.retry_after and it.last is sent and not it.wire:
            it.asked_to_wait = (sent, it.process.clock() + min(answer.retry_after, it.config.retry.maximum))

    def cut(self, sent: Sent) -> None:
        """The replica gave it up."""
        if (it := self.members.get(sent.member)) is not None:
            self._trace("cuts", sent.member, sent.visitor)
            it.wire.discard(sent.visitor)

    def lettered(self, letter: DeadLetter) -> None:
        """A dead letter is written."""
        self._trace("letter", letter.source.partition, letter.offset, letter.error)
        self.counts["letters"] += 1
        if letter.stage is Stage.DECODE:
            if not self.facts[letter.source][letter.offset].malformed:
                self.wrong(f"a letter for {letter.source.partition} {letter.offset}, which can be read")
            self._letters.setdefault((letter.source, letter.offset), self._timeline.now)
            return
        event = msgspec.json.decode(letter.value or b"")
        visitor = event["mbox3rdPartyId"]
        if not self.doomed(visitor):
            self.wrong(f"{visitor} is a dead letter ({letter.error}: {letter.reason})")
        for attribute, value in event["profile"].items():
            key = (visitor, attribute)
            self._buried[key] = max(self._buried.get(key, 0), _serial(value))

    def letter_heard(self, member: str, letter: DeadLetter) -> None:
        """The replica learns that it is written."""
        stay = self._stays.get((member, letter.source))
        if stay is not None and letter.stage is Stage.DECODE:
            stay.changes += 1
            stay.letters[letter.offset] = self._timeline.now

    # After each turn of a replica's loop, and at the end.

    def after_turn(self, member: str) -> None:
        """Invariant 6, and what the answers of this turn did to the circuit."""
        it = self.members.get(member)
        if it is None:
            return
        pipeline, tally = it.pipeline, it.pipeline.tally
        if tally.events_consumed != sum(tally.events_done.values()) + pipeline.events_pending:
            self.wrong(f"{member} consumed {tally.events_consumed}, done and pending are another number")
        if not pipeline.circuit.is_open:
            it.open_since = None
            it.asked_to_wait = None
            it.wait_until = 0.0
            return
        opened = it.open_since is None
        if opened:
            it.open_since = self._timeline.now
        if it.asked_to_wait is not None:
            sent, until = it.asked_to_wait
            it.asked_to_wait = None
            if opened or (it.open_since is not None and sent.at > it.open_since):
                it.wait_until = until

    def at_end(self, committed: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """All is calm and drained: the fold of the events, and every offset committed."""
        for name, facts in self.facts.items():
            if max(0, committed.get(name, OffsetAndMetadata(0)).offset) != len(facts):
                self.wrong(f"{name.partition} is committed at {committed.get(name)} of {len(facts)}")
            for offset in self._open[name]:
                if not self._is_done(name, offset):
                    self.wrong(f"lost: {name.partition} {offset} is not done at the end")
        for key, serial in self.expected.items():
            if self.profile.get(key) != serial and self._buried.get(key) != serial:
                self.wrong(f"stale: {key[0]} has {key[1]}={self.profile.get(key)} at the end, not {serial}")


def _serial(value: str) -> int:
    return int(value.partition(".")[0])
