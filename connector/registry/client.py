"""Asks a Schema Registry: the few GETs of Confluent's REST API that reading takes, at each of its addresses in turn."""

import time
from collections.abc import Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import quote

from connector.exchange.exchange import Exchange as HttpExchange
from connector.exchange.exchange import Resolver
from connector.formats.schema import SchemaId
from connector.registry.answers import Fetched, read_schema
from connector.registry.config import Address, OAuth, RegistryConfig
from connector.registry.exchange import Answered, Exchange, client_context, token_context
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.registry.login import BasicLogin, Login, make_login

_ACCEPT: Final = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
_MOST_TELLING: Final = (NotFound, Unauthorised, WrongUrl, Unreachable)
"""Of several addresses' failures the first of these that occurs is the answer: they are one registry."""


class Registry(Protocol):
    """What resolving a schema asks for; a failure is given, not raised."""

    async def schema(self, schema_id: SchemaId) -> Fetched | Failure:
        """Give the schema that a record names."""
        ...

    async def version(self, subject: str, version: int | str) -> Fetched | Failure:
        """Give a version of a subject, also of a deleted one; or its `latest`."""
        ...


class RegistryClient:
    """Speaks to one registry. Use it as `async with`, or by `start` and `close`."""

    def __init__(self, config: RegistryConfig, resolver: Resolver | None = None) -> None:
        """`resolver` looks host names up; None: aiohttp's own."""
        self._config = config
        self._resolver = resolver
        self._exchange: Exchange | None = None
        self._tokens: Exchange | None = None
        self._logins: dict[Address, Login] = {}
        self._addresses = list(config.addresses)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Read the files of keys and certificates; opens no connection. Raises `RegistryError`."""
        config = self._config
        secure = any(address.url.startswith("https:") for address in config.addresses)
        context = client_context(config.tls) if secure else None
        self._exchange = self._made(context)
        if isinstance(config.login, OAuth):
            self._tokens = self._made(token_context(config.tls))
        shared = make_login(config.login, self._tokens or self._exchange)
        self._logins = {
            address: shared if address.login is None else BasicLogin(address.login) for address in config.addresses
        }

    async def close(self) -> None:
        """End every connection; what is under way fails."""
        for exchange in (self._exchange, self._tokens):
            if exchange is not None:
                await exchange.close()

    async def schema(self, schema_id: SchemaId) -> Fetched | Failure:
        """Give the schema that a record names, by its number or its GUID."""
        way = "ids" if isinstance(schema_id.value, int) else "guids"
        return await self._ask(f"schema {schema_id.value}", f"/schemas/{way}/{quote(str(schema_id.value), safe='')}")

    async def version(self, subject: str, version: int | str) -> Fetched | Failure:
        """Give a version of a subject, also of a deleted one; or its `latest`."""
        # What a schema refers to stays what it is when its subject is deleted; "the latest" does not.
        query = "?deleted=true" if isinstance(version, int) else ""
        what = f"version {version} of subject {_shown(subject)}"
        return await self._ask(what, f"/subjects/{quote(subject, safe='')}/versions/{version}{query}")

    async def _ask(self, what: str, path: str) -> Fetched | Failure:
        """Ask address after address, the one that answered last first, to the first that knows the schema."""
        failures: list[tuple[Address, Failure]] = []
        for address in tuple(self._addresses):
            given = await self._ask_at(address, what, path)
            if isinstance(given, Fetched | Unusable):
                self._prefer(address)
                return given
            failures.append((address, given))
        return _summed_up(failures)

    def _prefer(self, address: Address) -> None:
        if self._addresses[0] != address:
            self._addresses.remove(address)
            self._addresses.insert(0, address)

    async def _ask_at(self, address: Address, what: str, path: str) -> Fetched | Failure:
        if self._exchange is None:
            msg = "the client was not started"
            raise RuntimeError(msg)
        login = self._logins[address]
        sent = await login.header()
        given = await self._get(self._exchange, address, what, path, sent)
        if isinstance(given, Unauthorised) and (sent is None or isinstance(sent, str)):
            login.refused(sent)
            renewed = await login.header()
            if renewed != sent:
                return await self._get(self._exchange, address, what, path, renewed)
        return given

    async def _get(
        self, exchange: Exchange, address: Address, what: str, path: str, login: str | Failure | None
    ) -> Fetched | Failure:
        if not (login is None or isinstance(login, str)):
            return login
        headers: Mapping[str, str] = {**_ACCEPT, **self._config.headers}
        if login is not None:
            headers = {**headers, "Authorization": login}
        answered = await exchange.get(address.url + path, headers)
        if not isinstance(answered, Answered):
            return answered if not isinstance(answered, Unusable) else Unusable(f"{what}: {answered.reason}")
        return read_schema(what, answered.status, answered.body, answered.retry_after, time.time())

    def _made(self, context: SSLContext | None) -> Exchange:
        config = self._config
        http = HttpExchange(
            user_agent=config.user_agent,
            timeout_seconds=config.timeout_seconds,
            context=context,
            resolver=self._resolver,
            proxy=config.proxy,
        )
        return Exchange(http)


def _summed_up(failures: list[tuple[Address, Failure]]) -> Failure:
    """One failure for those of all addresses; each reason begins with its address's host."""
    kind = next(kind for kind in _MOST_TELLING if any(isinstance(failure, kind) for _, failure in failures))
    # In place of the same words again, only the host.
    said: dict[str, list[str]] = {}
    for address, failure in failures:
        said.setdefault(failure.reason, []).append(address.name)
    reason = "; ".join(f"{' and '.join(names)}: {words}" for words, names in said.items())
    if kind is Unreachable:
        waits = [failure.retry_after for _, failure in failures if isinstance(failure, Unreachable)]
        return Unreachable(reason, min((wait for wait in waits if wait is not None), default=None))
    return kind(reason)


def _shown(subject: str) -> str:
    """A registry's name in a message: cut, and without what would break a line."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in subject)
    return printable if len(printable) <= 200 else f"{printable[:200]}…"  # noqa: PLR2004 - a length that fits on a line
