"""The wire: one update at a time a worker, one request at a time a visitor, every attempt through the gate."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from connector.admission.circuit_breaker import Transition
from connector.admission.gate import Permit
from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.selection import Selection
from connector.delivery.update import Update
from connector.events.change import Priority, Visitor
from connector.pipeline.outcomes import Outcomes, too_large
from connector.pipeline.ports import Sender
from connector.pipeline.state import ReplicaState
from connector.pipeline.turns import next_turn
from connector.target.render import Rendered, Request

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MOST_UNSENT = 64
"""Updates without a call, after which the other tasks of the loop have their turn."""

Turn = tuple[Update, Mapping[str, str], Permit, float]
"""An update that goes on the wire: what of it is sent, what it spent, and when it was taken, by the lease's clock."""

_CUT = Answer(Verdict.TIMEOUT, "given up at the end of the process")


class Dispatch:
    """Takes the update whose turn it is when the gate lets one go, and makes its requests one after the other."""

    def __init__(
        self,
        state: ReplicaState,
        sender: Sender,
        outcomes: Outcomes,
        render: Callable[[Visitor, Mapping[str, str]], Rendered],
    ) -> None:
        self._state = state
        self._coalescer = state.coalescer
        self._gate = state.gate
        self._observers = state.observers
        self._sender = sender
        self._outcomes = outcomes
        self._render = render
        self._now = state.now
        self._boottime = state.boottime
        self._turn = asyncio.Lock()
        self._accepted = state.accepted
        max_age = state.config.max_event_age
        self._selection = None if state.accepted is None and not max_age else Selection(state.accepted, max_age)
        self._unsent = 0

    async def work(self) -> None:
        """Deliver one update after the other, for ever; `max_in_flight` of these run side by side."""
        while True:
            now, boottime = self._now(), self._boottime()
            lowest = self._gate.lowest
            if self._coalescer.due_in(now, lowest) <= 0 and self._gate.wait(now, boottime) <= 0:
                turn = self._take(now, boottime, lowest)
            else:
                turn = await self._next()
            if turn is not None:
                await self._deliver(*turn)
            elif self._unsent >= MOST_UNSENT:
                await asyncio.sleep(0)

    async def _next(self) -> Turn | None:
        """Wait for an update that is due and may go, and take it; until then it is open for newer values.

        One worker waits for its turn at the gate, the others queue behind it: no thundering herd at each wake-up. A
        worker that ends a delivery looks for the next update first, so the one at the gate wakes only if there is none.
        """
        self._state.may_send()
        async with self._turn:
            while True:
                now, boottime = self._now(), self._boottime()
                wait, lowest = next_turn(self._coalescer, self._gate, now, boottime)
                if wait <= 0:
                    return self._take(now, boottime, lowest)
                await self._state.sending.wait(wait)

    def _take(self, now: float, boottime: float, lowest: Priority) -> Turn | None:
        """The update whose turn it is; for a probe one from anywhere, since those in front may all be bad.

        None: it was settled without a call, and spent nothing.
        """
        take = self._coalescer.take_anywhere if self._gate.circuit.is_open else self._coalescer.take
        update = take(now, lowest)
        if self._selection is None:
            attributes = update.attributes
        else:
            attributes, ended = self._selection.of(update, boottime, self._state.wall())
            if ended is not None:
                self._leave_out(update, ended)
                return None
        return update, attributes, self._gate.enter(now, boottime), boottime

    def _leave_out(self, update: Update, why: Done) -> None:
        self._unsent += 1
        if self._unsent == MOST_UNSENT:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._state.leave_out(update, why)

    def _begin_turn(self) -> None:
        self._unsent = 0

    async def _deliver(self, update: Update, attributes: Mapping[str, str], passed: Permit, taken: float) -> None:
        """One update's time in flight: its requests, mostly one, and then its end."""
        rendered = self._render(update.recipient, attributes)
        self._outcomes.tell_concerns(update, len(rendered.requests))
        is_confirmed, partitions = True, len(update.parts)
        rejected = dict.fromkeys(rendered.unfit, too_large(rendered)) if rendered.unfit else {}
        for index, request in enumerate(rendered.requests):
            if index:
                again = await self._pass_again(update, request)
                if again is None:
                    self._outcomes.give_back(update, self._now(), update.charged_attempts)
                    return
                passed = again
            answer = await self._attempt(update, request, passed)
            if answer.verdict is Verdict.ACCEPTED:
                is_confirmed &= answer.is_confirmed
                if len(rendered.requests) > 1 or rejected:
                    update.forget(request.names)
            elif answer.verdict is Verdict.UNKNOWN_VISITOR:
                self._outcomes.wait_for_visitor(update, answer)
                return
            elif answer.verdict is Verdict.REJECTED:
                rejected.update(dict.fromkeys(request.names, answer.reason))
            else:
                self._outcomes.retry(update, answer)
                return
        if not rendered.requests:
            self._gate.spare(passed)
        if is_confirmed and len(update.parts) == partitions and not rejected:
            self._outcomes.remember(update, attributes, taken)
        self._outcomes.end(update, rejected)

    async def _pass_again(self, update: Update, request: Request) -> Permit | None:
        """Between two requests of one update: only while nothing forbids to begin another, and all of it is ours."""
        while True:
            now, boottime = self._now(), self._boottime()
            ours = not any(partition.revoking for partition in update.parts)
            shut = self._gate.circuit.wait(now) > 0 or now >= self._gate.closes_at
            shut = shut or update.priority > self._gate.lowest
            if shut or not ours or not update.attributes.keys() >= {*request.names}:
                return None
            gate_wait = self._gate.wait_ahead if update.priority is Priority.HIGH else self._gate.wait
            if (wait := gate_wait(now, boottime)) <= 0:
                return self._gate.enter(now, boottime)
            await self._state.sending.wait(wait)

    async def _attempt(self, update: Update, request: Request, passed: Permit) -> Answer:
        """One request: counted, timed, and told to the gate."""
        if self._accepted is not None:
            self._accepted.sent(update.visitor, request.names)
        for observer in self._observers:
            observer.sent(update, request)
        began = self._now()
        try:
            answer = await self._sender.send(request)
        except asyncio.CancelledError:
            self._state.counters.requests[Verdict.TIMEOUT] += 1  # It left the process and may have been applied.
            self._gate.abandon(passed)
            for observer in self._observers:
                observer.answered(update, _CUT)
            raise
        now = self._now()
        self._state.counters.requests[answer.verdict] += 1
        self._state.counters.request_seconds.observe(now - began)
        failed = answer.verdict is not Verdict.ACCEPTED
        if failed:
            answer = self._read(answer)
        for observer in self._observers:
            observer.answered(update, answer)
        shift = self._gate.leave(update, answer, began, now, passed)
        if failed:
            self._after_failure(answer, began, now)
        if shift is not None:
            self._tell_shift(shift, answer)
        if shift is not None or self._gate.has_spare:
            self._state.may_send()
        return answer

    def _after_failure(self, answer: Answer, began: float, now: float) -> None:
        """Each probe of an open circuit asks for the endpoint's address again, on a connection of its own."""
        if self._gate.circuit.is_open:
            self._sender.renew()
        if answer.local:
            # What could begin continues, with fewer at once, on the connections that there are.
            self._gate.concurrency.overloaded(began, now)
            self._state.say("open_files_used_up", reason=answer.reason)

    def _read(self, answer: Answer) -> Answer:
        """Read an answer as the settings want it read."""
        if answer.verdict is Verdict.UNCONFIRMED:
            self._state.say("target_unconfirmed", reason=answer.reason, accepted=self._state.config.accept_unconfirmed)
            if self._state.config.accept_unconfirmed:
                return Answer(Verdict.ACCEPTED, answer.reason)
        longest = self._state.config.retry.maximum
        if answer.retry_after is not None and answer.retry_after > longest:
            return replace(answer, retry_after=longest)
        return answer

    def _tell_shift(self, shift: Transition, answer: Answer) -> None:
        if shift is Transition.CLOSED:
            self._state.say("circuit_closed", level="info")
        elif answer.verdict is Verdict.UNAUTHORIZED:
            remedy = "renew TARGET_AUTH_TOKEN or its file; nothing is lost meanwhile"
            self._state.say("target_unauthorized", level="error", reason=answer.reason, remedy=remedy)
        else:
            self._state.say("circuit_opened", reason=answer.reason, verdict=answer.verdict.value)
