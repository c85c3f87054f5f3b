"""Commits what is settled; each commit that the group answers lets the replica send for a while more."""

from connector.delivery.coalescer import Order
from connector.delivery.offset_mark import MARK_CHARACTERS
from connector.delivery.offset_metadata import MAX_CHARACTERS
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker
from connector.errors import CommitFailed
from connector.pipeline.ports import Source
from connector.pipeline.state import ReplicaState

COMMIT_AGAIN_SECONDS = 1.0
"""After a failed commit, when the next one decides whether sending may continue."""
RENEWALS = 4
"""Times within a lease that the group is asked, so that three lost answers do not stop the replica."""


class Committer:
    """Commits every interval, when much is settled, and as often as the lease on the partitions needs it."""

    def __init__(self, state: ReplicaState, source: Source) -> None:
        self._state = state
        self._source = source
        # By event time the newest value may stand in a record that was settled long ago: there all are read again.
        is_by_offset = state.config.order is Order.OFFSET
        self._metadata_characters = MAX_CHARACTERS if is_by_offset else MARK_CHARACTERS
        self._is_clean = False

    async def keep(self) -> None:
        """Work for ever."""
        state, lease = self._state, self._state.gate.lease
        while True:
            often = min(state.config.commit_interval, lease.seconds / RENEWALS or COMMIT_AGAIN_SECONDS)
            next_at = state.now() + often
            await self.commit()
            if state.partitions and lease.left(state.boottime()) <= 0:
                next_at = min(next_at, state.now() + COMMIT_AGAIN_SECONDS)
            if not state.wants_commit and (left := next_at - state.now()) > 0:
                await state.committing.wait(left)

    def place(self, tracker: OffsetTracker) -> OffsetAndMetadata:
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
        state, lease = self._state, self._state.gate.lease
        standing = self._standing()
        moved = {tracker: place for tracker, place in standing.items() if place != tracker.committed}
        asked = state.boottime()
        if lease.left(asked) < lease.seconds * (1 - 1 / RENEWALS):
            moved = moved or standing
        state.commit_begins()
        if not moved:
            return True
        try:
            acknowledged = await self._source.commit({tracker.name: place for tracker, place in moved.items()})
        except CommitFailed as failed:
            if failed.metadata_refused:
                self._metadata_characters //= 2
            state.say("commit_failed", reason=str(failed))
            return False
        if acknowledged:
            for tracker, place in moved.items():
                tracker.acknowledge(place)
            state.committed(asked)
        return acknowledged

    def _standing(self) -> dict[OffsetTracker, OffsetAndMetadata]:
        partitions = self._state.partitions.values()
        return {tracker: self.place(tracker) for tracker in partitions if tracker.watermark >= 0}
