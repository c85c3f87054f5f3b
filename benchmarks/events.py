"""The events that both sides of a comparison read."""

import random
from collections.abc import Iterator

import msgspec

TOPIC_PARTITIONS = 4


def zipf(events: int, visitors: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of about 300 bytes; few visitors have most of the events, as at a call centre."""
    rng = random.Random(seed)
    for number in range(events):
        yield _event(int(visitors ** rng.random()), number, rng)


def one_each(events: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """One event a visitor: nothing coalesces, so each event is a request."""
    rng = random.Random(seed)
    for number in range(events):
        yield _event(number, number, rng)


def _event(visitor: int, number: int, rng: random.Random) -> tuple[bytes, bytes]:
    name = f"customer-{visitor:08d}"
    profile = {
        "loyaltyTier": rng.choice(("none", "silver", "gold")),
        "points": rng.randrange(100_000),
        "lastOrderTotal": rng.randrange(100_000) / 100,
        "newsletter": rng.random() < 0.5,
        "segment": rng.choice(("prospect", "active", "lapsed")),
        "branch": f"branch-{rng.randrange(300)}",
        "product": "loan-application",
        "step": rng.randrange(12),
    }
    event = {
        "eventId": f"0197-{number:012d}",
        "occurredAt": "2026-11-22T10:15:00.123Z",
        "mbox3rdPartyId": name,
        "profile": profile,
    }
    return name.encode(), msgspec.json.encode(event)
