"""Back-pressure: which batch may still come in, by how much is pending, with hysteresis."""

from collections.abc import Callable

import structlog

from connector.pipeline.state import ReplicaState

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_LETTERS = 1_000
"""Records that may wait for the acknowledgement of their dead letter; past it, consumption pauses."""
LOW_WATER = 0.9
"""Consumption resumes when this share of the bound is pending: hysteresis, so that it does not flap."""
LOOK_SECONDS = 1.0
RESERVE_SECONDS = 10.0
RESERVE_SHARE = 1.05
"""How much beyond the bounds may be taken, a batch at a time, when all that fills them got plain 500s."""


class BackPressure:
    """One credit per batch, returned while pending work is below the limits."""

    __slots__ = ("_more", "_reserve_at", "_state", "due")

    def __init__(self, state: ReplicaState, more: Callable[[], None]) -> None:
        """`more` gives the source one credit."""
        self._state = state
        self._more = more
        self._reserve_at = 0.0
        self.due = 0
        """Batches that were taken in, and whose credit was not given back."""

    async def keep(self) -> None:
        """Look for room while there is none, for ever."""
        while True:
            await self._state.reading.wait(LOOK_SECONDS)
            if self._state.is_starved:
                self._give()

    def taken(self) -> None:
        """A batch was taken in."""
        self.due += 1
        self._give()

    def _give(self) -> None:
        """Let the next batch come, unless too much is pending."""
        state, config = self._state, self._state.config
        margin = LOW_WATER if state.is_starved else 1.0
        pending, size = len(state.coalescer), state.coalescer.size + state.letter_bytes
        many = pending >= config.max_visitors * margin or size >= config.max_bytes * margin
        full = many or state.letters >= MAX_LETTERS
        if full and not state.is_starved:
            log.info("consumption_paused", updates_pending=pending, bytes=size, letters_pending=state.letters)
        elif state.is_starved and not full:
            log.info("consumption_resumed", updates_pending=pending, bytes=size)
        state.starve(is_starved=full)
        while self.due and not full:
            self._give_one()
        if full and self.due and self._is_stuck(pending, size):
            self._reserve_at = state.now() + RESERVE_SECONDS
            self._give_one()

    def _is_stuck(self, pending: int, size: int) -> bool:
        """Whether all that is held was tried and may have failed by its own fault: nothing is left that could show it.

        Then a batch comes in now and then beyond the bounds, up to bounds of its own; else updates that fail for good
        would end the intake for ever.
        """
        state, config = self._state, self._state.config
        if state.coalescer.never_sent or state.letters >= MAX_LETTERS or not state.gate.circuit.is_doubtful:
            return False
        room = pending < RESERVE_SHARE * config.max_visitors and size < RESERVE_SHARE * config.max_bytes
        return room and state.now() >= self._reserve_at

    def _give_one(self) -> None:
        self.due -= 1
        self._more()
