"""What the event loop asks of the consumer's thread: batches, commits, and the end."""

import threading
from collections import deque

from connector.errors import CommitFailed
from connector.kafka.commits import Commit

CREDITS = 2
"""Batches that may be on their way to the loop at once."""


class Inbox:
    """Written on the loop, emptied in the thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._commits: deque[Commit] = deque()
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
            if not (self._credits > 0 or self._commits or self.is_closing):
                self._changed.wait(seconds)
