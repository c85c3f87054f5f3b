"""The events of a chaos run: every value is a growing serial number, so that "older" is a comparison."""

import asyncio
import json
import random
import time
from typing import NamedTuple

from confluent_kafka import Producer

VISITORS = 280
"""Visitors with events at a time. They retire one after the other: so a visitor's lost last value stays visible and is
not covered by a newer one."""
EVENTS_A_VISITOR = 30
CALM = "calm"
POISON = ("poison", "broken")
"""Visitors that the endpoint never accepts: it rejects the first, and answers a plain 500 for the second."""
POISON_FAULTS = ("false,visitors=poison", "status=500,visitors=broken")
MALFORMED = "malformed"
TOMBSTONE = "tombstone"
EVENTS_PER_SECOND = 300
CALM_EVENTS_PER_SECOND = 30
TICK_SECONDS = 0.02

_RARE = ((MALFORMED, 0.004), (TOMBSTONE, 0.001), ("poison", 0.004), ("broken", 0.002))


class Event(NamedTuple):
    """One record to write; the key says what kind it is, and keeps a visitor on one partition."""

    key: str
    value: bytes | None


class Flow:
    """Draws events; the same seed gives the same ones in the same order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._serial = 0

    def draw(self, *, calm: bool = False) -> Event:
        """Give the next event; a calm one is for a new visitor, whom the endpoint accepts."""
        self._serial += 1
        number, rng = self._serial, self._rng
        if calm:
            return self._change(f"{CALM}-{rng.randrange(VISITORS)}", number)
        dice = rng.random()
        for kind, share in _RARE:
            if dice < share:
                return self._rare(kind, number)
            dice -= share
        return self._change(f"visitor-{number // EVENTS_A_VISITOR + rng.randrange(VISITORS)}", number)

    def _rare(self, kind: str, number: int) -> Event:
        if kind == TOMBSTONE:
            return Event(f"{TOMBSTONE}-{number}", None)
        if kind == MALFORMED:
            texts = (
                f'{{"malformed": {number}',
                f'{{"mbox3rdPartyId": "malformed-{number}"}}',
                f'{{"mbox3rdPartyId": "malformed-{number}", "pcId": "1.2", "profile": {{"seq": {number}}}}}',
                f'{{"mbox3rdPartyId": "malformed-{number}", "profile": {{"seq": [{number}]}}}}',
            )
            return Event(f"{MALFORMED}-{number}", self._rng.choice(texts).encode())
        return self._change(f"{kind}-{self._rng.randrange(5)}", number)

    def _change(self, visitor: str, number: int) -> Event:
        names = ["seq", *(name for name in ("tier", "city") if self._rng.random() < 0.3)]
        profile = dict.fromkeys(names, number)
        return Event(visitor, json.dumps({"mbox3rdPartyId": visitor, "profile": profile}).encode())


class Feed:
    """Writes a flow to a topic at a steady rate and in order, also through outages."""

    def __init__(self, bootstrap: str, topic: str, rng: random.Random) -> None:
        self._flow = Flow(rng)
        self._topic = topic
        self._calm = False
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
            }
        )

    async def run(self) -> None:
        """Write until cancelled. After a stall of the machine it catches up, but not all at once."""
        due = 0.0
        last = time.monotonic()
        while True:
            now = time.monotonic()
            rate = CALM_EVENTS_PER_SECOND if self._calm else EVENTS_PER_SECOND
            due = min(due + (now - last) * rate, rate)
            last = now
            while due >= 1:
                event = self._flow.draw(calm=self._calm)
                self._producer.produce(self._topic, event.value, event.key)
                due -= 1
            self._producer.poll(0)
            await asyncio.sleep(TICK_SECONDS)

    def calm(self) -> None:
        """From now on write few events, and only for new visitors.

        A visitor that always fails counts as such only while others succeed; so others must exist, but none
        whose newer value would cover up a lost one.
        """
        self._calm = True

    def flush(self, seconds: float) -> None:
        """Wait until all is acknowledged."""
        left = self._producer.flush(seconds)
        assert not left, f"{left} events could not be written within {seconds:.0f} s: the brokers did not come back"
