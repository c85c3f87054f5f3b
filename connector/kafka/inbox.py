"""What the event loop asks of the consumer's thread: batches, commits, and the end."""

import threading
from collections import deque
from dataclasses import dataclass

from connector.delivery.offset_tracker import Start, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.commits import Commit

CREDITS = 2
"""Batches that may be on their way to the loop at once."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Do not read this partition until it is read on; what was read of it and not taken is read again then."""

    name: TopicPartition
    start: Start
    """Of the assignment that is meant, as the listener was told it."""


@dataclass(frozen=True, slots=True)
class ReadOn:
    """Read a partition that is held from this offset on."""

    name: TopicPartition
    start: Start
    offset: int
    epoch: int
    """The leader epoch of the record before it; -1 where it is not known."""


class Inbox:
    """Written on the loop, emptied in the thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._commits: deque[Commit] = deque()
        self._places: deque[Hold | ReadOn] = deque()
        self._credits = CREDITS
        self.is_closing = False
        self.leaves = True
        """At the end the group is told."""
        self._is_over = False

    @property
    def credits(self) -> int:
        """Batches that may be handed on now."""
        return self._credits

    def grant(self) -> None:
        """One more batch may be handed on."""
        with self._changed:
            self._credits += 1
            self._changed.notify()

    def spend(self) -> None:
        """A batch was handed on."""
        with self._changed:
            self._credits -= 1

    def submit(self, commit: Commit) -> bool:
        """Have it committed; False when the thread has ended."""
        with self._changed:
            if self._is_over:
                return False
            self._commits.append(commit)
            self._changed.notify()
            return True

    def next_commit(self) -> Commit | None:
        """The oldest one that was not sent."""
        with self._changed:
            return self._commits.popleft() if self._commits else None

    def place(self, what: Hold | ReadOn) -> None:
        """Hold a partition, or read on."""
        with self._changed:
            self._places.append(what)
            self._changed.notify()

    def next_place(self) -> Hold | ReadOn | None:
        """The oldest one that was not followed."""
        with self._changed:
            return self._places.popleft() if self._places else None

    def close(self, *, leave: bool) -> None:
        """End the thread."""
        with self._changed:
            self.is_closing = True
            self.leaves = leave
            self._changed.notify()

    def end(self) -> None:
        """The thread is over: the commits that it did not send are refused, each once."""
        with self._changed:
            self._is_over = True
            left = list(self._commits)
            self._commits.clear()
        for commit in left:
            commit.refuse(CommitFailed("the consumer was closed before the answer came"))

    def wait(self, seconds: float) -> None:
        """Wait for something new."""
        with self._changed:
            if not (self._credits > 0 or self._commits or self._places or self.is_closing):
                self._changed.wait(seconds)
