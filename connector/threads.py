"""Work that blocks, in a thread that nobody waits for: neither the loop's end nor the process's."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str = "background") -> T:
    """Do it in a daemon thread of its own, and give its result, or raise what it raised.

    The loop's executor is no place for a name look-up that hangs: asyncio waits for its threads when the loop is
    closed, and the interpreter waits for them again when it ends. Raises OSError when no thread can be had.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def give(result: T) -> None:
        if not done.done():
            done.set_result(result)

    def fail(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            _tell(loop, fail, error)
        else:
            _tell(loop, give, result)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return await done


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[T], None], value: T) -> None:
    with suppress(RuntimeError):  # The loop was closed meanwhile: nobody waits any more.
        loop.call_soon_threadsafe(what, value)
