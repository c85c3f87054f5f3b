"""The guard of this folder: a test that reaches outside fails, and what asyncio itself needs is allowed."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tests.support.virtual_time import run


def _bind() -> None:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))


def _connect() -> None:
    with socket.socket() as ours:
        ours.connect(("127.0.0.1", 9))


def _fork() -> None:
    os.fork()  # Looked up at the call: a reference from the collection would be the real one.


@pytest.mark.parametrize(
    "what",
    [
        _bind,
        _connect,
        _fork,
        lambda: time.sleep(0.001),
        lambda: socket.getaddrinfo("localhost", 9),
        lambda: subprocess.run([sys.executable, "-V"], check=False),
        lambda: asyncio.run(asyncio.sleep(0.001)),
    ],
)
def test_the_outside_is_out_of_reach(what: Callable[[], object]) -> None:
    """Each of these made a unit test slow or dependent on its machine."""
    with pytest.raises(pytest.fail.Exception, match="a test of this folder"):
        what()


def test_virtual_time_and_threads_are_allowed() -> None:
    """An hour passes at once; a loop wakes itself by a pair of sockets."""
    run(asyncio.sleep(3_600))
    asyncio.run(asyncio.to_thread(threading.get_ident))
