"""One server for all processes of a run of the tests: it costs each of them seconds to start its own."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """A process that answers at an address."""

    def start(self) -> None:
        """Return when it answers."""

    def stop(self) -> None:
        """End it; what is stopped already stays so."""


@contextmanager
def started(server: Server, address: str) -> Iterator[str]:
    """Start a server, give its address, and stop it at the end."""
    try:
        server.start()
        yield address
    finally:
        server.stop()


@contextmanager
def shared(folder: Path, serve: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The address of the one server that the processes which name this folder share.

    The first of them starts it by `serve`, which gives its address, and ends it when no other uses it any more. The
    kernel releases the locks of a process that crashes.
    """
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    with (folder / "begin").open("w") as begin, (folder / "use").open("w") as use, ExitStack() as serving:
        fcntl.flock(begin, fcntl.LOCK_EX)
        first = not address.exists()
        if first:
            address.write_text(serving.enter_context(serve()))
            serving.callback(address.unlink)
        fcntl.flock(use, fcntl.LOCK_SH)
        fcntl.flock(begin, fcntl.LOCK_UN)
        try:
            yield address.read_text()
        finally:
            fcntl.flock(use, fcntl.LOCK_UN)
            if first:
                # In this order: no other process begins to use what is about to end.
                fcntl.flock(begin, fcntl.LOCK_EX)
                fcntl.flock(use, fcntl.LOCK_EX)
