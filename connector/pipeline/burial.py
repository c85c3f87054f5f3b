"""Dead letters: what can never be delivered is written away first, and only then is its offset done."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from connector.delivery.guard import DeadLetterGuard
from connector.delivery.letter import DeadLetter, Stage
from connector.delivery.offsets import PartitionOffsets
from connector.delivery.ports import Record
from connector.delivery.tally import Done, Tally
from connector.delivery.update import Update
from connector.errors import Fatal
from connector.events import encode_event
from connector.events.change import Refused
from connector.pipeline.config import PipelineConfig
from connector.pipeline.edges import DeadLetters
from connector.pipeline.say import Say

MAX_LETTERS = 1_000
"""Records that may wait for the acknowledgement of their dead letter; past it, consumption pauses."""


class Burial:
    """Writes dead letters side by side, and stops the process where the guard says that it is a wrong set-up."""

    def __init__(
        self,
        config: PipelineConfig,
        dead_letters: DeadLetters,
        tally: Tally,
        say: Say,
        *,
        moved: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`moved` is called when a letter is acknowledged, `fail` with what must end the process."""
        self._dead_letters = dead_letters
        self._tally = tally
        self._say = say
        self._moved = moved
        self._fail = fail
        self._decoding = DeadLetterGuard(config.max_dead_letters_in_a_row, config.max_dead_letter_ratio)
        self._target = DeadLetterGuard(config.max_dead_letters_in_a_row, config.max_dead_letter_ratio)
        self.tasks: set[asyncio.Task[None]] = set()
        """Letters on their way."""
        self.letters = 0
        """Records that wait for the acknowledgement of their own letter."""
        self.size = 0
        """Bytes of them."""

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no more records may come."""
        return self.letters >= MAX_LETTERS

    def decoded(self, count: int) -> None:
        """So many records could be decoded, after the last one that could not."""
        self._decoding.passed(count)

    def accepted(self) -> None:
        """The endpoint accepted an update."""
        self._target.passed(1)

    def refuse(self, record: Record, partition: PartitionOffsets, refused: Refused) -> bool:
        """Hold the record's offset until its letter is acknowledged; False when the guard stops us instead."""
        offset = record.offset()
        value = record.value()
        partition.open(offset, None)
        partition.letters += 1
        self.letters += 1
        if self._is_too_many(self._decoding, str(refused)):
            return False
        self._say(
            "event_refused",
            about=refused.reason,
            topic=partition.name.topic,
            partition=partition.name.partition,
            offset=offset,
            field=refused.field,
            reason=refused.reason,
        )
        letter = DeadLetter(partition.name, offset, Stage.DECODE, "Refused", str(refused), record.key(), value)
        self._spawn(self._write_record(letter, partition, len(value or b"")))
        return True

    def bury(self, update: Update, error: str, reason: str, done: Callable[[Update], None]) -> None:
        """What is left of an update becomes a letter; `done` is called, and its flight over, at the acknowledgement."""
        if self._is_too_many(self._target, reason):
            return
        partition, part = next(iter(update.parts.items()))
        self._say(
            "update_rejected",
            about=reason,
            topic=partition.name.topic,
            partition=partition.name.partition,
            offset=part.first,
            visitor=update.visitor,
            reason=reason,
        )
        # As it came, with its event id and its time, unless it is of several records, or a part of one.
        key, value = update.sole or (update.visitor.id.encode(), encode_event(update.visitor, update.attributes))
        letter = DeadLetter(partition.name, part.first, Stage.TARGET, error, reason, key, value)
        self._spawn(self._write_update(letter, update, done))

    def give_up(self, tracker: PartitionOffsets) -> int:
        """The partition is no longer ours: its letters settle nothing; returns how many records those were."""
        self.letters -= tracker.letters
        return tracker.letters

    async def _write_record(self, letter: DeadLetter, partition: PartitionOffsets, size: int) -> None:
        self.size += size
        try:
            await self._dead_letters.send(letter)
        finally:
            self.size -= size
        if not partition.detached:
            partition.close(letter.offset)
            partition.letters -= 1
            self.letters -= 1
            self._tally.events_done[Done.DEAD_LETTERED] += 1
        self._moved()

    async def _write_update(self, letter: DeadLetter, update: Update, done: Callable[[Update], None]) -> None:
        await self._dead_letters.send(letter)
        records = update.records
        self._tally.events_done[Done.DEAD_LETTERED] += records
        self._tally.updates_dead_lettered += bool(records)
        done(update)

    def _is_too_many(self, guard: DeadLetterGuard, reason: str) -> bool:
        tripped = guard.failed()
        if tripped is None:
            return False
        remedy = f"{tripped}; the last one: {reason}. Remove the cause, or raise the limit (0 turns it off)"
        self._fail(Fatal("dead_letter_guard_tripped", remedy))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
