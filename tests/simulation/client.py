"""librdkafka's own part of a replica: its membership and its commits on the wire, in a thread that never blocks."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Protocol

from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from tests.simulation.coordinator import Coordinator, Refusal
from tests.simulation.timeline import Lane, Process

COMMIT_SECONDS = 15.0
"""Seconds to wait for the answer to a commit before partitions are given up."""

Offsets = dict[TopicPartition, OffsetAndMetadata]


@dataclass
class CommitFaults:
    """Possible outcomes of a commit; each a probability."""

    vanishes: float = 0.0
    """It never reaches the coordinator."""
    refused: float = 0.0
    """The coordinator is loading, or a rebalance is under way: an error, and the member stays."""
    unanswered: float = 0.0
    """It takes effect, but the answer is lost."""
    lands_late: float = 0.0
    """An error is answered, and the commit still takes effect, up to a minute later."""
    slow: float = 0.0
    """It takes effect at once, and the answer comes seconds later."""
    unknown_start: float = 0.0
    """An assignment does not get the committed offsets."""

    def end(self) -> None:
        """No more faults."""
        for fault in fields(self):
            setattr(self, fault.name, 0.0)


class User(Protocol):
    """The consumer thread, as the client calls it."""

    def told(self, what: str, names: list[TopicPartition]) -> None: ...

    def joined(self) -> None: ...

    def thrown_out(self) -> None: ...

    def committed(self, offsets: Offsets, code: str) -> None: ...


class Client:
    """One replica's connection to the group."""

    def __init__(
        self,
        process: Process,
        coordinator: Coordinator,
        faults: CommitFaults,
        rng: random.Random,
        user: User,
        *,
        instance: str,
    ) -> None:
        """`instance`: the name of a static member; empty: it is none."""
        self._process = process
        self._coordinator = coordinator
        self._faults = faults
        self._rng = rng
        self._user = user
        self._instance = instance
        self.number = 0
        """Its number at the coordinator; 0 when it is no member."""
        self.cut_off = False
        """Cut off from the brokers, in both directions."""
        self.is_closing = False
        self.freeze_at_commit: Callable[[], None] | None = None
        """Called once, when the next commit has landed."""

    # Membership.

    def is_reachable(self) -> bool:
        return not (self._process.dead or self._process.frozen or self.cut_off)

    def told(self, what: str, names: list[TopicPartition]) -> None:
        self._user.told(what, names)

    def silent(self) -> None:
        """Its heartbeats do not arrive from now on."""
        self._coordinator.silent(self.number)

    def heard(self) -> None:
        """Its heartbeats arrive again: the next one says whether it is still a member."""
        delay = self._rng.choice((0.001, 0.01, 0.1)) if self._rng.random() < 0.7 else self._rng.uniform(0, 3)
        self._process.later(Lane.CLIENT, delay, self.beat)

    def beat(self) -> None:
        """A heartbeat."""
        if self.number and self.is_reachable() and not self._coordinator.heartbeat(self.number):
            self.number = 0
            self._user.thrown_out()

    def join_within(self, seconds: float) -> None:
        """Join after a random delay."""
        self._process.later(Lane.CLIENT, self._rng.uniform(0.0, seconds), self._join)

    def _join(self) -> None:
        if self.is_closing or self.number or self._process.dead:
            return
        if not self.is_reachable():
            self._process.later(Lane.CLIENT, 1.0, self._join)
            return
        self.number = self._coordinator.join(self, self._instance)
        self._user.joined()

    def release(self, number: int, names: list[TopicPartition]) -> None:
        """Tell the group soon that the member of this number, which may be another one now, gives these up."""
        if number:
            self._process.later(Lane.CLIENT, self._rng.uniform(0.0, 0.2), self._released, number, names)

    def _released(self, number: int, names: list[TopicPartition]) -> None:
        if self.is_reachable():
            self._coordinator.released(number, names)
        else:
            self._process.later(Lane.CLIENT, 1.0, self._released, number, names)

    def leave(self) -> None:
        """Leave the group; a static member does not, since it may come back."""
        if self.number and self.is_reachable() and not self._instance:
            self._coordinator.leave(self.number)
            self.number = 0

    # Commits.

    def cannot_tell(self) -> bool:
        """Whether a request for committed offsets gets no answer now."""
        return self._rng.random() < self._faults.unknown_start

    def commit(self, offsets: Offsets) -> None:
        """Send it, with a random outcome."""
        rng, faults = self._rng, self._faults
        number = self.number
        delay = rng.uniform(0.0005, 0.005)
        if self.cut_off or rng.random() < faults.vanishes:
            return
        if rng.random() < faults.refused:
            self._reply(offsets, delay, "COORDINATOR_LOAD_IN_PROGRESS")
            return
        if rng.random() < faults.lands_late:
            self._reply(offsets, rng.uniform(0.0, 3.0), "NOT_ENOUGH_REPLICAS")
            self._process.timeline.after(rng.uniform(0.0, 60.0), self._land, number, offsets)
            return
        self._process.timeline.after(delay, self._arrive, number, offsets)

    def _arrive(self, number: int, offsets: Offsets) -> None:
        """At the coordinator, also when the sender is gone."""
        result = self._land(number, offsets)
        rng, faults = self._rng, self._faults
        if rng.random() < faults.unanswered:
            return
        # A refusal comes at once, and so before the answer to the join that follows it on the same connection.
        slow = not result and rng.random() < faults.slow
        self._reply(offsets, rng.uniform(0.0, 20.0) if slow else rng.uniform(0.0005, 0.005), result)

    def _land(self, number: int, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> str:
        try:
            refused = self._coordinator.commit(number, offsets)
        except Refusal as refusal:
            return refusal.code
        if self.freeze_at_commit is not None and not self._process.dead:
            freeze, self.freeze_at_commit = self.freeze_at_commit, None
            freeze()
        return "OFFSET_METADATA_TOO_LARGE" if refused else ""

    def _reply(self, offsets: Offsets, seconds: float, code: str) -> None:
        """The answer arrives at the client, and is served by the thread's next poll."""
        self._process.later(Lane.CLIENT, seconds, self._replied, offsets, code)

    def _replied(self, offsets: Offsets, code: str) -> None:
        if not self.cut_off:
            self._process.later(Lane.THREAD, 0.0, self._user.committed, offsets, code)
