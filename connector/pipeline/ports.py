"""The outside as the pipeline sees it: Protocols that the real edges and the fakes of the tests both fit."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from connector.delivery.answer import Answer
from connector.delivery.counters import Done
from connector.delivery.dead_letter import DeadLetter
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.formats import SchemaId
from connector.kafka.ports import Listener
from connector.quota.ports import LedgerLog
from connector.registry.store import Reason
from connector.target.render import Request


class Source(Protocol):
    """Where records come from: the consumer thread, or a fake of it."""

    def start(self, listener: Listener) -> None:
        """Begin; from now on the listener is called on this event loop."""
        ...

    def more(self) -> None:
        """Grant one more batch. Without credit nothing is handed on, and soon consumption is paused."""
        ...

    def hold(self, name: TopicPartition, start: Start) -> None:
        """Hand nothing of this partition on for now; `start` names the assignment that is meant."""
        ...

    def read_on(self, name: TopicPartition, start: Start, offset: int, epoch: int) -> None:
        """Read a partition that is held from this offset on, and say so by the listener's `reading_on`.

        What was handed on of it before that is void. `epoch` is the leader epoch of the record before; -1: not known.
        """
        ...

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit what of this is still owned; raises CommitFailed when it is not known to have taken effect.

        True says that the group knew this member at some moment after the call; False that nothing of it is owned.
        """
        ...

    async def close(self, seconds: float, *, leave: bool = True) -> None:
        """Leave the group within this many seconds; what is still owned is revoked and committed first.

        Without `leave` nothing more is done, as after a crash: the group waits for the session's end.
        """
        ...


class Sender(Protocol):
    """The endpoint: one request, one answer, never an exception."""

    async def send(self, request: Request) -> Answer:
        """Send once."""
        ...

    def bound(self, seconds: float) -> None:
        """From now on no request may last longer than this."""
        ...

    def renew(self) -> None:
        """Begin no request on a connection that is there now: the endpoint may be somewhere else."""
        ...


class DeadLetters(Protocol):
    """Where dead letters go."""

    async def send(self, letter: DeadLetter) -> None:
        """Return when all in-sync replicas have it; raises Fatal when it can never be written."""
        ...


class Schemas(Protocol):
    """The Schema Registry: which schemas are missing now. Who made it has it call the pipeline's `schemas_changed`."""

    @property
    def waiting(self) -> Mapping[SchemaId, Reason]:
        """What is missing, and why."""
        ...

    def forget(self, schema_ids: Iterable[SchemaId]) -> None:
        """No record waits for these any more."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Every edge of the pipeline; the ledger is there when the configuration has a quota."""

    source: Source
    sender: Sender
    dead_letters: DeadLetters
    ledger: LedgerLog | None = None
    schemas: Schemas | None = None


class Clocks(NamedTuple):
    """The clocks that tests replace, in seconds."""

    boottime: Callable[[], float]
    """That of leases: it runs on while the machine sleeps."""
    wall: Callable[[], float] = time.time
    """That of records and events: since the epoch."""


class Observer(Protocol):
    """Told of each step of an update's life, for logs at debug level and for traces; mostly there is none.

    It is called on the hot path, so it must be quick, and it changes nothing.
    """

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:
        """A record's change was added to what waits for this visitor; `merged`: something did before."""
        ...

    def sent(self, update: Update, request: Request) -> None:
        """An attempt goes on the wire; `update.attempts` attempts of it failed before."""
        ...

    def answered(self, update: Update, answer: Answer) -> None:
        """The attempt is over; one that was cut is a timeout."""
        ...

    def settled(self, update: Update, how: Done) -> None:
        """The update was accepted, or its dead letter was acknowledged."""
        ...
