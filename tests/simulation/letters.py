"""The dead-letter topic: slow, silent or refusing, by the world's faults."""

import asyncio
import random

from connector.delivery.dead_letter import DeadLetter
from connector.errors import Fatal
from tests.simulation.oracle import Oracle
from tests.simulation.timeline import Lane, Process


class LetterBox:
    """Current state of the topic, for all replicas."""

    def __init__(self) -> None:
        self.heal()

    def heal(self) -> None:
        """No faults."""
        self.seconds = 0.01
        self.holds_until = 0.0
        self.refuses = False


class Letters:
    """One replica's connection to it."""

    def __init__(self, process: Process, box: LetterBox, oracle: Oracle, rng: random.Random, member: str) -> None:
        self._process = process
        self._box = box
        self._oracle = oracle
        self._rng = rng
        self._member = member

    async def send(self, letter: DeadLetter) -> None:
        loop = asyncio.get_running_loop()
        if self._box.refuses:
            await asyncio.sleep(0.1)
            raise Fatal(event="dead_letter_failed", reason="the topic refuses it", hint="make it anew")
        timeline = self._process.timeline
        stay = self._oracle.stay(self._member, letter.source)
        written: asyncio.Future[None] = loop.create_future()
        seconds = max(self._rng.random() * self._box.seconds, self._box.holds_until - timeline.now)
        timeline.after(seconds, self._write, letter, written)
        await written
        self._oracle.letter_heard(self._member, letter, stay)

    def _write(self, letter: DeadLetter, written: "asyncio.Future[None]") -> None:
        self._oracle.lettered(self._member, letter)
        self._process.later(Lane.LOOP, 0.001, _done, written)


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
