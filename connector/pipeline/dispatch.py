"""The wire: one update at a time a worker, one request at a time a visitor, every attempt through the gate."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from connector.bell import Bell
from connector.delivery.answer import Answer, Verdict
from connector.delivery.circuit import Shift
from connector.delivery.coalescer import Coalescer
from connector.delivery.gate import Gate, Pass
from connector.delivery.tally import Done, Tally
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.pipeline.burial import Burial
from connector.pipeline.config import PipelineConfig
from connector.pipeline.edges import Observer, Sender
from connector.pipeline.say import Say
from connector.target.render import Rendered, Request

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_NAMED = 3
"""Attributes that a dead letter names when they fit in no request."""
_NAME_LENGTH = 200
"""Characters of each; a name may be what is too long, and all is a Kafka header."""

_CUT = Answer(Verdict.TIMEOUT, "given up at the end of the process")


class Dispatch:
    """Takes the update that is due longest, sends it when the gate lets it, and settles what came of it."""

    def __init__(  # noqa: PLR0913 - every room that a delivery passes
        self,
        config: PipelineConfig,
        coalescer: Coalescer,
        gate: Gate,
        burial: Burial,
        tally: Tally,
        say: Say,
        *,
        render: Callable[[Visitor, Mapping[str, str]], Rendered],
        sender: Sender,
        rng: random.Random,
        now: Callable[[], float],
        awake: Callable[[], float],
        moved: Callable[[], None],
        observers: Sequence[Observer] = (),
    ) -> None:
        """`now` is the loop's clock, `awake` the lease's; `moved` is called when an update is settled."""
        self._config = config
        self._coalescer = coalescer
        self._gate = gate
        self._burial = burial
        self._tally = tally
        self._say = say
        self._render = render
        self._sender = sender
        self._rng = rng
        self._now = now
        self._awake = awake
        self._moved = moved
        self._observers = observers
        self._turn = asyncio.Lock()
        self._bell = Bell()

    def wake(self) -> None:
        """Something changed that decides whether an update may go."""
        self._bell.ring()

    async def work(self) -> None:
        """Deliver one update after the other, for ever; `max_in_flight` of these run side by side."""
        while True:
            now, awake = self._now(), self._awake()
            if self._coalescer.due_in(now) <= 0 and self._gate.wait(now, awake) <= 0:
                update, passed = self._take(now, awake)
            else:
                update, passed = await self._next()
            await self._deliver(update, passed)

    async def _next(self) -> tuple[Update, Pass]:
        """Wait for an update that is due and may go, and take it; until then it is open for newer values.

        One worker waits for its turn at the gate, the others queue behind it: no thundering herd at each ring. Whoever
        ends a delivery looks for the next one himself, so the one at the gate is called only when that finds nothing.
        """
        self._bell.ring()
        async with self._turn:
            while True:
                now, awake = self._now(), self._awake()
                wait = max(self._coalescer.due_in(now), self._gate.wait(now, awake))
                if wait <= 0:
                    return self._take(now, awake)
                await self._bell.wait(wait)

    def _take(self, now: float, awake: float) -> tuple[Update, Pass]:
        """The update that is due longest; for a probe one from anywhere, since those in front may all be bad."""
        take = self._coalescer.take_anywhere if self._gate.circuit.is_open else self._coalescer.take
        return take(now), self._gate.enter(now, awake)

    async def _deliver(self, update: Update, passed: Pass) -> None:
        """One update's time in flight: its requests, mostly one, and then its end."""
        rendered = self._render(update.visitor, update.attributes)
        rejected = dict.fromkeys(rendered.unfit, _too_large(rendered)) if rendered.unfit else {}
        for index, request in enumerate(rendered.requests):
            if index:
                again = await self._pass_again(update, request)
                if again is None:
                    self._give_back(update, self._now(), update.attempts)
                    return
                passed = again
            answer = await self._attempt(update, request, passed)
            if answer.verdict is Verdict.ACCEPTED:
                if len(rendered.requests) > 1 or rejected:
                    update.forget(request.names)
            elif answer.verdict is Verdict.REJECTED:
                rejected.update(dict.fromkeys(request.names, answer.reason))
            else:
                self._retry(update, answer)
                return
        if not rendered.requests:
            self._gate.spare(passed)
        if rejected:
            self._bury(update, "Rejected", "; ".join(sorted(set(rejected.values()))))
        else:
            self._accepted(update)

    async def _pass_again(self, update: Update, request: Request) -> Pass | None:
        """Between two requests of one update: not at an open circuit or a drain's end, nor with what is not ours."""
        while True:
            now, awake = self._now(), self._awake()
            ours = not any(partition.revoking for partition in update.parts)
            shut = self._gate.circuit.wait(now) > 0 or now >= self._gate.closes_at
            if shut or not ours or not update.attributes.keys() >= {*request.names}:
                return None
            if (wait := self._gate.wait(now, awake)) <= 0:
                return self._gate.enter(now, awake)
            await self._bell.wait(wait)

    async def _attempt(self, update: Update, request: Request, passed: Pass) -> Answer:
        """One request: counted, timed, and told to the gate."""
        for observer in self._observers:
            observer.sent(update, request)
        began = self._now()
        try:
            answer = await self._sender.send(request)
        except asyncio.CancelledError:
            self._tally.requests[Verdict.TIMEOUT] += 1  # It left the process and may have been applied.
            self._gate.abandon(passed)
            for observer in self._observers:
                observer.answered(update, _CUT)
            raise
        now = self._now()
        self._tally.requests[answer.verdict] += 1
        self._tally.request_seconds.observe(now - began)
        failed = answer.verdict is not Verdict.ACCEPTED
        if failed:
            answer = self._read(answer)
        for observer in self._observers:
            observer.answered(update, answer)
        shift = self._gate.leave(update, answer, began, now, passed)
        if failed:
            self._after_failure(answer, began, now)
        if shift is not None:
            self._say_shift(shift, answer)
            self._bell.ring()
        elif self._gate.has_spare:
            self._bell.ring()
        return answer

    def _after_failure(self, answer: Answer, began: float, now: float) -> None:
        """Each probe of an open circuit asks for the endpoint's address again, on a connection of its own."""
        if self._gate.circuit.is_open:
            self._sender.renew()
        if answer.local:
            # What could begin goes on, with fewer at once, on the connections that there are.
            self._gate.concurrency.overloaded(began, now)
            self._say("open_files_used_up", reason=answer.reason)

    def _read(self, answer: Answer) -> Answer:
        """Read an answer as the settings want it read."""
        if answer.verdict is Verdict.UNCONFIRMED:
            self._say("target_unconfirmed", reason=answer.reason, accepted=self._config.accept_unconfirmed)
            if self._config.accept_unconfirmed:
                return Answer(Verdict.ACCEPTED, answer.reason)
        longest = self._config.retry.maximum
        if answer.retry_after is not None and answer.retry_after > longest:
            return replace(answer, retry_after=longest)
        return answer

    def _accepted(self, update: Update) -> None:
        tally = self._tally
        records, oldest_ms = 0, math.inf
        for part in update.parts.values():
            records += part.records
            oldest_ms = min(oldest_ms, part.oldest_ms)
        if records:
            tally.events_done[Done.ACCEPTED] += records
            tally.updates_accepted += 1
            if oldest_ms >= 0:  # A topic of the oldest message format has no timestamps.
                tally.event_age_seconds.observe(max(0.0, time.time() - oldest_ms / 1000))
            self._burial.accepted()
        self._settle(update, Done.ACCEPTED)

    def _retry(self, update: Update, answer: Answer) -> None:
        """It goes again with the newest values, or is a dead letter when it failed too often by its own fault."""
        now = self._now()
        policy = self._config.retry
        circuit = self._gate.circuit
        attempts = update.attempts + circuit.blames(update, answer, now)
        update.tries += 1
        update.seen = circuit.successes
        # A token is never the update's fault, however long it takes to mend.
        if attempts >= policy.max_attempts and answer.verdict is not Verdict.UNAUTHORIZED:
            self._bury(update, "RetriesExhausted", f"failed {attempts} times, at last: {answer.reason}")
            return
        asked = answer.retry_after or 0.0
        delay = asked if circuit.is_open else policy.delay(update.tries, answer.retry_after, self._rng)
        log.debug("update_retried", visitor=update.visitor, attempts=update.tries, seconds=delay, reason=answer.reason)
        self._give_back(update, now + delay, attempts)

    def _give_back(self, update: Update, due: float, attempts: int) -> None:
        self._tally.events_done[Done.HANDED_OVER] += self._coalescer.give_back(update, due, attempts)
        self._bell.ring()
        self._moved()

    def _bury(self, update: Update, error: str, reason: str) -> None:
        if update.attributes:
            self._coalescer.bury(update)
            self._burial.bury(update, error, reason, self._buried)
        else:
            self._accepted(update)

    def _buried(self, update: Update) -> None:
        self._settle(update, Done.DEAD_LETTERED)
        self._bell.ring()  # No worker ends with this, and what gathered behind it may be due.

    def _settle(self, update: Update, how: Done) -> None:
        for observer in self._observers:
            observer.settled(update, how)
        self._coalescer.settle(update, is_accepted=how is Done.ACCEPTED)
        self._moved()

    def _say_shift(self, shift: Shift, answer: Answer) -> None:
        if shift is Shift.CLOSED:
            self._say("circuit_closed", level="info")
        elif answer.verdict is Verdict.UNAUTHORIZED:
            remedy = "renew TARGET_AUTH_TOKEN or its file; nothing is lost meanwhile"
            self._say("target_unauthorized", level="error", reason=answer.reason, remedy=remedy)
        else:
            self._say("circuit_opened", reason=answer.reason, verdict=answer.verdict.value)


def _too_large(rendered: Rendered) -> str:
    """Which attributes, and for what limit, without any of their values."""
    fields = [f"profile.{name}" for name in rendered.unfit[:_NAMED]]
    short = [field if len(field) <= _NAME_LENGTH else f"{field[: _NAME_LENGTH - 1]}…" for field in fields]
    parts = [f"{field} fits in no request of {rendered.most:,} bytes" for field in short]
    if (more := len(rendered.unfit) - len(parts)) > 0:
        parts.append(f"and {more:,} more")
    return "; ".join(parts)
