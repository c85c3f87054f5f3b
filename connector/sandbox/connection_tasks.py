"""The tasks that serve a server's connections: a connection ends with its task, also with one that never ran."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Final

ACCEPT_TURNS: Final = 4
"""Of the event loop, from a connection that is accepted to its task."""


class ConnectionTasks:
    """One task for each connection that a server accepted."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, serve: Coroutine[object, object, None], writer: asyncio.StreamWriter) -> None:
        """Serve a connection, and close it when that has ended."""
        task = asyncio.get_running_loop().create_task(serve)
        self._tasks.add(task)
        # Not by the task itself: one that is cancelled before its first turn runs none of its code.
        task.add_done_callback(partial(self._ended, writer))

    async def close(self, server: asyncio.Server) -> None:
        """Close the server and every connection that it accepted."""
        # asyncio forgets what it accepted if the server is closed before it has made a transport of that.
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening)
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # An aborted connection is closed a turn later.

    def _ended(self, writer: asyncio.StreamWriter, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        writer.transport.abort()
