"""Schemas for commands, which are not asynchronous: `get` waits, and says when it is no use to wait longer."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from connector.errors import CommandError
from connector.formats import Schema, SchemaId, SchemaMissing
from connector.registry.client import RegistryClient
from connector.registry.config import RegistryConfig
from connector.registry.failures import Failure
from connector.registry.references import load_latest
from connector.registry.retry import Patience
from connector.registry.store import SchemaStore
from connector.service.schemas import prepare, schema_store

T = TypeVar("T")

GIVE_UP_SECONDS: Final = 10.0
"""After this time no further attempt is waited for; one that is under way has its own time."""
_PATIENCE: Final = Patience(longest=2.0, unknown=3.0, unknown_pause=1.0)
"""A command is typed again sooner than a record comes again: an unknown id is not asked for during a minute."""
_REMEDY: Final = "look at SCHEMA_REGISTRY_URL, at the network between, and whether the registry runs"


class SchemaUnavailable(CommandError):
    """The Schema Registry cannot be asked; nothing is said of the record or the schema."""

    def __init__(self, schema_id: SchemaId, reason: str) -> None:
        """`reason` is the registry room's: it holds no secret and often says itself where to look."""
        told = f"schema {schema_id.value} cannot be had: {reason}"
        super().__init__(told if "look at" in reason else f"{told}; {_REMEDY}")


class CommandSchemas:
    """The schemas of one registry, by a loop in a thread that begins when the first is asked for.

    Use it as `with`. Any thread may ask. Beside what is said of `get`, asking raises `RegistryError` for a file of keys
    that cannot be used.
    """

    def __init__(
        self, config: RegistryConfig, *, patience: Patience = _PATIENCE, give_up: float = GIVE_UP_SECONDS
    ) -> None:
        """`give_up` in seconds."""
        self._config = config
        self._patience = patience
        self._give_up = give_up
        self._client = RegistryClient(config)
        self._store: SchemaStore | None = None
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def get(self, schema_id: SchemaId) -> Schema:
        """Return the schema that a record names.

        Raises `Refused` when it does not exist or cannot be used, `SchemaUnavailable` when the registry does not say.
        """
        return self._wait(self._get(schema_id))

    def latest(self, subject: str) -> Schema | Failure:
        """Return the newest schema of a subject, or what came of one attempt. Raises `Refused` for an unusable one."""
        return self._wait(self._latest(subject))

    async def _get(self, schema_id: SchemaId) -> Schema:
        store = await self._opened()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._give_up
        while True:
            self._changed.clear()
            try:
                return store.get(schema_id)
            except SchemaMissing:
                missing = store.waiting[schema_id]
            is_over = loop.time() >= end
            if missing.attempts and (missing.needs_a_person or is_over):
                store.forget([schema_id])
                raise SchemaUnavailable(schema_id, missing.text)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if is_over else end):
                    await self._changed.wait()

    async def _latest(self, subject: str) -> Schema | Failure:
        await self._opened()
        given = await load_latest(self._client, subject)
        return await prepare(given) if isinstance(given, Schema) else given

    async def _opened(self) -> SchemaStore:
        if self._store is None:
            await self._client.start()
            self._store = schema_store(self._client, self._config.max_schemas, self._patience)
            self._store.listen(self._changed.set)
        return self._store

    async def _close(self) -> None:
        if self._store is not None:
            await self._store.close()
        await self._client.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=[self._loop], name="schemas", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
