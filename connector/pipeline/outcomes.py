"""What becomes of an update after its answers: accepted, tried again, kept for its visitor, or a dead letter."""

from collections.abc import Mapping

import structlog

from connector.delivery.answer import Answer, Verdict
from connector.delivery.unknown_visitor import next_attempt
from connector.delivery.update import Update
from connector.events.concerns import WHY, concerns
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.state import ReplicaState
from connector.target.render import Rendered

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_NAMED = 3
"""Attributes that a dead letter names when they fit in no request."""
_NAME_LENGTH = 200
"""Characters of each; a name may be what is too long, and all is a Kafka header."""


class Outcomes:
    """Settles updates that were in flight, or gives them back to wait for another attempt."""

    def __init__(self, state: ReplicaState, dead_letters: DeadLetterWriter) -> None:
        self._state = state
        self._coalescer = state.coalescer
        self._gate = state.gate
        self._accepted = state.accepted
        self._dead_letters = dead_letters

    def end(self, update: Update, rejected: Mapping[str, str]) -> None:
        """All of it was answered; `rejected` says why, by attribute."""
        if rejected:
            self._dead_letter(update, "Rejected", "; ".join(sorted(set(rejected.values()))))
        else:
            self._state.accept(update)

    def remember(self, update: Update, attributes: Mapping[str, str], taken: float) -> None:
        """Target has all of it; not called where a part of it was taken away meanwhile."""
        if self._accepted is not None and attributes:
            names = [partition.name for partition in update.parts]
            self._accepted.accepted(update.visitor, attributes, names, taken, self._state.boottime())

    def tell_concerns(self, update: Update, requests: int) -> None:
        """Say what Target may not do with it, at its first attempt; it is sent nevertheless."""
        if update.attempts or update.unknown_since is not None:
            return
        for concern, name in concerns(update.recipient, update.attributes).items():
            self._state.counters.concerns[concern] += 1
            about = f"{concern} {name}"
            self._state.say("update_questionable", about=about, concern=concern.value, field=name, reason=WHY[concern])
        if requests > 1:
            self._state.say("update_split", requests=requests)

    def wait_for_visitor(self, update: Update, answer: Answer) -> None:
        """It is kept, open for newer values, and tried again twice; it blames neither the endpoint nor the set-up."""
        state, now = self._state, self._state.now()
        config = state.config
        if self._accepted is not None:
            self._accepted.forget(update.visitor)
        # By when it was due, not by when it was heard: an answer that a frozen process hears late is not the last one.
        asked = now if update.unknown_since is None else update.due
        due = next_attempt(update.unknown_since, asked, config.unknown_visitor_wait)
        if due is not None and update.unknown_since is None and self._coalescer.unknown >= config.max_visitors // 2:
            state.say("unknown_visitors_full", waiting=self._coalescer.unknown)
            due = None
        if due is not None:
            self._coalescer.is_unknown(update, now)
            log.debug("update_retried", visitor=update.visitor, attempts=0, seconds=due - now, reason=answer.reason)
            self.give_back(update, due, update.charged_attempts)
        elif config.skip_unknown_visitors and update.parts:
            state.say("unknown_visitor_skipped", visitor=update.visitor, reason=answer.reason)
            state.skip(update)
        else:
            self._dead_letter(update, "UnknownVisitor", answer.reason, is_guarded=False)

    def retry(self, update: Update, answer: Answer) -> None:
        """It goes again with the newest values, or is a dead letter when it failed too often by its own fault."""
        now = self._state.now()
        policy = self._state.config.retry
        circuit = self._gate.circuit
        charged = update.charged_attempts + circuit.blames(update, answer, now)
        update.failed(circuit.successes)
        # A token is never the update's fault, however long it takes to renew.
        if charged >= policy.max_attempts and answer.verdict is not Verdict.UNAUTHORIZED:
            self._dead_letter(update, "RetriesExhausted", f"failed {charged} times, at last: {answer.reason}")
            return
        asked = answer.retry_after or 0.0
        delay = asked if circuit.is_open else policy.delay(update.attempts, answer.retry_after, self._state.rng)
        log.debug(
            "update_retried", visitor=update.visitor, attempts=update.attempts, seconds=delay, reason=answer.reason
        )
        self.give_back(update, now + delay, charged)

    def give_back(self, update: Update, due: float, charged_attempts: int) -> None:
        """It waits again, until `due` at least, with all that came meanwhile."""
        state = self._state
        state.hand_over(self._coalescer.give_back(update, due, charged_attempts))
        state.may_send()
        state.settled()

    def _dead_letter(self, update: Update, error: str, reason: str, *, is_guarded: bool = True) -> None:
        """What is left of it becomes a dead letter; all of it may be accepted, or with the next owner, by now."""
        if self._accepted is not None:
            self._accepted.forget(update.visitor)
        if update.attributes:
            self._dead_letters.update(update, error, reason, is_guarded=is_guarded)
        else:
            self._state.accept(update)


def too_large(rendered: Rendered) -> str:
    """Which attributes, and for what limit, without any of their values."""
    fields = [f"profile.{name}" for name in rendered.unfit[:_NAMED]]
    short = [field if len(field) <= _NAME_LENGTH else f"{field[: _NAME_LENGTH - 1]}…" for field in fields]
    parts = [f"{field} fits in no request of {rendered.most:,} bytes" for field in short]
    if (more := len(rendered.unfit) - len(parts)) > 0:
        parts.append(f"and {more:,} more")
    return "; ".join(parts)
