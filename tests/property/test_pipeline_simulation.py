"""The whole pipeline in small random worlds on virtual time: what no list of named cases would think of.

A world is a log, an endpoint, a dead-letter topic and one or two members; everything in it follows from its seed. Each
value is the serial number of its event, so that "newer" is a comparison and a commit can be judged when it happens.
"""

import asyncio
import random
from collections import Counter

import msgspec
import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.letter import DeadLetter
from connector.delivery.offsets import TopicPartition
from connector.delivery.retry import RetryPolicy
from connector.delivery.tally import Done
from tests.support.bench import Bench, quiet
from tests.support.fakes import Applied, FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.virtual_time import run

PARTITIONS = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("t", 2)]
TIMEOUT = 10.0
POISON = "poison"
"""Visitors whose name begins so are refused for good."""
BIG = 40_000
"""Two values of this length need two requests."""


class World:
    """One seed's log, endpoint and group."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log = FakeLog({name: [] for name in PARTITIONS}, on_commit=self._judge)
        self.sender = FakeSender(self._behave)
        self.letters = FakeDeadLetters()
        self.members: list[Bench] = []
        self.expected: dict[str, dict[str, str]] = {}
        self.malformed: set[tuple[TopicPartition, int]] = set()
        self.contents: dict[tuple[TopicPartition, int], tuple[str, dict[str, str]]] = {}
        self.serial = 0
        self.trouble = self.rng.choice([0.0, 0.1, 0.4])
        self.slowness = self.rng.choice([0.01, 0.5, 4.0])
        self.outage_until = 0.0
        self.outage = Answer(Verdict.UNAVAILABLE, "HTTP 500")

    # The log.

    def produce(self) -> None:
        """Append one record: mostly an event of a visitor's own partition, at times a tombstone or rubbish."""
        rng = self.rng
        number = rng.randrange(12)
        partition = PARTITIONS[number % len(PARTITIONS)]
        kind = rng.random()
        if kind < 0.03:
            self.log.append(None, partition=partition.partition)
        elif kind < 0.06:
            value = rng.choice([b"{", b"[]", event("x"), event("x", a=[1]), b"\xff"])
            self.malformed.add((partition, self.log.append(value, partition=partition.partition)))
        else:
            self._produce_event(f"{POISON if number == 11 else 'v'}{number}", partition)

    def _produce_event(self, visitor: str, partition: TopicPartition) -> None:
        self.serial += 1
        names = self.rng.sample("abcd", self.rng.randint(1, 2))
        values = {name: str(self.serial) for name in names}
        if visitor == "v1" and self.rng.random() < 0.3:
            values = dict.fromkeys("ab", f"{self.serial}.{'x' * BIG}")
        if self.rng.random() < 0.2 and not visitor.startswith(POISON):
            # Visitors whose events come over all partitions: each has names of its own there, so the order is defined.
            visitor = f"w{visitor}"
            partition = self.rng.choice(PARTITIONS)
            values = {f"{name}{partition.partition}": value for name, value in values.items()}
        offset = self.log.append(event(visitor, **values), partition=partition.partition)
        self.contents[partition, offset] = (visitor, values)
        self.expected.setdefault(visitor, {}).update(values)

    def _judge(self, name: TopicPartition, committed: int) -> None:
        """Invariant 1 at the moment of a commit: all before it is at the endpoint or a dead letter."""
        before = self.log.committed.get(name, 0)
        assert committed >= before, "a commit went back"
        letters = {(letter.source, letter.offset) for letter in self.letters.letters}
        buried = self._buried()
        for offset in range(before, committed):
            if (name, offset) in self.malformed:
                assert (name, offset) in letters
            elif (name, offset) in self.contents:
                visitor, values = self.contents[name, offset]
                profile = self.sender.profiles.get(visitor, {})
                for attribute, value in values.items():
                    newest = _serial(profile.get(attribute, "0"))
                    if visitor.startswith(POISON):
                        newest = max(newest, _serial(buried.get(attribute, "0")))
                    assert newest >= _serial(value), f"{name} {offset} was lost"

    def _buried(self) -> dict[str, str]:
        newest: dict[str, str] = {}
        for letter in self.letters.letters:
            if letter.error == "Rejected":
                for name, value in _profile(letter).items():
                    newest[name] = max(newest.get(name, "0"), value, key=_serial)
        return newest

    # The endpoint.

    def _behave(self, visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        rng = self.rng
        seconds = rng.uniform(0.0, self.slowness) if rng.random() < 0.9 else rng.uniform(0.0, TIMEOUT * 0.9)
        if asyncio.get_running_loop().time() < self.outage_until:
            return self.outage, seconds
        if rng.random() < self.trouble:
            return rng.choice(
                [
                    (Answer(Verdict.UNAVAILABLE, "HTTP 500"), seconds),
                    (Answer(Verdict.UNAVAILABLE, "refused", reached=False), 0.0),
                    (Answer(Verdict.THROTTLED, "HTTP 429", retry_after=rng.choice([None, 0.0, 3.0])), seconds),
                    (Applied(Verdict.TIMEOUT, "no answer"), TIMEOUT * 0.95),
                    (Answer(Verdict.TIMEOUT, "no answer"), TIMEOUT * 0.95),
                    (Applied(Verdict.UNCONFIRMED, "an empty body"), seconds),
                ]
            )
        if visitor.startswith(POISON):
            return Answer(Verdict.REJECTED, "HTTP 400"), seconds
        return Answer(Verdict.ACCEPTED), seconds

    # The group.

    async def join(self) -> None:
        """A member starts, without partitions."""
        rng = self.rng
        member = Bench(
            self.log,
            self.sender,
            self.letters,
            seed=rng.getrandbits(32),
            batch=rng.choice([1, 7, 50]),
            assign=False,
            linger=rng.choice([0.0, 0.2, 1.0]),
            retry=RetryPolicy(0.5, rng.choice([2.0, 60.0]), 1_000_000),
            max_visitors=rng.choice([4, 200_000]),
            max_in_flight=rng.choice([1, 3, 64]),
            updates_per_second=rng.choice([0.0, 20.0]),
            commit_interval=rng.choice([0.3, 5.0]),
            request_timeout=TIMEOUT,
            max_dead_letters_in_a_row=0,
            max_dead_letter_ratio=0.0,
        )
        await member.start()
        self.members.append(member)

    def assign_free(self) -> None:
        """Whatever nobody owns goes to someone."""
        owned = {name for member in self.members for name in member.source.owned}
        for name in PARTITIONS:
            if name not in owned:
                self.rng.choice(self.members).source.assign(name)

    async def shake(self) -> None:
        """One thing happens to the group, the coordinator or the endpoint."""
        rng = self.rng
        member = rng.choice(self.members)
        owned = [name for name in member.source.owned if rng.random() < 0.7]
        what = rng.randrange(7)
        if what == 0 and owned:
            await member.source.revoke(*owned)
        elif what == 1 and owned:
            member.source.lose(*owned)
            # The coordinator waits for the session, and a request is shorter than that: so its last one has landed.
            await asyncio.sleep(TIMEOUT)
        elif what == 2:
            self.members.remove(member)
            self.sender.applies_what_is_cut = rng.random() < 0.5
            member.crash()
            await asyncio.sleep(0.5)
            await self.join()
        elif what == 3:
            self.members.remove(member)
            await member.stop()
            await self.join()
        elif what == 4:
            member.source.fail_commits = rng.randint(1, 5)
            member.source.failed_commits_land = rng.random() < 0.5
        elif what == 5:
            self.outage_until = asyncio.get_running_loop().time() + rng.choice([1.0, 30.0])
            self.outage = Answer(rng.choice([Verdict.UNAUTHORIZED, Verdict.UNAVAILABLE, Verdict.THROTTLED]), "down")
        else:
            self.letters.hold.clear()
            asyncio.get_running_loop().call_later(rng.choice([0.5, 20.0]), self.letters.hold.set)
        self.assign_free()

    async def live(self) -> None:
        """From the first record to the last commit."""
        rng = self.rng
        for _ in range(rng.choice([1, 2])):
            await self.join()
        self.assign_free()
        for _ in range(rng.randint(2, 8)):
            for _ in range(rng.randint(0, 40)):
                self.produce()
            for member in self.members:
                member.source.feed()
            await asyncio.sleep(rng.choice([0.0, 0.3, 3.0]))
            if rng.random() < 0.7:
                await self.shake()
        self.letters.hold.set()
        for member in self.members:
            member.source.feed()
        for member in self.members:
            await member.settle()
        for member in self.members:
            member.source.fail_commits = 0
        for member in self.members:
            await member.stop()


def _serial(value: str) -> int:
    return int(value.partition(".")[0])


def _profile(letter: DeadLetter) -> dict[str, str]:
    assert letter.value is not None
    profile: dict[str, str] = msgspec.json.decode(letter.value)["profile"]
    return profile


def _settled_well(world: World) -> None:
    """What must be true at the end of any world."""
    # Two members may each have a part of the visitors that all partitions share.
    overlapped = {visitor for visitor in world.sender.overlapped if not visitor.startswith("w")}
    assert not overlapped, "two requests at once for a visitor"
    for visitor, expected in world.expected.items():
        if not visitor.startswith(POISON):
            assert world.sender.profiles.get(visitor) == expected
    assert {name: world.log.committed.get(name, 0) for name in PARTITIONS} == {
        name: len(world.log.records[name]) for name in PARTITIONS
    }
    letters = Counter((letter.source, letter.offset) for letter in world.letters.letters)
    assert world.malformed <= letters.keys()
    for letter in world.letters.letters:
        assert ((letter.source, letter.offset) in world.malformed) == (letter.error == "Refused")


@pytest.mark.parametrize("block", range(10))
def test_nothing_is_lost_and_nothing_is_stale_in_any_world(block: int) -> None:
    """After crashes, rebalances, outages and failed commits each profile is the fold of its events."""
    with quiet():
        for seed in range(block * 30, block * 30 + 30):
            world = World(seed)
            try:
                run(world.live())
                _settled_well(world)
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise


@pytest.mark.parametrize("seed", range(20))
def test_a_visitor_never_goes_back_in_time_while_one_member_owns_it(seed: int) -> None:
    """In one assignment the values on the wire only ascend; a retry that kept its old values would send them again."""

    async def main() -> None:
        await world.join()
        world.assign_free()
        for _ in range(10):
            for _ in range(20):
                world.produce()
            world.members[0].source.feed()
            await asyncio.sleep(world.rng.choice([0.0, 0.5, 5.0]))
        await world.members[0].settle()
        await world.members[0].stop()

    with quiet():
        world = World(seed)
        world.trouble = 0.5
        run(main())
    _settled_well(world)
    newest: dict[tuple[str, str], int] = {}
    for _, visitor, attributes in world.sender.sent:
        for name, value in attributes.items():
            assert _serial(value) >= newest.get((visitor, name), 0)
            newest[visitor, name] = _serial(value)
    (member,) = world.members
    tally = member.pipeline.tally
    assert tally.events_consumed == sum(len(records) for records in world.log.records.values())
    assert member.done(Done.HANDED_OVER) == 0
    assert sum(tally.requests.values()) == len(world.sender.sent)
    assert sum(tally.request_seconds.counts) == len(world.sender.sent)
    assert sum(tally.event_age_seconds.counts) == tally.updates_accepted
