"""Kinds of worlds: each makes other faults likely, so that a few hundred seeds cover all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """Distributions to draw from; times in seconds."""

    faults: Mapping[str, int] = field(default_factory=dict)
    """Weights of the faults; each is a method of World."""
    troubles: tuple[int, ...] = (1, 2, 4, 8)
    """Number of faults."""
    replicas: tuple[int, ...] = (1, 2, 3)
    seconds: tuple[float, ...] = (30.0, 90.0)
    records: tuple[int, ...] = (20, 60, 150)
    visitors: int = 12
    special: Mapping[int, str] = field(default_factory=dict)
    """Visitors by number that are not healthy: the prefix of their id."""
    malformed: float = 0.03
    spread: float = 0.0
    """Share of events of visitors whose events come over all partitions."""
    big: bool = False
    """Some values need several requests."""
    padding: int = 0
    slowness: tuple[float, ...] = (0.01, 0.5, 4.0)
    trouble: tuple[float, ...] = (0.0, 0.1)
    attempts: tuple[int, ...] = (MANY,)
    linger: tuple[float, ...] = (0.0, 0.2, 1.0)
    max_visitors: tuple[int, ...] = (200_000,)
    max_bytes: tuple[int, ...] = (256 << 20,)
    rate: tuple[float, ...] = (0.0, 20.0)
    batches: tuple[int, ...] = (1, 7, 50)
    sessions: tuple[float, ...] = (45.0,)
    short_words: float = 0.0
    """Share of worlds in which the broker takes little metadata."""
    classic: float = 0.7
    """Share of worlds with the classic protocol, in which a commit keeps the session alive."""
    graces: tuple[float, ...] = (25.0, 5.0)
    """Seconds for a drain."""
    static: float = 0.1
    """Share of worlds with static members: a member that returns within its session has its partitions at once."""
    markers: float = 0.01
    """Share of records with a transaction marker before them."""
    from_end: float = 0.0
    """Share of worlds in which a group without offsets begins at the end of the log."""
    unknown_waits: tuple[float, ...] = (60.0,)
    """Seconds that an update waits for Target to know its visitor."""
    by_schema: bool = False
    """Records carry several events, and are read by a mapping and schemas of a registry."""
    topics: int = 1
    shared: float = 0.0
    """Share of events of visitors that come over all topics, with the same attributes in each."""
    repeats: float = 0.0
    """Share of values that are one of the last few of their visitor and attribute."""
    unchanged: tuple[float, ...] = ()
    """Seconds for which an accepted value is not sent again; empty: it is."""
    ages: tuple[float, ...] = ()
    """Seconds after which an event is too old to be sent; empty: none is."""
    late: float = 0.0
    """Share of events that say when they were true: mostly long before they are written."""
    timeless: float = 0.0
    """Share of the others whose record has no timestamp."""
    outages: tuple[float, ...] = (1.0, 10.0, 30.0, 60.0)
    """Seconds that the endpoint is away."""
    agings: tuple[float, ...] = ()
    """Seconds after which an update that waits rises a class; empty: all events are of one class."""
    suspends: float = 0.2
    """Share of freezes in which the machine sleeps, and stops the process's monotonic clock too."""


PROFILES: Mapping[str, Profile] = {
    "calm": Profile(trouble=(0.0, 0.3), records=(60, 150, 300), spread=0.2, special={11: "r"}),
    "rebalances": Profile(
        faults={"shuffle": 4, "scale_up": 2, "stop": 2, "roll": 1, "commit_trouble": 2, "outage": 1},
        spread=0.2,
        big=True,
        special={11: "r"},
    ),
    "rolling": Profile(
        faults={"roll": 3, "stop": 3, "scale_up": 1},
        visitors=6,
        seconds=(60.0,),
        records=(150, 300),
        slowness=(0.5, 4.0, 9.0),
        graces=(25.0, 5.0, 1.0),
        linger=(0.0, 0.2),
        trouble=(0.0,),
        malformed=0.01,
    ),
    "crashes": Profile(
        faults={"crash": 4, "scale_up": 1, "commit_trouble": 3, "outage": 1, "shuffle": 1, "stop": 1},
        seconds=(90.0, 180.0),
        special={10: "s", 11: "r"},
        records=(60, 150, 300),
    ),
    "static": Profile(
        faults={"crash": 6, "outage": 2, "stop": 1, "scale_up": 1, "cut_off": 1},
        seconds=(90.0, 180.0),
        replicas=(1, 2),
        records=(150, 300),
        visitors=6,
        slowness=(0.5, 4.0, 9.0),
        linger=(0.0, 0.2),
        malformed=0.01,
        static=1.0,
    ),
    "restarts": Profile(
        faults={"bounce": 2, "stop": 2, "crash": 4, "commit_trouble": 4},
        troubles=(8, 16),
        seconds=(120.0, 180.0),
        replicas=(1, 2, 3),
        sessions=(12.0, 20.0),
        records=(300, 600),
        visitors=6,
        slowness=(4.0, 9.0),
        linger=(0.0,),
        rate=(0.0,),
        trouble=(0.0,),
        malformed=0.0,
        static=1.0,
    ),
    "logs": Profile(
        faults={
            "make_again": 3,
            "cut_tail": 3,
            "elect": 2,
            "add_partition": 1,
            "retention": 1,
            "crash": 2,
            "stop": 1,
            "shuffle": 1,
            "outage": 2,
            "commit_trouble": 1,
        },
        troubles=(4, 8, 16),
        replicas=(1, 2),
        seconds=(90.0, 180.0),
        records=(150, 300),
        special={10: "s", 11: "r"},
        linger=(0.0, 1.0),
        markers=0.1,
        from_end=0.2,
        static=0.3,
    ),
    "zombies": Profile(
        faults={"freeze": 5, "cut_off": 3, "commit_trouble": 1, "outage": 2, "scale_up": 1, "stall": 1},
        replicas=(2, 3),
        seconds=(120.0, 200.0),
        records=(150, 300),
        visitors=6,
        rate=(0.0, 2.0),
        slowness=(0.01, 4.0),
        malformed=0.01,
        sessions=(45.0, 20.0, 12.0),
    ),
    "outages": Profile(
        faults={"outage": 5, "shuffle": 1, "commit_trouble": 1},
        seconds=(90.0, 180.0),
        trouble=(0.0,),
        attempts=(10,),
        replicas=(1, 2),
        malformed=0.01,
    ),
    "poison": Profile(
        faults={"letter_trouble": 4, "crash": 1, "shuffle": 2, "outage": 1, "commit_trouble": 1},
        malformed=0.1,
        special={3: "r", 7: "r", 8: "f", 11: "f"},
        attempts=(3, 5),
        seconds=(90.0,),
    ),
    "stuck": Profile(
        faults={"crash": 4, "stop": 1, "shuffle": 3, "commit_trouble": 1},
        special={2: "s", 7: "s", 9: "s"},
        seconds=(120.0,),
        records=(150, 300),
        trouble=(0.0,),
        sessions=(20.0,),
        short_words=0.15,
    ),
    "memory": Profile(
        faults={"outage": 3, "shuffle": 2, "crash": 1},
        visitors=60,
        records=(150, 300),
        max_visitors=(4, 20, 200_000),
        max_bytes=(20_000, 100_000),
        padding=2_000,
        batches=(1, 7),
        trouble=(0.0,),
    ),
    "schemas": Profile(
        faults={
            "registry_outage": 4,
            "crash": 2,
            "stop": 1,
            "shuffle": 2,
            "outage": 1,
            "commit_trouble": 1,
            "cut_tail": 1,
            "make_again": 1,
            "retention": 1,
            "elect": 1,
            "letter_trouble": 1,
        },
        troubles=(4, 8, 16),
        seconds=(90.0, 180.0),
        records=(60, 150, 300),
        special={10: "s", 11: "r"},
        malformed=0.05,
        markers=0.05,
        static=0.2,
        max_visitors=(6, 200_000),
        by_schema=True,
    ),
    "unknown": Profile(
        faults={"crash": 3, "stop": 2, "shuffle": 3, "outage": 2, "commit_trouble": 1, "letter_trouble": 1},
        troubles=(2, 4, 8),
        special={2: "u", 4: "u", 5: "u", 7: "n", 9: "u", 11: "n"},
        seconds=(90.0, 180.0),
        records=(60, 150, 300),
        static=0.2,
        unknown_waits=(20.0, 60.0, 200.0),
    ),
    "repeats": Profile(
        faults={"shuffle": 12, "crash": 1, "scale_up": 1, "freeze": 1, "cut_off": 1, "outage": 2, "commit_trouble": 1},
        troubles=(8, 16),
        replicas=(2, 2, 3),
        seconds=(90.0, 180.0),
        records=(150, 300),
        visitors=6,
        special={5: "r"},
        spread=0.1,
        slowness=(0.01, 0.5, 4.0),
        trouble=(0.0, 0.1, 0.3),
        linger=(0.0, 0.2),
        sessions=(45.0, 20.0),
        malformed=0.01,
        repeats=0.7,
        unchanged=(20.0, 3_600.0),
    ),
    "topics": Profile(
        faults={"shuffle": 1, "crash": 2, "stop": 3, "scale_up": 4, "freeze": 1, "outage": 1},
        troubles=(8, 16),
        replicas=(1, 1, 2),
        seconds=(90.0, 180.0),
        records=(150, 300),
        visitors=3,
        shared=0.7,
        slowness=(0.01, 4.0, 9.0),
        trouble=(0.0, 0.1),
        linger=(0.0, 0.2),
        sessions=(12.0, 20.0),
        malformed=0.0,
        topics=2,
        repeats=0.7,
        unchanged=(3_600.0,),
    ),
    "ages": Profile(
        faults={
            "outage": 6,
            "crash": 3,
            "shuffle": 3,
            "commit_trouble": 2,
            "stop": 1,
            "scale_up": 1,
            "freeze": 2,
            "letter_trouble": 1,
        },
        troubles=(4, 8, 16),
        seconds=(90.0, 180.0),
        records=(60, 150, 300),
        visitors=8,
        spread=0.2,
        big=True,
        special={6: "s", 7: "r"},
        trouble=(0.0, 0.1, 0.3),
        sessions=(45.0, 20.0),
        rate=(0.0, 1.0, 20.0),
        max_visitors=(6, 200_000),
        static=0.2,
        suspends=0.5,
        ages=(20.0, 60.0, 600.0),
        late=0.5,
        timeless=0.1,
        outages=(10.0, 60.0, 120.0),
        repeats=0.4,
        unchanged=(0.0, 0.0, 3_600.0),
    ),
    "classes": Profile(
        faults={"outage": 3, "crash": 2, "shuffle": 4, "scale_up": 1, "stop": 1, "freeze": 1, "letter_trouble": 1},
        troubles=(2, 4, 8),
        replicas=(1, 1, 2),
        seconds=(60.0, 120.0),
        records=(150, 300),
        visitors=40,
        spread=0.1,
        big=True,
        special={10: "s", 11: "r", 12: "s", 13: "u", 14: "s"},
        trouble=(0.0, 0.1, 0.3),
        slowness=(0.01, 0.5, 4.0),
        rate=(1.0, 2.0, 20.0),
        linger=(0.0, 0.2, 1.0),
        malformed=0.01,
        static=0.2,
        agings=(5.0, 20.0, 60.0),
    ),
    "everything": Profile(
        faults={
            "crash": 2,
            "stop": 2,
            "scale_up": 2,
            "roll": 1,
            "shuffle": 2,
            "freeze": 2,
            "cut_off": 1,
            "stall": 1,
            "outage": 2,
            "commit_trouble": 2,
            "letter_trouble": 1,
        },
        troubles=(8, 16),
        seconds=(90.0, 240.0),
        records=(150, 300),
        spread=0.1,
        big=True,
        special={9: "s", 10: "f", 11: "r"},
        attempts=(10,),
        sessions=(45.0, 20.0),
        max_visitors=(6, 200_000),
        rate=(0.0, 2.0, 20.0),
        short_words=0.1,
    ),
}
"""By name; a seed picks one of them unless one is given."""
