"""Events as a call centre, a shop and a kiosk write them, with what each profile must hold in the end."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

_TIERS = ("none", "silver", "gold", "platinum")
_NOTES = ("asked about rates & fees", "100% sure + wants a call", "Zürich / 東京 #2", 'said "maybe"', "a=b;c")
_MALFORMED = (
    b'{"mbox3rdPartyId": "1", "profile": {',
    b'{"profile": {"points": 1}}',
    b'{"mbox3rdPartyId": "1", "pcId": "2", "profile": {"points": 1}}',
    b'{"mbox3rdPartyId": "1", "profile": {}}',
    b'{"mbox3rdPartyId": "1", "profile": {"basket": [1, 2]}}',
    b"\xff\xfe not text",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One record: `expected` is what it says, as text by attribute; empty for a malformed one."""

    key: bytes
    value: bytes
    visitor: str
    expected: Mapping[str, str]


class Generator:
    """Draws events; few visitors have most of them. The same seed draws the same events."""

    def __init__(self, visitors: int, seed: int, malformed_share: float) -> None:
        self._rng = random.Random(seed)
        self._visitors = visitors
        self._malformed_share = malformed_share
        self._number = 0

    def draw(self) -> Event:
        """Draw the next event."""
        rng = self._rng
        self._number += 1
        # Evenly, not at random: a short run is promised some too.
        if int(self._number * self._malformed_share) > int((self._number - 1) * self._malformed_share):
            return Event(b"malformed", rng.choice(_MALFORMED), "", {})
        visitor = f"customer-{int(self._visitors ** rng.random()) % self._visitors:06d}"
        cents = rng.randrange(1_000_000)
        amount = f"{cents // 100}.{cents % 100:02d}"
        fields = rng.sample(
            [
                ("loyaltyTier", *_text(rng.choice(_TIERS))),
                ("points", *_literal(str(rng.randrange(100_000)))),
                ("lastOrderTotal", *_literal(amount)),
                ("newsletter", *_literal(rng.choice(("true", "false")))),
                ("lastNote", *_text(rng.choice(_NOTES))),
                ("sequence", *_literal(str(self._number))),
            ],
            k=rng.randint(1, 4),
        )
        profile = ", ".join(f"{json.dumps(name)}: {written}" for name, written, _ in fields)
        value = f'{{"eventId": "demo-{self._number}", "mbox3rdPartyId": "{visitor}", "profile": {{{profile}}}}}'
        return Event(visitor.encode(), value.encode(), visitor, {name: sent for name, _, sent in fields})


def _text(text: str) -> tuple[str, str]:
    return json.dumps(text), text


def _literal(text: str) -> tuple[str, str]:
    return text, text
