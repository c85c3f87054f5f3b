"""Back-pressure: which batch may still come in, by how much is pending, with hysteresis."""

from collections.abc import Callable

import structlog

from connector.delivery.circuit import Circuit
from connector.delivery.coalescer import Coalescer
from connector.pipeline.burial import Burial
from connector.pipeline.config import PipelineConfig

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOW_WATER = 0.9
"""Consumption goes on when this share of the bound is pending: hysteresis, so that it does not flutter."""
RESERVE_SECONDS = 10.0
RESERVE_SHARE = 1.05
"""How much beyond the bounds may be taken, a batch at a time, when all that fills them got plain 500s."""


class Credit:
    """The source hands on a batch for each credit; each batch that was taken in is owed one, when there is room."""

    __slots__ = ("_burial", "_circuit", "_coalescer", "_config", "_more", "_now", "_reserve_at", "due", "starved")

    def __init__(
        self,
        config: PipelineConfig,
        coalescer: Coalescer,
        burial: Burial,
        circuit: Circuit,
        *,
        now: Callable[[], float],
        more: Callable[[], None],
    ) -> None:
        """`more` gives the source one credit."""
        self._config = config
        self._coalescer = coalescer
        self._burial = burial
        self._circuit = circuit
        self._now = now
        self._more = more
        self._reserve_at = 0.0
        self.due = 0
        """Batches that were taken in, and whose credit was not given back."""
        self.starved = False
        """True while no credit is given because too much is pending."""

    def taken(self) -> None:
        """A batch was taken in."""
        self.due += 1
        self._give()

    def look(self) -> None:
        """There may be room again, or time may have passed."""
        if self.starved:
            self._give()

    def _give(self) -> None:
        """Let the next batch come, unless too much is pending."""
        margin = LOW_WATER if self.starved else 1.0
        pending, size = len(self._coalescer), self._coalescer.size + self._burial.size
        many = pending >= self._config.max_visitors * margin or size >= self._config.max_bytes * margin
        full = many or self._burial.is_full
        if full and not self.starved:
            log.info("consumption_paused", updates_pending=pending, bytes=size, letters_pending=self._burial.letters)
        elif self.starved and not full:
            log.info("consumption_resumed", updates_pending=pending, bytes=size)
        self.starved = full
        while self.due and not full:
            self._give_one()
        if full and self.due and self._is_stuck(pending, size):
            self._reserve_at = self._now() + RESERVE_SECONDS
            self._give_one()

    def _is_stuck(self, pending: int, size: int) -> bool:
        """Whether all that is held was tried and may have failed by its own fault: nobody is left who could show it.

        Then a batch comes in now and then beyond the bounds, up to bounds of its own; else updates that fail for good
        would end the intake for ever.
        """
        if self._coalescer.untried or self._burial.is_full or not self._circuit.is_doubtful:
            return False
        config = self._config
        room = pending < RESERVE_SHARE * config.max_visitors and size < RESERVE_SHARE * config.max_bytes
        return room and self._now() >= self._reserve_at

    def _give_one(self) -> None:
        self.due -= 1
        self._more()
