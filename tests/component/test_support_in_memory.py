"""The guard of the unit tests: it stops the test under guard, and nothing that an earlier test left behind."""

import socket
import threading

import pytest

from tests.support.in_memory import refusal


def test_a_call_of_the_test_fails() -> None:
    """Also of a thread that the test has started."""
    guarded = refusal("getaddrinfo", socket.getaddrinfo, others=())
    with pytest.raises(pytest.fail.Exception, match="calls getaddrinfo"):
        guarded("127.0.0.1", 9)


def test_a_thread_from_before_goes_on() -> None:
    """The fault: an exporter of an earlier test retried, failed at the guard, and the test of that moment with it."""
    begun, found = threading.Event(), list[object]()

    def export() -> None:
        begun.wait(10)
        found.extend(guarded("127.0.0.1", 9))

    earlier = threading.Thread(target=export)
    guarded = refusal("getaddrinfo", socket.getaddrinfo, others={earlier})
    earlier.start()
    begun.set()
    earlier.join(10)
    assert found
