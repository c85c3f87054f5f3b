"""Offsets out: what is settled is committed, and each commit that the group answers lets us send for a while more."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from connector.delivery.coalescer import Order
from connector.delivery.gate import Gate
from connector.delivery.offset_mark import MARK_CHARACTERS
from connector.delivery.offsets import OffsetAndMetadata, PartitionOffsets, TopicPartition
from connector.delivery.owed import MAX_CHARACTERS
from connector.delivery.tally import Tally
from connector.errors import CommitFailed
from connector.pipeline.config import PipelineConfig
from connector.pipeline.edges import Source
from connector.pipeline.say import Say

COMMIT_UPDATES = 1_000
"""So many settled updates are committed at once, so that a crash at full speed does not repeat a whole interval."""
COMMIT_AGAIN_SECONDS = 1.0
"""After a failed commit, when the next one decides whether we may go on sending."""
RENEWALS = 4
"""So often within the lease the group is asked, so that three lost answers do not stop us."""


class Committer:
    """Every interval, after so many settled updates, and as often as the lease on the partitions needs it."""

    def __init__(  # noqa: PLR0913 - what it commits, where to, what it lets go on, and two clocks
        self,
        config: PipelineConfig,
        source: Source,
        assigned: Mapping[TopicPartition, PartitionOffsets],
        gate: Gate,
        tally: Tally,
        say: Say,
        *,
        now: Callable[[], float],
        awake: Callable[[], float],
        look: Callable[[], None],
        renewed: Callable[[], None],
    ) -> None:
        """`assigned` is always what is assigned now. `look` is called with each turn, `renewed` when the lease is."""
        self._interval = config.commit_interval
        self._source = source
        self._assigned = assigned
        self._gate = gate
        self._tally = tally
        self._say = say
        self._now = now
        self._awake = awake
        self._look = look
        self._renewed = renewed
        self._wanted = asyncio.Event()
        self._updates = 0
        # By event time the newest value may stand in a record that was settled long ago: there all are read again.
        self._metadata_characters = MAX_CHARACTERS if config.order is Order.OFFSET else MARK_CHARACTERS
        self._is_clean = False

    async def keep(self) -> None:
        """Work for ever."""
        while True:
            self._wanted.clear()
            self._look()
            often = min(self._interval, self._gate.lease.seconds / RENEWALS or COMMIT_AGAIN_SECONDS)
            next_at = self._now() + often
            await self.commit()
            if self._assigned and self._gate.lease.left(self._awake()) <= 0:
                next_at = min(next_at, self._now() + COMMIT_AGAIN_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_at):
                    await self._wanted.wait()

    def wake(self) -> None:
        """Ask the group at once."""
        self._wanted.set()

    def moved(self) -> None:
        """Something was settled."""
        if self._tally.updates_accepted - self._updates >= COMMIT_UPDATES:
            self._wanted.set()

    def place(self, tracker: PartitionOffsets) -> OffsetAndMetadata:
        """What there is to commit of a partition now."""
        return tracker.to_commit(self._metadata_characters, is_clean=self._is_clean)

    def end_cleanly(self) -> None:
        """Nothing is on the wire, and nothing more will be: the next commits say so."""
        self._is_clean = True

    @property
    def behind(self) -> bool:
        """Whether something is settled that no acknowledged commit says."""
        return any(place != tracker.committed for tracker, place in self._standing().items())

    async def commit(self) -> bool:
        """Commit what moved; all of it when the lease wants an answer of the group. Returns whether it was answered.

        A failed commit is unknown, not undone: the next one says again what is true then.
        """
        lease, standing = self._gate.lease, self._standing()
        moved = {tracker: place for tracker, place in standing.items() if place != tracker.committed}
        asked = self._awake()
        if lease.left(asked) < lease.seconds * (1 - 1 / RENEWALS):
            moved = moved or standing
        self._updates = self._tally.updates_accepted
        if not moved:
            return True
        try:
            acknowledged = await self._source.commit({tracker.name: place for tracker, place in moved.items()})
        except CommitFailed as failed:
            if failed.metadata_refused:
                self._metadata_characters //= 2
            self._say("commit_failed", reason=str(failed))
            return False
        if acknowledged:
            lease.renew(asked)
            self._renewed()
            for tracker, place in moved.items():
                tracker.committed = place
        return acknowledged

    def _standing(self) -> dict[PartitionOffsets, OffsetAndMetadata]:
        return {tracker: self.place(tracker) for tracker in self._assigned.values() if tracker.committable >= 0}
