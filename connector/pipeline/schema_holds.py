"""Holds a partition back while a schema of its next record is missing; all other partitions go on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from connector.delivery.offset_tracker import OffsetTracker, Start, TopicPartition
from connector.formats import SchemaId
from connector.pipeline.ports import Schemas, Source
from connector.pipeline.state import ReplicaState

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REMEDY: Final = "let the Schema Registry answer: its address and login, the network between; nothing is lost meanwhile"


@dataclass(frozen=True, slots=True)
class SchemaHold:
    """A partition that waits."""

    tracker: OffsetTracker
    offset: int
    """Its next record."""
    schema: SchemaId
    since: float
    """By the loop's clock."""
    told: str = ""
    """What the log says of it."""
    is_over: bool = False
    """The schema is there, or refused: the source was asked to read on."""


class SchemaHolds:
    """The partitions of this replica that wait for a schema.

    While one is held, what still arrives of it is dropped: the source reads it again, from the record that waits. So no
    record is kept in memory, and none is taken out of its order.
    """

    def __init__(
        self,
        state: ReplicaState,
        by_topic: dict[str, dict[int, OffsetTracker]],
        source: Source,
        schemas: Schemas | None,
    ) -> None:
        """`by_topic` is where the intake looks a partition up: what is held is not there."""
        self._state = state
        self._by_topic = by_topic
        self._source = source
        self._schemas = schemas
        self.held: dict[TopicPartition, SchemaHold] = {}

    def hold(self, tracker: OffsetTracker, offset: int, schema: SchemaId) -> None:
        """Take nothing of this partition from this record on, until its schema is there."""
        name = tracker.name
        self.held[name] = SchemaHold(tracker, offset, schema, self._state.now())
        del self._by_topic[name.topic][name.partition]
        self._source.hold(name, tracker.start)

    def changed(self) -> None:
        """A schema is there or refused, or there is something new to say of one that is missing."""
        missing = self._schemas.waiting if self._schemas is not None else {}
        for name, hold in self.held.items():
            reason = missing.get(hold.schema)
            if reason is not None:
                if reason.attempts and reason.text != hold.told:
                    self._tell(hold, reason.text)
                    self.held[name] = replace(hold, told=reason.text)
            elif not hold.is_over:
                self.held[name] = replace(hold, is_over=True)
                # From the last record, not from the one that waits: between the two another leader may have begun.
                self._source.read_on(name, hold.tracker.start, *hold.tracker.read_on_at)

    def reading_on(self, name: TopicPartition, start: Start) -> None:
        """The source reads on: what comes from now on begins at the record that waited."""
        hold = self.held.get(name)
        if hold is None or not hold.is_over or hold.tracker.start is not start:
            return
        del self.held[name]
        self._by_topic[name.topic][name.partition] = hold.tracker
        if hold.told:
            seconds = round(self._state.now() - hold.since, 1)
            log.info("schema_arrived", topic=name.topic, partition=name.partition, offset=hold.offset, seconds=seconds)

    def forget(self, names: Iterable[TopicPartition]) -> None:
        """These are not owned any more, or are read anew; nobody else may wait for their schemas."""
        gone = {self.held.pop(name).schema for name in names if name in self.held}
        if gone and self._schemas is not None:
            self._schemas.forget(gone - {hold.schema for hold in self.held.values()})

    @property
    def reasons(self) -> Mapping[TopicPartition, str]:
        """By partition, why it waits."""
        missing = self._schemas.waiting if self._schemas is not None else {}
        return {
            name: missing[hold.schema].text if hold.schema in missing else "it is read on"
            for name, hold in self.held.items()
        }

    def _tell(self, hold: SchemaHold, reason: str) -> None:
        topic, partition = hold.tracker.name
        self._state.say(
            "schema_missing",
            about=f"{hold.schema.value} {reason}",
            topic=topic,
            partition=partition,
            offset=hold.offset,
            schema=str(hold.schema.value),
            reason=reason,
            remedy=REMEDY,
        )
