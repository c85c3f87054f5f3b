"""The ledger's topic in memory: the broker's promises about it, and the ways in which it can fail."""

import asyncio
from collections.abc import Callable

from connector.quota.ledger import Ledger
from connector.quota.ports import Appended, Reader
from connector.quota.records import Record, decode

EPOCH = 1_700_000_000.0
LATENCY = 0.005


class FakeLedgerTopic:
    """One partition, which outlives every log that reads it."""

    def __init__(self) -> None:
        self.values: list[Appended] = []
        self.down = False
        """Make appends and reads fail."""
        self.readers: list[FakeLedgerLog] = []

    def append(self, value: bytes | None) -> None:
        """Append a record, and deliver it to all readers."""
        self.values.append((value, EPOCH + asyncio.get_running_loop().time()))
        for reader in self.readers:
            reader.feed()

    def come_back(self) -> None:
        """End the failure."""
        self.down = False
        for reader in self.readers:
            reader.feed()

    @property
    def records(self) -> list[Record]:
        """Its records, as far as they are ours."""
        return [record for value, _ in self.values if (record := decode(value)) is not None]

    @property
    def ledger(self) -> Ledger:
        """The fold of its records."""
        ledger = Ledger()
        for value, appended in self.values:
            if (record := decode(value)) is not None:
                ledger.apply(record, appended)
        return ledger


class FakeLedgerLog:
    """One replica's log of it."""

    def __init__(self, topic: FakeLedgerTopic) -> None:
        self.topic = topic
        self.closed = False
        self._reader: Reader | None = None
        self._read = 0
        self._caught_up = False

    @property
    def reader(self) -> Reader:
        """The listener that started this log."""
        assert self._reader is not None
        return self._reader

    def start(self, reader: Reader) -> None:
        """Begin to read."""
        self._reader = reader
        self.topic.readers.append(self)
        self.feed()

    def feed(self) -> None:
        """Hand on pending records, a moment later."""
        asyncio.get_running_loop().call_later(LATENCY, self._hand_on)

    def append(self, value: bytes, failed: Callable[[], None]) -> None:
        """Append, or report an unknown outcome."""
        loop = asyncio.get_running_loop()
        if self._reader is None or self.closed or self.topic.down:
            loop.call_soon(failed)
        else:
            loop.call_later(LATENCY, self.topic.append, value)

    async def close(self, seconds: float) -> None:
        """Appended records are written first."""
        await asyncio.sleep(min(seconds, 2 * LATENCY))
        self.closed = True
        if self in self.topic.readers:
            self.topic.readers.remove(self)

    def _hand_on(self) -> None:
        if self.closed:
            return
        if self.topic.down:
            self.reader.delayed("no broker answers")
            return
        batch = self.topic.values[self._read :]
        self._read += len(batch)
        if batch:
            self.reader.read(batch)
        if not self._caught_up:
            self._caught_up = True
            self.reader.caught_up()
