"""Lines to a file descriptor through a bounded buffer and a thread, so that who logs never waits for who reads.

A pipe that nobody reads, or a terminal on hold, takes some 64 KiB and then blocks the writer; in the event loop
that would stop all sending, and the lease with it. So lines are put into a buffer, and only the thread waits.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

BUFFER_BYTES = 4_194_304
"""What may wait: some 20,000 lines, a second or two at debug level and hours at any other."""
FLUSH_SECONDS = 2.0
"""At the end no more than this is waited for what is left; who has not read for long will not read now."""
_PIECE_BYTES = 65_536
_AGAIN_SECONDS = 1.0


class Lines:
    """Keeps the order. When the buffer is full what comes is dropped, until all that waits was taken.

    Then `dropped` is called with the count, in the writing thread; what it puts stands where the missing lines would.
    """

    def __init__(
        self, descriptor: int, dropped: Callable[[int], None], *, encoding: str = "utf-8", most: int = BUFFER_BYTES
    ) -> None:
        """Begin; `most` bytes may wait."""
        # One of its own: the number of one that others close may become another file's.
        self._descriptor = os.dup(descriptor)
        self._encoding = encoding
        self._dropped = dropped
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._missing = 0
        self._closing = False
        self._changed = threading.Condition()
        # A daemon: one that is blocked in a write must not keep the process.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Take a line, with its end; returns at once, from any thread."""
        data = line.encode(self._encoding, "backslashreplace")
        mine = threading.current_thread() is self._thread
        with self._changed:
            if (self._missing and not mine) or self._bytes + len(data) > self._most:
                self._missing += 1
                return
            self._waiting.append(data)
            self._bytes += len(data)
            if len(self._waiting) == 1:
                self._changed.notify()

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait at most this many seconds for what is left; True when all was written."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (data := self._next()) is not None:
            # Nobody reads any more, or there is nowhere to write to: the line is lost, and logs stop no delivery.
            with suppress(OSError):
                self._write(data)
        os.close(self._descriptor)

    def _next(self) -> bytes | None:
        """Some lines that waited, as one piece; None: it is over."""
        while True:
            with self._changed:
                while not (self._waiting or self._missing or self._closing):
                    self._changed.wait()
                if self._waiting:
                    return self._take()
                if not self._missing:
                    return None
                missing = self._missing
            self._dropped(missing)
            with self._changed:
                self._missing -= missing

    def _take(self) -> bytes:
        taken, size = [], 0
        while self._waiting and size < _PIECE_BYTES:
            line = self._waiting.popleft()
            taken.append(line)
            size += len(line)
        self._bytes -= size
        return b"".join(taken)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # Another process that shares the pipe may have set it so.
                select.select([], [self._descriptor], [], _AGAIN_SECONDS)
