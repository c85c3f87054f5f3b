"""One visitor under several names: the same pcId with another location hint."""

import asyncio

from tests.support.bench import Bench
from tests.support.fakes import FakeLog
from tests.support.virtual_time import run


def test_two_location_hints_of_one_pc_id_are_one_update_that_names_the_newest() -> None:
    """Wrong design: each is a visitor of its own, and the two updates race."""

    async def main() -> None:
        log = FakeLog()
        for hint, tier in (("28_20", "old"), ("41_0", "new")):
            log.append(b'{"pcId": "7.%s", "profile": {"tier": "%s"}}' % (hint.encode(), tier.encode()))
        async with Bench(log, linger=1.0) as bench:
            await bench.settle()
            assert [(visitor, attributes) for _, visitor, attributes in bench.sender.sent] == [
                ("7.41_0", {"tier": "new"})
            ]
            log.append(b'{"pcId": "7", "profile": {"tier": "newer"}}')
            bench.source.feed()
            await asyncio.sleep(0)
            await bench.settle()
            assert bench.sender.sent[-1][1:] == ("7", {"tier": "newer"})

    run(main())
