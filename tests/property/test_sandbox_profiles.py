"""What judges profiles from outside is held to the sandbox's own word, so that word must be true.

The worlds are drawn by seed: what is to be found needs lag, session and order to meet, which hypothesis seldom draws.
"""

import random
from collections import Counter

from connector.sandbox.fates import Fate, Processing
from connector.sandbox.profiles import ProfileStore
from connector.sandbox.rules import Visitor

NAMES = ("a", "b", "user.c")
LIMIT = 8
WORLDS = 2_000


class World:
    """A visitor's updates and visits under random rules; every value is another one, and longer than the limit."""

    def __init__(self, seed: int) -> None:
        rng = self._rng = random.Random(seed)
        self.store = ProfileStore(
            update_only=rng.random() < 0.5,
            override=rng.random() < 0.5,
            expire_after=rng.choice([None, 60.0]),
            session=rng.choice([None, 15.0]),
            ignore_empty=rng.random() < 0.5,
            value_limit=rng.choice([None, LIMIT]),
        )
        self.visitor = rng.choice([Visitor("mbox3rdPartyId", "ann"), Visitor("mboxPC", "1.28_0")])
        self.now = 0.0
        self.newest: dict[str, str] = {}
        """By attribute the newest accepted value."""
        for number in range(rng.randint(2, 9)):
            self._step(number)
        self.now += rng.choice([0.0, 20.0, 80.0])

    def _step(self, number: int) -> None:
        rng = self._rng
        self.now += rng.choice([0.0, 2.0, 8.0, 30.0])
        values = {name: f"{number:04}-{name}-long" for name in NAMES if rng.random() < 0.6}
        if not values or rng.random() < 0.3:
            self.store.visit(self.visitor, self.now, values)
            return
        if rng.random() < 0.2:
            values[min(values)] = ""
        how = Processing(
            lag=rng.choice([0.0, 0.0, 5.0, 40.0]),
            is_lost=rng.random() < 0.15,
            is_reordered=rng.random() < 0.5,
            overwritten_after=rng.choice([None, None, None, 7.0]),
        )
        self.store.update(self.visitor, values, self.now, how)
        self.newest |= values


def test_a_fate_says_what_a_fetch_shows() -> None:
    """A value stands if and only if its fate says so: a fate kept too long, or set by an older update, would show."""
    met: Counter[Fate] = Counter()
    for seed in range(WORLDS):
        world = World(seed)
        found = world.store.fetch(world.visitor, world.now) or {}
        fates = world.store.fates(world.visitor, world.now)
        for name, value in world.newest.items():
            seen = found[name].value if name in found else None
            fate = fates.get(name, Fate.UNKNOWN)
            met[fate] += 1
            if value:
                assert (fate is Fate.STANDS) == (seen == value), (seed, name, fate, seen, value)
                assert (fate is Fate.CUT) == (seen == value[:LIMIT]), (seed, name, fate, seen, value)
            else:
                assert fate is not Fate.CUT
    assert set(met) == set(Fate), "a fate that no world meets is not tested"
