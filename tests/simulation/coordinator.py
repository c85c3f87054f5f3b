"""A group coordinator with the relevant behaviour of Kafka's: sessions, cooperative hand-over, its checks.

Missing checks matter too: a member may commit a partition that it does not own, an older commit may land
after a newer one, and a fenced member learns of it only at its next request.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from tests.simulation.timeline import Timeline

NOTHING = OffsetAndMetadata(-1)


class Client(Protocol):
    """A member as the coordinator calls it."""

    def is_reachable(self) -> bool:
        """Whether it answers now."""
        ...

    def told(self, what: str, names: list[TopicPartition]) -> None:
        """Assign or revoke these."""
        ...


class Seat:
    """A known member, until its session ends or it leaves."""

    def __init__(self, number: int, client: Client, instance: str) -> None:
        self.number = number
        self.instance = instance
        """The name of a static member; empty: it is none."""
        self.client = client
        self.heard = 0.0
        self.silences = 0
        self.mail: deque[tuple[str, TopicPartition]] = deque()


class Refusal(Exception):
    """A refused commit."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Coordinator:
    """Partitions, their owners and committed offsets."""

    def __init__(  # noqa: PLR0913 - a broker has that many settings
        self,
        timeline: Timeline,
        rng: random.Random,
        names: list[TopicPartition],
        *,
        session: float,
        heartbeat: float,
        poll_interval: float,
        classic: bool,
        most_characters: int,
        trace: Callable[..., None],
    ) -> None:
        """`classic`: a commit keeps the session alive, as in that protocol. Times in seconds."""
        self._timeline = timeline
        self._rng = rng
        self._session = session
        self._heartbeat = heartbeat
        self._poll_interval = poll_interval
        self._classic = classic
        self._most_characters = most_characters
        self._trace = trace
        self.seats: dict[int, Seat] = {}
        self.owner: dict[TopicPartition, Seat | None] = dict.fromkeys(names)
        self._going: dict[TopicPartition, Seat] = {}
        """The next owner of a partition whose owner gives it up."""
        self._numbers = 0
        self._revokes = 0
        self._asked: dict[TopicPartition, int] = {}
        """The number of the last revoke of each partition."""
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}

    # Membership.

    def join(self, client: Client, instance: str) -> int:
        """Add a member without partitions; a known static member has its former ones at once."""
        self._numbers += 1
        seat = self.seats[self._numbers] = Seat(self._numbers, client, instance)
        seat.heard = self._timeline.now
        self._trace("joined", self._numbers, instance)
        before = next(
            (it for it in self.seats.values() if it is not seat and instance and it.instance == instance), None
        )
        if before is not None:
            self._replace(before, seat)
        self.rebalance()
        return seat.number

    def _replace(self, before: Seat, seat: Seat) -> None:
        del self.seats[before.number]
        self._going = {name: seat if to is before else to for name, to in self._going.items()}
        for name, owner in self.owner.items():
            if owner is before:
                self.owner[name] = seat
                self._post(seat, "assign", name)
                to = self._going.pop(name, None)
                if to is not None:
                    self._move(name, to)

    def leave(self, number: int) -> None:
        """It leaves, or its session expires: its partitions are free at once."""
        seat = self.seats.pop(number, None)
        if seat is None:
            return
        self._trace("left", number)
        for name, owner in self.owner.items():
            if owner is seat:
                self.owner[name] = None
        self._going = {name: to for name, to in self._going.items() if to is not seat and self.owner[name] is not None}
        self.rebalance()

    def silent(self, number: int) -> None:
        """It is unreachable from now on; its last heartbeat was a while ago."""
        seat = self.seats.get(number)
        if seat is None:
            return
        seat.heard = max(seat.heard, self._timeline.now - self._rng.uniform(0.0, self._heartbeat))
        seat.silences += 1
        self._timeline.at(seat.heard + self._session, self._expire, seat, seat.silences)

    def heartbeat(self, number: int) -> bool:
        """It is reachable again; False when the group does not know it any more."""
        seat = self.seats.get(number)
        if seat is None:
            return False
        seat.heard = self._timeline.now
        seat.silences += 1
        self._deliver(seat)
        return True

    def _expire(self, seat: Seat, silence: int) -> None:
        if self.seats.get(seat.number) is not seat or seat.silences != silence:
            return
        if seat.heard + self._session > self._timeline.now + 1e-9:
            self._timeline.at(seat.heard + self._session, self._expire, seat, silence)  # A commit is a heartbeat.
            return
        self._trace("session ended", seat.number)
        self.leave(seat.number)

    # Partitions.

    def add(self, name: TopicPartition) -> None:
        """The topic has one more."""
        self.owner[name] = None
        self.rebalance()

    def rebalance(self) -> None:
        """As even as possible, with few moves: surplus goes to the member with the fewest."""
        if not self.seats:
            return
        will: dict[TopicPartition, Seat] = {}
        load = dict.fromkeys(self.seats, 0)
        most = -(-len(self.owner) // len(self.seats))
        for name, owner in self.owner.items():
            to = self._going.get(name, owner)
            if to is not None and load[to.number] < most:
                will[name] = to
                load[to.number] += 1
        for name in self.owner:
            if name not in will:
                least = min(load.values())
                number = self._rng.choice([number for number, count in load.items() if count == least])
                will[name] = self.seats[number]
                load[number] += 1
        for name, to in will.items():
            self._move(name, to)

    def shuffle(self) -> None:
        """Move some partition to some member, as a new assignment would."""
        if len(self.seats) > 1:
            self._move(self._rng.choice(list(self.owner)), self._rng.choice(list(self.seats.values())))

    def released(self, number: int, names: list[TopicPartition]) -> None:
        """A member has given up what was revoked."""
        seat = self.seats.get(number)
        for name in names:
            if seat is not None and self.owner[name] is seat:
                self.owner[name] = None
                to = self._going.pop(name, None)
                if to is not None:
                    self._move(name, to)
        self.rebalance()

    def _move(self, name: TopicPartition, to: Seat) -> None:
        owner = self.owner[name]
        if owner is None:
            self.owner[name] = to
            self._post(to, "assign", name)
        elif owner is not to and name not in self._going:
            self._going[name] = to
            self._post(owner, "revoke", name)
            self._revokes += 1
            self._asked[name] = self._revokes
            self._timeline.after(self._poll_interval, self._expel, owner, name, self._revokes)

    def _expel(self, seat: Seat, name: TopicPartition, revoke: int) -> None:
        is_due = self.owner[name] is seat and name in self._going and self._asked[name] == revoke
        if self.seats.get(seat.number) is seat and is_due:
            self._trace("did not let go in time", seat.number)
            self.leave(seat.number)

    def _post(self, seat: Seat, what: str, name: TopicPartition) -> None:
        seat.mail.append((what, name))
        self._timeline.after(self._rng.uniform(0.0, self._heartbeat), self._deliver, seat)

    def _deliver(self, seat: Seat) -> None:
        """Tell it its assignment with a heartbeat."""
        if self.seats.get(seat.number) is not seat or not seat.client.is_reachable():
            return
        while seat.mail:
            what, name = seat.mail.popleft()
            names = [name]
            while seat.mail and seat.mail[0][0] == what:
                names.append(seat.mail.popleft()[1])
            seat.client.told(what, names)

    # Offsets.

    def commit(self, number: int, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> list[TopicPartition]:
        """Take a commit of a member; returns the partitions whose metadata is too long. Ownership is not checked."""
        seat = self.seats.get(number)
        if seat is None:
            msg = "UNKNOWN_MEMBER_ID"
            raise Refusal(msg)
        if self._classic:
            seat.heard = self._timeline.now
        refused = []
        for name, where in offsets.items():
            if len(where.metadata) > self._most_characters:
                refused.append(name)
            else:
                self._trace("committed", number, name.partition, where.offset)
                self.committed[name] = where
        return refused

    def standing(self, name: TopicPartition) -> OffsetAndMetadata:
        """Committed offsets."""
        return self.committed.get(name, NOTHING)
