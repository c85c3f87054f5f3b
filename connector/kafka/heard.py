"""Why Kafka did not answer, and asking it so that whoever asks can be interrupted: for commands, which ask and wait."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError

T = TypeVar("T")

PLAIN = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})  # noqa: SLF001 - librdkafka's own codes are spelt so
"""These say themselves what is wrong."""
_SILENT = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})  # noqa: SLF001
_VAGUE = frozenset({*_SILENT, KafkaError._TRANSPORT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001


def most_telling(heard: Sequence[KafkaError]) -> KafkaError:
    """That a login or TLS failed says more than that a connection did, and that more than that no broker is up."""
    return min(heard, key=lambda error: (error.code() not in PLAIN, error.code() in _SILENT))


class Heard:
    """The `error_cb` of a client: a call that fails only says that no broker answered, and why is said here."""

    def __init__(self) -> None:
        self._best: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keep it, unless something more telling was heard; of two alike the later one."""
        self._best = error if self._best is None else most_telling([error, self._best])

    def cause(self, client: Any, error: KafkaError) -> KafkaError:
        """What is behind the error of a call to `client`, which is polled: only then it says what it heard."""
        client.poll(0)
        if self._best is None or error.code() not in _VAGUE:
            return error
        return most_telling([self._best, error])


def interruptible(call: Callable[[], T]) -> T:
    """Make a call that blocks, in a thread of its own: the client would hold Ctrl-C and SIGTERM back till it returns.

    After an interrupt the thread still has the client. Do not close it then; it goes with the process.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="kafka-call", daemon=True).start()
    return done.result()
