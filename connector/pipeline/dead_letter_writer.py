"""Writes dead letters: what can never be delivered is written away first, and only then is its offset done."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from connector.delivery.dead_letter import DeadLetter, Stage
from connector.delivery.dead_letter_limit import DeadLetterLimit
from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.errors import Fatal
from connector.events import encode_event
from connector.events.change import Refused
from connector.pipeline.ports import DeadLetters
from connector.pipeline.state import ReplicaState


class DeadLetterWriter:
    """Writes them side by side, and stops the process where their number shows a wrong set-up."""

    def __init__(self, state: ReplicaState, dead_letters: DeadLetters) -> None:
        self._state = state
        self._dead_letters = dead_letters
        self.tasks: set[asyncio.Task[None]] = set()
        """Dead letters on their way."""

    def record(self, record: Record, tracker: OffsetTracker, refused: Refused, item: int | None = None) -> bool:
        """Hold the record's offset until its letter is acknowledged; False when the process must end instead.

        `item`: which of the changes that it carries is refused.
        """
        offset, value = record.offset(), record.value()
        size = len(value or b"")
        self._state.refuse(tracker, offset, size)
        if self._is_too_many(self._state.refused_limit, str(refused)):
            return False
        self._state.say(
            "event_refused",
            about=refused.reason,
            topic=tracker.name.topic,
            partition=tracker.name.partition,
            offset=offset,
            field=refused.field,
            reason=refused.reason,
        )
        letter = DeadLetter(
            tracker.name,
            offset,
            Stage.DECODE,
            "Refused",
            str(refused),
            record.key(),
            value,
            record.headers() or (),
            item,
        )
        self._spawn(self._write_record(letter, tracker, size))
        return True

    def update(self, update: Update, error: str, reason: str, *, is_guarded: bool = True) -> None:
        """What is left of an update becomes a dead letter; at its acknowledgement the update is settled.

        `is_guarded`: many of these show that the set-up is wrong.
        """
        if is_guarded and self._is_too_many(self._state.rejected_limit, reason):
            return
        self._state.coalescer.dead_letter(update)
        tracker, part = next(iter(update.parts.items()))
        self._state.say(
            "update_rejected",
            about=reason,
            topic=tracker.name.topic,
            partition=tracker.name.partition,
            offset=part.first,
            visitor=update.visitor,
            reason=reason,
        )
        # As it came, with its event id and its time, unless it is of several records, or a part of one.
        single = update.single_record
        made = (
            update.recipient.id.encode(),
            encode_event(update.recipient, update.attributes, priority=update.priority),
            (),
        )
        key, value, headers = made if single is None else single
        letter = DeadLetter(
            tracker.name, part.first, Stage.TARGET, error, reason, key, value, headers, is_made=single is None
        )
        self._spawn(self._write_update(letter, update))

    async def _write_record(self, letter: DeadLetter, tracker: OffsetTracker, size: int) -> None:
        try:
            await self._dead_letters.send(letter)
        finally:
            self._state.letter_ended(size)
        self._state.dead_letter_record(tracker, letter.offset)

    async def _write_update(self, letter: DeadLetter, update: Update) -> None:
        await self._dead_letters.send(letter)
        self._state.dead_letter(update)

    def _is_too_many(self, limit: DeadLetterLimit, reason: str) -> bool:
        tripped = limit.failed()
        if tripped is None:
            return False
        why = f"{tripped}; the last one: {reason}"
        self._state.fail(Fatal("dead_letter_guard_tripped", why, "remove the cause, or raise the limit (0: no limit)"))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._state.fail(error)
