"""Updates by the time at which they may go; at constant cost for those that come in the order of their due times."""

import heapq
import math
from collections import deque
from collections.abc import Collection
from itertools import count

from connector.delivery.update import Update

LEAST_GONE = 32
"""Entries of updates that left which are not worth a pass over the queue."""


class DueQueue:
    """Updates by the time at which they may go, oldest due first.

    Fresh ones come in the order of their due times, since the linger is the same for all: a queue, at constant cost.
    Only what falls due before the last of it (a retry) goes through the heap. An update that leaves from the middle
    leaves its entry behind: an entry counts while its update says that it waits here. The first entry always counts.
    """

    __slots__ = ("_gone", "_heap", "_queue", "_tie", "due")

    def __init__(self) -> None:
        self._queue: deque[Update] = deque()
        self._heap: list[tuple[float, int, Update]] = []
        self._tie = count()
        self._gone = 0
        """Entries that do not count."""
        self.due = math.inf
        """When the first of it is due."""

    def push(self, update: Update) -> None:
        """Add one, by its `due`."""
        update.waits_in = self
        if not self._queue or update.due >= self._queue[-1].due:
            self._queue.append(update)
        else:
            heapq.heappush(self._heap, (update.due, next(self._tie), update))
        self.due = min(self.due, update.due)

    def pop(self) -> Update:
        """Take the one that is due first."""
        if self._heap and (not self._queue or self._heap[0][0] < self._queue[0].due):
            update = heapq.heappop(self._heap)[2]
        else:
            update = self._queue.popleft()
        update.waits_in = None
        self._look()
        return update

    def first(self) -> Update:
        """The one that `pop` would give."""
        if self._heap and (not self._queue or self._heap[0][0] < self._queue[0].due):
            return self._heap[0][2]
        return self._queue[0]

    def pop_at(self, share: float, now: float) -> Update:
        """The update at this share of the queue's length if it is due, else the first."""
        index = int(share * len(self._queue))
        if index == 0 or self._queue[index].due > now:
            return self.pop()
        update = self._queue[index]
        if update.waits_in is not self:
            return self.pop()
        del self._queue[index]
        update.waits_in = None
        return update

    def leave(self, update: Update) -> None:
        """Let go of one that waits here, wherever it stands; at constant cost on average."""
        update.waits_in = None
        self._gone += 1
        if self._gone > LEAST_GONE and 2 * self._gone > len(self._queue) + len(self._heap):
            self._drop_gone()
        self._look()

    def keep(self, wanted: Collection[Update]) -> None:
        """Drop all others."""
        for update in (*self._queue, *[entry[2] for entry in self._heap]):
            if update.waits_in is self and update not in wanted:
                update.waits_in = None
        self._drop_gone()
        self._look()

    def _drop_gone(self) -> None:
        self._queue = deque(update for update in self._queue if update.waits_in is self)
        self._heap = [entry for entry in self._heap if entry[2].waits_in is self]
        heapq.heapify(self._heap)
        self._gone = 0

    def _look(self) -> None:
        if self._gone:
            while self._queue and self._queue[0].waits_in is not self:
                self._queue.popleft()
                self._gone -= 1
            while self._heap and self._heap[0][2].waits_in is not self:
                heapq.heappop(self._heap)
                self._gone -= 1
        queued = self._queue[0].due if self._queue else math.inf
        self.due = min(queued, self._heap[0][0]) if self._heap else queued
