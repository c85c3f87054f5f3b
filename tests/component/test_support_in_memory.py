"""The guard of the unit tests: it stops the test under guard, and nothing that an earlier test left behind."""

import socket
import threading
from typing import NoReturn

import pytest

from tests.support.in_memory import sparing


def refuse(*_: object) -> NoReturn:
    """The guard itself."""
    pytest.fail("calls getaddrinfo")


def test_a_call_of_the_test_fails() -> None:
    """Also of a thread that the test has started."""
    guarded = sparing((), socket.getaddrinfo, refuse)
    with pytest.raises(pytest.fail.Exception, match="calls getaddrinfo"):
        guarded("127.0.0.1", 9)


def test_a_thread_from_before_goes_on() -> None:
    """The fault: an exporter of an earlier test retried, failed at the guard, and the test of that moment with it."""
    found: list[object] = []
    earlier = threading.Thread(target=lambda: found.extend(guarded("127.0.0.1", 9)))
    guarded = sparing({earlier}, socket.getaddrinfo, refuse)
    earlier.start()
    earlier.join(10)
    assert found
