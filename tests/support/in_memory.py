"""Restricts tests to memory: no process, no socket, no sleep. What needs one belongs in tests/component.

Kafka's client opens its sockets in C, where this does not reach: no unit test makes one. A thread that an earlier test
has left behind in the process, such as an exporter that still retries, is not the test's and goes on.
"""

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import pytest

from tests.support.virtual_time import VirtualLoop

FORBIDDEN: tuple[tuple[Any, str], ...] = (
    (socket.socket, "bind"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "getaddrinfo"),
    (subprocess, "Popen"),
    (os, "fork"),
    (os, "posix_spawn"),
)
"""Sockets that asyncio's loop itself needs: it wakes up by a pair of connected sockets."""


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at a call that reaches outside, or that waits for a real clock."""
    others = frozenset(threading.enumerate()) - {threading.current_thread()}
    guards: list[tuple[Any, str, Callable[..., Any]]] = [(owner, name, _refusal(name)) for owner, name in FORBIDDEN]
    guards += [(time, "sleep", _no_sleep(time.sleep)), (asyncio, "sleep", _virtual(asyncio.sleep))]
    for owner, name, guard in guards:
        monkeypatch.setattr(owner, name, sparing(others, getattr(owner, name), guard))


def sparing(
    others: Collection[threading.Thread], original: Callable[..., Any], guard: Callable[..., Any]
) -> Callable[..., Any]:
    """Call the guard, but for the threads of `others` what it guards."""

    def call(*arguments: Any, **named: Any) -> Any:
        return (original if threading.current_thread() in others else guard)(*arguments, **named)

    return call


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        _fail(f"calls {name}")

    return refuse


def _no_sleep(sleep: Callable[[float], None]) -> Callable[[float], None]:
    def wait(seconds: float) -> None:
        if seconds > 0:
            _fail("sleeps")
        sleep(seconds)

    return wait


def _virtual(sleep: Callable[..., Any]) -> Callable[..., Any]:
    async def wait(delay: float, result: object = None) -> object:
        if delay > 0 and not isinstance(asyncio.get_running_loop(), VirtualLoop):
            _fail("sleeps on a real loop; tests/support/virtual_time.py has one that does not")
        return await sleep(delay, result)

    return wait


def _fail(what: str) -> NoReturn:
    pytest.fail(f"a test of this folder {what}: it belongs in another one, see docs/development.md")
