"""What verify found travels in the ledger's topic, and changes nothing of the ledger."""

import asyncio

from connector.quota.records import Reserve, decode, encode
from connector.quota.verified import Verified, encode_verified, verified_in
from tests.support.bench import Bench
from tests.support.fakes import FakeLog
from tests.support.ledger import EPOCH, FakeLedgerLog, FakeLedgerTopic
from tests.support.virtual_time import run
from tests.unit.test_pipeline_quota import TERMS

FOUND = Verified("harmed", 300, 280, 3, 0.002, 0.031, 0.95, {"match": 812, "lost": 3}, name="a1")


def test_a_result_comes_back_as_it_was_written_and_is_no_record_of_the_ledger() -> None:
    """An older replica must pass over it: a record that it took for a newer ledger would end it."""
    value = encode_verified(FOUND)
    assert verified_in(value) == FOUND
    assert decode(value) is None


def test_what_is_no_result_is_none() -> None:
    """The topic may hold anything; a stray object must not reach the page."""
    lease = encode(Reserve("h", 1, 5, 100, 60.0, 1.0))
    for value in (None, b"", b"{", lease, encode_verified(FOUND).replace(b"280", b"-1"), b'{"type":"verified","v":1}'):
        assert verified_in(value) is None


def test_the_last_result_is_known_with_its_age_and_the_quota_is_the_same() -> None:
    """A replica that starts later reads it too; the age is by the brokers' clock."""

    async def main() -> None:
        topic, loop = FakeLedgerTopic(), asyncio.get_running_loop()
        log = FakeLedgerLog(topic)
        async with Bench(FakeLog(), ledger=log, quota=TERMS, wall=lambda: EPOCH + loop.time()) as bench:
            quota = bench.pipeline.quota
            assert quota is not None
            await asyncio.sleep(1)
            before = quota.verified, quota.used
            assert before == (None, 0)
            topic.append(encode_verified(FOUND))
            topic.append(encode_verified(Verified("good", 10, 10, 0, 0.0, 0.26, 0.95, {"match": 10})))
            await asyncio.sleep(60)
            known = quota.verified
            assert known is not None
            assert (known[0].conclusion, round(known[1])) == ("good", 60)
            assert quota.used == 0

    run(main())
