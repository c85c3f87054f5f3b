"""What stays constant in a world."""

import random
from dataclasses import dataclass
from typing import Any

from connector.delivery.offset_metadata import MAX_CHARACTERS
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.retry import RetryPolicy
from tests.simulation.profiles import Profile

PARTITIONS = [TopicPartition("t", number) for number in range(3)]
TWO_TOPICS = [*PARTITIONS[:2], TopicPartition("u", 0)]
TIMEOUT = 10.0
CONSUMER_SESSION = 45.0
"""The `consumer` protocol has its broker's default; see connector/kafka/config.py."""
CLASSIC_HEARTBEAT, CONSUMER_HEARTBEAT = 3.0, 5.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Times in seconds."""

    seed: int
    profile: Profile
    slowness: float
    session: float
    classic: bool
    static: bool
    options: dict[str, Any]
    """Of the pipelines."""
    trouble: float
    most_characters: int
    """Limit of a commit's metadata."""
    from_end: bool
    """A group without offsets begins at the end of the log."""

    @property
    def heartbeat(self) -> float:
        """Between two of them."""
        return CLASSIC_HEARTBEAT if self.classic else CONSUMER_HEARTBEAT

    @property
    def told_session(self) -> float:
        """The session timeout that a replica is told: see connector/kafka/admin.py."""
        return self.session if self.classic else self.session - self.heartbeat


def partitions_of(profile: Profile) -> list[TopicPartition]:
    """All that is there at the beginning."""
    return TWO_TOPICS if profile.topics > 1 else PARTITIONS


def choose(seed: int, profile: Profile, rng: random.Random) -> Setting:
    """Drawn from the seed."""
    slowness = rng.choice(profile.slowness)
    session = rng.choice(profile.sessions)
    classic = session != CONSUMER_SESSION or rng.random() < profile.classic
    options = {
        "linger": rng.choice(profile.linger),
        "max_visitors": rng.choice(profile.max_visitors),
        "max_bytes": rng.choice(profile.max_bytes),
        "max_in_flight": rng.choice((1, 3, 8)),
        "updates_per_second": rng.choice(profile.rate),
        "commit_interval": rng.choice((1.0, 5.0)),
        "accept_unconfirmed": rng.random() < 0.5,
        "retry": RetryPolicy(0.5, rng.choice((2.0, 60.0)), rng.choice(profile.attempts)),
        "unknown_visitor_wait": rng.choice(profile.unknown_waits),
        "shutdown_grace": rng.choice(profile.graces),
        "request_timeout": TIMEOUT,
        "max_dead_letters_in_a_row": 0,
        "max_dead_letter_ratio": 0.0,
    }
    trouble = rng.choice(profile.trouble)
    short = rng.random() < profile.short_words
    most_characters = rng.choice((20, 60, 200)) if short else MAX_CHARACTERS
    static = random.Random(f"{seed} static").random() < profile.static
    options["static_member"] = static
    if profile.unchanged:
        options["unchanged_seconds"] = rng.choice(profile.unchanged)
        options["topics"] = profile.topics
    if profile.agings:
        options["priority_aging"] = rng.choice(profile.agings)
    if profile.ages:
        options["max_event_age"] = rng.choice(profile.ages)
    from_end = random.Random(f"{seed} from end").random() < profile.from_end
    return Setting(seed, profile, slowness, session, classic, static, options, trouble, most_characters, from_end)
