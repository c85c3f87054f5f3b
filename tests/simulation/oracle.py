"""What must hold in every world, at every moment and at the end; it knows the truth and checks each action.

Each value is the serial number of its event, so that "newer" is a comparison. An attribute of a visitor comes over one
partition only, so that the order of its events is defined. A *stay* is one assignment of one partition to one replica.

1. Nothing is lost. When a replica requests a commit, each record that the commit calls done (below its
   offset, or below `until` and not owed by the metadata) is done: for each attribute of it that value or a newer one
   was applied by the endpoint or is in an acknowledged dead letter; a record that cannot be read has its letter. A
   healthy visitor is no dead letter unless its replica could not know better: no other healthy one failed, or plain
   500s came for fewer visitors than open the circuit (docs/guarantees.md has both among its limits).
2. No stale value wins. A replica has one request a visitor in flight. An applied value is never older than what a
   later stay applied before (a zombie), nor than what the same stay applied before. At the end each attribute has the
   value of its last event, unless that very value is a dead letter.
4. Memory is bounded: pending visitors and bytes are within their bounds, plus the batches that credit was given for.
5. The group is stable: a running replica answers a revoke within the request timeout, and a slack.
6. Reconciled: consumed = done + pending, after each turn of the loop.
7. Little is repeated. Exactly: a request carries no value that its own stay had accepted, none older than its stay had
   sent, and of an attribute the newest value that the replica had taken when the update was taken from the queue. It
   carries nothing that the metadata at the stay's start calls done. And each commit calls done all that was accepted
   in its stay before that moment, and all that the stay's first metadata called done, except what its own visitor's
   older record still holds back, or an older record without a visitor that waits for its letter. So after a crash
   only requests in flight, and what was settled after the last commit was requested, are sent again; more only
   if that commit was not acknowledged, or an older one landed after it.

8. Age, where events have one: see ages.py. What was left out as too old counts as done, and as it were not there.
9. Class, where events have one: see classes.py.

Besides: a request begins only for a partition that the replica holds and that is not being revoked; while the circuit
is open Retry-After is kept; the first probe after an outage follows within the circuit's longest pause, counted from
the last answer.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.dead_letter import DeadLetter, Stage
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.events.change import PRIORITIES
from tests.simulation.ages import Watch
from tests.simulation.classes import Turns
from tests.simulation.logs import Logs, SimulatedState
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Member, Sent, Stay, Truth, Word, Wrong, serial_of
from tests.simulation.values import Key
from tests.simulation.words import Words
from tests.support.fakes import FakeRecord

CREDITS = 2
MOST_CHANGES = 5
"""Changes that a record carries."""
RESERVE = 1.05
"""Extra visitors beyond the bounds, when no pending update can show whether the endpoint works."""
SLACK_SECONDS = 0.5
FAILURES_TO_OPEN = 8
PROBE_SECONDS, UNAUTHORIZED_PROBE_SECONDS = 2.0, 10.0


class Oracle:
    """Receives every event; raises Wrong (by `wrong`) at a violation."""

    def __init__(self, timeline: Timeline, logs: Logs, trace: Callable[..., None], max_age: float = 0.0) -> None:
        """`max_age`: seconds after which an event is too old to be sent; 0: none is."""
        self._timeline = timeline
        self._trace = trace
        self.truth = Truth(logs, timeline, max_age)
        self._watches: dict[str, Watch] = {}
        self._stays: dict[tuple[str, TopicPartition], Stay] = {}
        self._retired: dict[tuple[str, TopicPartition], list[Stay]] = {}
        """Stays that ended because the log was replaced; their values are still sent."""
        self._numbers = 0
        self.members: dict[str, Member] = {}
        self.big: set[str] = set()
        """Visitors whose updates may need several requests."""
        self.doomed: Callable[[str], bool] = lambda _visitor: False
        """Whether a visitor's updates may be dead letters."""
        self._words = Words(timeline, self.truth, self._is_certain, self.wrong)
        self.is_draining = False
        """The replica whose call is heard takes nothing new."""
        self.failure: str = ""
        self.counts: Counter[str] = Counter()

    def words_are_short(self) -> None:
        """The broker takes less metadata than a commit needs."""
        self._words.are_short = True

    def watch(self, member: str) -> Watch | None:
        """What its pipeline is to be observed by; None: its events have no age."""
        if not self.truth.ages.max_age:
            return None
        it = Watch(member, self.truth.ages, self.truth.values, self._stay_of, self.wrong, self.counts)
        self._watches[member] = it
        return it

    def turns(self, member: str, aging: float) -> Turns:
        """What its pipeline is to be observed by where its events have classes."""
        return Turns(member, self.truth.classes, aging, self.wrong, self.counts)

    def _is_certain(self, visitor: str) -> bool:
        return visitor not in self.big and not self.doomed(visitor)

    def wrong(self, what: str) -> None:
        """An invariant does not hold: remember it, since an exception may be swallowed, and raise."""
        self.failure = self.failure or f"at {self._timeline.now - 1_000:.3f} s: {what}"
        self._trace("WRONG", what)
        raise Wrong(self.failure)

    # Intake.

    def before_assigned(self, member: str, partitions: Mapping[TopicPartition, Start]) -> None:
        for name, start in partitions.items():
            log = start.log
            assert isinstance(log, SimulatedState)
            before = self._stays.pop((member, name), None)
            if before is not None:
                if before.version == log.version:
                    self.wrong(f"{member} is given {name.partition} twice")
                self._retired.setdefault((member, name), []).append(before)
            if start.is_first and start.offset > 0 and not log.is_group_known:
                self.truth.begun(name, start.offset)  # `latest`, and no member has begun before.
            self._numbers += 1
            word = Word.at(name, start)
            # Truncated below the committed offset while nobody read: the client finds it by the epoch, and begins anew.
            is_cut = start.mark.epoch >= 0 and self.truth.logs[name].end_of(start.mark.epoch) < start.committed.offset
            version = -1 if is_cut and not start.is_reread else log.version
            self._stays[member, name] = Stay(self._numbers, name, word, version, taken=word.offset)
            self._trace("assigned", member, name.partition, start.offset, word.until)

    def before_records(self, member: str, batch: Sequence[FakeRecord]) -> None:
        self.is_draining = self.members[member].pipeline.state.draining
        if (watch := self._watches.get(member)) is not None:
            watch.begin_batch()
        if not self.is_draining:
            self._trace("records", member, len(batch))

    def after_records(self, member: str, batch: Sequence[FakeRecord]) -> None:
        if self.is_draining:
            return
        held, watch = self.members[member].pipeline.schema_holds.held, self._watches.get(member)
        for record in batch:
            name = TopicPartition(record.topic(), record.partition())
            stay = self._stays.get((member, name))
            if stay is None or (name in held and record.offset() >= held[name].offset):
                continue  # It is not taken: it comes again.
            offset = record.offset()
            log = self.truth.logs[name]
            if stay.version == log.version and any(
                it is not None for it in log.records[max(log.low, stay.taken) : offset]
            ):
                self.wrong(f"{member} was handed {offset} of {name.partition} after {stay.taken}")
            stay.taken = offset + 1
            stay.changes += 1
            for fact in self.truth.of[record]:
                if not stay.start.calls_done(offset, self.truth.prints[fact.visitor], fact.epoch):
                    if watch and fact.serials and watch.passes_over(record, [*fact.serials.values()], stay):
                        continue
                    for attribute, serial in fact.serials.items():
                        stay.newest[fact.visitor, attribute] = serial
                        stay.serials.add(serial)
                        self.truth.values.taken(serial, self._timeline.now)
        self._is_bounded(member)

    def _is_bounded(self, member: str) -> None:
        """Invariant 4."""
        it = self.members[member]
        coalescer, config = it.pipeline.state.coalescer, it.config
        most = CREDITS * it.batch * MOST_CHANGES
        if len(coalescer) > RESERVE * config.max_visitors + most:
            self.wrong(f"{member} holds {len(coalescer)} visitors, its bound is {config.max_visitors}")
        if coalescer.size > RESERVE * config.max_bytes + CREDITS * it.batch_bytes:
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
            self._retired.pop((member, name), None)

    def ended(self, member: str) -> None:
        """Its process has ended."""
        self.over(member, list(self.truth.facts))
        self.members.pop(member, None)
        self._watches.pop(member, None)

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
        """A replica requests this commit: invariants 1 and 7."""
        for name, where in offsets.items():
            self._trace("asks", member, name.partition, where.offset, where.metadata)
            stay = self._stays.get((member, name))
            if stay is None:
                self.wrong(f"{member} commits {name.partition}, which was taken from it")
            elif where.offset > len(self.truth.facts[name]) and stay.version == self.truth.logs[name].version:
                self.wrong(f"{member} commits {name.partition} beyond its end")
            else:
                self._words.judge(member, stay, where)

    # Requests.

    def sent(self, member: str, visitor: str, attributes: Mapping[str, str]) -> Sent:
        """A request is sent."""
        it = self.members[member]
        now = self._timeline.now
        self.counts["requests"] += 1
        self._trace("sends", member, visitor, {name: serial_of(value) for name, value in attributes.items()})
        if visitor in it.wire:
            self.wrong(f"two requests at once of {member} for {visitor}")
        if it.process.clock() < it.wait_until - 1e-6:
            self.wrong(f"{member} sends {it.wait_until - it.process.clock():.1f} s before Retry-After is over")
        it.wire.add(visitor)
        sent = Sent(member, visitor, now, [])
        for attribute, value in attributes.items():
            key = self.truth.values.key(visitor, attribute, serial_of(value))
            serial, stay = self._event_of(member, key, serial_of(value))
            if stay is None:
                self.wrong(f"{member} sends {visitor} {attribute}={serial} of a partition that was taken from it")
            else:
                self._may_be_sent(member, stay, key, serial)
                sent.parts.append((key, serial, stay))
        if (watch := self._watches.get(member)) is not None:
            watch.request(visitor, attributes)
        if all(serial <= self.truth.highest.get(key, (0,))[0] for key, serial, _ in sent.parts):
            self.counts["repeats"] += 1
        it.last = sent
        it.sent_at = now
        return sent

    def _event_of(self, member: str, key: Key, value: int) -> tuple[int, Stay | None]:
        """The event whose value it is: of several with the same one the newest that the replica has."""
        for serial in self.truth.values.events(key, value):
            if (stay := self._stay_of(member, serial)) is not None:
                return serial, stay
        return value, None

    def _stay_of(self, member: str, serial: int) -> Stay | None:
        """The newest assignment of this replica that consumed the value."""
        its = [stay for (who, _), stay in self._stays.items() if who == member]
        its += [stay for (who, _), stays in self._retired.items() if who == member for stay in reversed(stays)]
        return next((stay for stay in its if serial in stay.serials), None)

    def _at_hand(self, member: str, stay: Stay, key: Key) -> int | None:
        """The newest value that the replica has, of this partition's log or of those before it."""
        current = self._stays.get((member, stay.name))
        its = [*self._retired.get((member, stay.name), ()), *([current] if current is not None else [])]
        return next((it.newest[key] for it in reversed(its) if key in it.newest), None)

    def _may_be_sent(self, member: str, stay: Stay, key: Key, serial: int) -> None:
        what = f"{member} sends {key[0]} {key[1]}={serial} of {stay.name.partition}"
        if stay.revoking:
            self.wrong(f"{what} while that is being revoked")
        if serial < stay.sent.get(key, 0):
            self.wrong(f"{what} after {stay.sent[key]}")
        if serial <= stay.accepted.get(key, (0, 0.0))[0]:
            self.wrong(f"{what}, and {stay.accepted[key][0]} was accepted")
        if key[0] not in self.big and serial != self._at_hand(member, stay, key):
            self.wrong(f"{what} with {self._at_hand(member, stay, key)} at hand")
        stay.sent[key] = serial

    def applied(self, sent: Sent) -> None:
        """The endpoint has applied it, whether the sender knows or not."""
        self._trace("applies", sent.member, sent.visitor, [serial for _, serial, _ in sent.parts])
        for key, serial, stay in sent.parts:
            highest, by = self.truth.highest.get(key, (0, 0))
            if serial < highest:
                what = f"{key[0]} {key[1]}={serial} of {sent.member} is applied after {highest}"
                if by == stay.number:
                    self.wrong(f"stale: {what} of the same stay")
                elif by > stay.number:
                    self.wrong(f"zombie: {what} of a later owner")
            else:
                self.truth.highest[key] = (serial, stay.number)
            self.truth.profile[key] = serial
            self.truth.values.applied(key, serial, self._timeline.now)

    def answered(self, sent: Sent, answer: Answer) -> None:
        """The replica gets its answer."""
        it = self.members.get(sent.member)
        if it is None:
            return
        self._trace("hears", sent.member, sent.visitor, answer.verdict.value)
        it.heard_at = self._timeline.now
        self.counts[answer.verdict.value] += 1
        it.wire.discard(sent.visitor)
        unconfirmed = answer.verdict is Verdict.UNCONFIRMED and it.config.accept_unconfirmed
        accepted = answer.verdict is Verdict.ACCEPTED or unconfirmed
        if accepted:
            for key, serial, stay in sent.parts:
                stay.changes += 1
                if serial > stay.accepted.get(key, (0, 0.0))[0]:
                    stay.accepted[key] = (serial, self._timeline.now)
        if accepted or answer.verdict in (Verdict.REJECTED, Verdict.UNKNOWN_VISITOR):
            it.failing.pop(sent.visitor, None)
            it.firsts.clear()
        else:
            if sent.visitor not in it.failing:
                it.firsts.add(sent.visitor)
            it.failing.setdefault(sent.visitor, self._timeline.now)
            it.failed[sent.visitor] = self._timeline.now
        if answer.verdict is Verdict.THROTTLED and answer.retry_after:
            seconds = min(answer.retry_after, it.config.retry.maximum)
            it.longest_wait = max(it.longest_wait, self._timeline.now + seconds)
            if it.last is sent and not it.wire:
                it.asked_to_wait = (sent, it.process.clock() + seconds)

    def cut(self, sent: Sent) -> None:
        """The replica gave it up."""
        if (it := self.members.get(sent.member)) is not None:
            self._trace("cuts", sent.member, sent.visitor)
            it.wire.discard(sent.visitor)

    def lettered(self, member: str, letter: DeadLetter) -> None:
        """A dead letter is written."""
        self._trace("letter", letter.source.partition, letter.offset, letter.error)
        self.counts["letters"] += 1
        if letter.stage is Stage.DECODE:
            records = self.truth.logs[letter.source].records
            record = records[letter.offset] if letter.offset < len(records) else None
            if record is None or record.value() != letter.value:
                return  # Of a log that was replaced.
            facts, place = self.truth.facts[letter.source][letter.offset], letter.item or 0
            if not facts[place].malformed:
                self.wrong(f"a letter for {letter.source.partition} {letter.offset}, which can be read")
            if letter.item is None and len(facts) > 1:
                self.wrong(f"a letter for all of {letter.source.partition} {letter.offset}")
            self.truth.letters.add((letter.source, letter.offset, place))
            return
        event = msgspec.json.decode(letter.value or b"")
        visitor = event["mbox3rdPartyId"]
        priority = PRIORITIES[event.get("priority") or "normal"]
        if fault := self.truth.classes.fault(visitor, event["profile"], priority):
            self.wrong(f"a letter says {fault}")
        if not self.doomed(visitor) and (
            letter.error != "RetriesExhausted" or self._shows_an_outage(member, visitor, letter.reason)
        ):
            self.wrong(f"{visitor} is a dead letter ({letter.error}: {letter.reason})")
        for attribute, value in event["profile"].items():
            key = (visitor, attribute)
            (serial, *_) = self.truth.values.events(key, serial_of(value))
            self.truth.buried[key] = max(self.truth.buried.get(key, 0), serial)

    def _shows_an_outage(self, member: str, visitor: str, reason: str) -> bool:
        """Whether the replica could know that it is not this update's own failure."""
        it = self.members.get(member)
        if it is None or ("HTTP 500" in reason and len(it.firsts) < FAILURES_TO_OPEN):
            return False
        since = it.failing.get(visitor, math.inf)
        return any(when >= since for other, when in it.failed.items() if other != visitor and not self.doomed(other))

    def stay(self, member: str, name: TopicPartition) -> Stay | None:
        """The current assignment."""
        return self._stays.get((member, name))

    def letter_heard(self, member: str, letter: DeadLetter, stay: Stay | None) -> None:
        """The replica learns that it is written; a letter of an earlier assignment is ignored."""
        if stay is not None and stay is self.stay(member, letter.source) and letter.stage is Stage.DECODE:
            stay.changes += 1
            stay.letters[letter.offset, letter.item or 0] = self._timeline.now

    # After each turn of a replica's loop, and at the end.

    def after_turn(self, member: str) -> None:
        """Invariant 6, and the effect of this turn's answers on the circuit."""
        it = self.members.get(member)
        if it is None:
            return
        pipeline, tally = it.pipeline, it.pipeline.state.counters
        if tally.events_consumed != sum(tally.events_done.values()) + pipeline.state.events_pending:
            self.wrong(f"{member} consumed {tally.events_consumed}, done and pending are another number")
        if (watch := self._watches.get(member)) is not None and tally.events_done[Done.EXPIRED] != watch.expired:
            self.wrong(f"{member} counts {tally.events_done[Done.EXPIRED]} records as expired, not {watch.expired}")
        if not pipeline.state.gate.circuit.is_open:
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

    def healed(self) -> None:
        """The endpoint works again: a replica with an open circuit must probe it soon."""
        now = self._timeline.now
        for name, it in self.members.items():
            gate = it.pipeline.state.gate
            if gate.circuit.is_open and gate.rate.wait(now) <= 0 and gate.in_flight < it.config.max_in_flight:
                self._timeline.after(PROBE_SECONDS + SLACK_SECONDS, self._has_probed, name, now)

    def _has_probed(self, member: str, healed: float) -> None:
        it = self.members.get(member)
        if it is None or it.process.frozen or it.process.slept or it.process.went_on_at >= healed:
            return
        pipeline, now = it.pipeline, self._timeline.now
        # A probe that was in flight when the endpoint recovered may fail: the pause begins with its answer. And
        # an earlier Retry-After may still hold.
        unauthorized = pipeline.state.gate.circuit.reason == Verdict.UNAUTHORIZED.value
        pause = UNAUTHORIZED_PROBE_SECONDS if unauthorized else PROBE_SECONDS
        until = max(healed, it.heard_at, it.longest_wait) + pause + SLACK_SECONDS
        if now < until - 1e-6:
            self._timeline.at(until, self._has_probed, member, healed)
            return
        may = (
            pipeline.state.gate.lease.left(now) > 0
            and now < pipeline.state.gate.closes_at
            and not pipeline.state.draining
        )
        due = pipeline.state.coalescer.due_in(healed) <= 0
        if may and due and it.open_since is not None and it.open_since <= healed and it.sent_at < healed:
            self.wrong(f"{member} does not ask the endpoint, which works since {healed - 1_000:.3f} s")

    def at_end(self, committed: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """At the end, drained: the fold of the events, and every offset committed."""
        for name, facts in self.truth.facts.items():
            if max(0, committed.get(name, OffsetAndMetadata(0)).offset) != len(facts):
                self.wrong(f"{name.partition} is committed at {committed.get(name)} of {len(facts)}")
            for offset in self.truth.open[name]:
                if not self.truth.is_done(name, offset):
                    self.wrong(f"lost: {name.partition} {offset} is not done at the end")
        for key, serial in self.truth.expected().items():
            # A newer value that is lost, or was left out as too old, may have been applied or buried before.
            gone = {it for it in self.truth.excused.get(key, set()) | self.truth.ages.gone if it > serial}
            if self.truth.profile.get(key) in gone or self.truth.buried.get(key) in gone:
                continue
            if not self.truth.values.has(key, serial) and self.truth.buried.get(key) != serial:
                self.wrong(f"stale: {key[0]} has {key[1]}={self.truth.profile.get(key)} at the end, not {serial}")
