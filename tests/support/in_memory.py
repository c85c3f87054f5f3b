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
    for owner, name in FORBIDDEN:
        monkeypatch.setattr(owner, name, refusal(name, getattr(owner, name), others))
    monkeypatch.setattr(time, "sleep", _no_sleep(time.sleep, others))
    monkeypatch.setattr(asyncio, "sleep", _virtual(asyncio.sleep, others))


def refusal(name: str, original: Callable[..., Any], others: Collection[threading.Thread]) -> Callable[..., Any]:
    """Fail at a call, but for one by a thread of `others`."""

    def refuse(*arguments: object, **named: object) -> object:
        if threading.current_thread() not in others:
            _fail(f"calls {name}")
        return original(*arguments, **named)

    return refuse


def _no_sleep(sleep: Callable[[float], None], others: Collection[threading.Thread]) -> Callable[[float], None]:
    def wait(seconds: float) -> None:
        if seconds > 0 and threading.current_thread() not in others:
            _fail("sleeps")
        sleep(seconds)

    return wait


def _virtual(sleep: Callable[..., Any], others: Collection[threading.Thread]) -> Callable[..., Any]:
    async def wait(delay: float, result: object = None) -> object:
        is_real = not isinstance(asyncio.get_running_loop(), VirtualLoop)
        if delay > 0 and is_real and threading.current_thread() not in others:
            _fail("sleeps on a real loop; tests/support/virtual_time.py has one that does not")
        return await sleep(delay, result)

    return wait


def _fail(what: str) -> NoReturn:
    pytest.fail(f"a test of this folder {what}: it belongs in another one, see docs/development.md")
