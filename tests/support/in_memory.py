"""Restricts tests to memory: no process, no socket, no sleep. What needs one belongs in tests/component.

Kafka's client opens its sockets in C, where this does not reach: no unit test makes one.
"""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable
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
    for owner, name in FORBIDDEN:
        monkeypatch.setattr(owner, name, _refusal(name))
    monkeypatch.setattr(time, "sleep", _no_sleep(time.sleep))
    monkeypatch.setattr(asyncio, "sleep", _virtual(asyncio.sleep))


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
