"""What the room has to know of the settings, checked once at start; no secret of it is in a `repr` or a message."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from yarl import URL

from connector.errors import UnusableSetting
from connector.exchange.logins import basic

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)
"""Headers that a setting must not decide."""


class RegistryError(UnusableSetting):
    """A setting of the Schema Registry that cannot be used; the message holds no part of a secret."""


class TokenSource(Protocol):
    """Where a bearer token comes from: a fixed one, or a file that others replace."""

    def current(self) -> str:
        """Give the token to send now."""
        ...

    def refresh(self) -> None:
        """Look for a new token now, because the registry refused this one."""
        ...


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """What a header says of it."""
        return basic(self.username, self.password)


@dataclass(frozen=True, slots=True)
class OAuth:
    """OAuth 2.0 client credentials: a token of `token_url`, fetched again before it ends and when it is refused."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files.

    `ca` replaces the system's authorities; `certificate` is the client's, and holds its key if `key` is None.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """One registry's address without user and password; those are in `login`, if the address had them."""

    url: str
    login: Basic | None = None

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return URL(self.url).authority


def _direct(_: str) -> None:
    """Connect without a proxy."""


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """Everything that the client takes.

    `addresses` are of one registry: each is asked when the one before does not answer. `login` is for all whose address
    has none of its own. `proxy` gives the proxy's address for an origin. `timeout_seconds` bounds each request as a
    whole. Raises `RegistryError`.
    """

    addresses: tuple[Address, ...]
    user_agent: str
    login: Basic | OAuth | TokenSource | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: Tls = Tls()
    timeout_seconds: float = 10.0
    max_schemas: int = 1_000
    proxy: Callable[[str], str | None] = _direct

    def __post_init__(self) -> None:
        """Check what the types do not."""
        check_headers(self.headers)
        if self.tls.key is not None and self.tls.certificate is None:
            msg = "needs SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION, the certificate of this key"
            raise RegistryError(setting="SCHEMA_REGISTRY_SSL_KEY_LOCATION", reason=msg)
        if isinstance(self.login, OAuth):
            _url("SCHEMA_REGISTRY_OAUTH_TOKEN_URL", self.login.token_url)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read SCHEMA_REGISTRY_URL: one or more addresses with commas between. Raises `RegistryError`."""
    parts = [part.strip() for part in text.split(",")]
    found = tuple(_address(part) for part in parts if part)
    if not found:
        msg = "must be an http:// or https:// address, or several with commas between"
        raise RegistryError(setting="SCHEMA_REGISTRY_URL", reason=msg)
    return found


def _address(text: str) -> Address:
    url = _url("SCHEMA_REGISTRY_URL", text)
    login = None if url.user is None else Basic(url.user, url.password or "")
    return Address(str(url.with_user(None)).rstrip("/"), login)


def _url(setting: str, text: str) -> URL:
    """An address that can be used. No message repeats it: it may hold a password."""
    try:
        url = URL(text)
        url.origin()
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"}:
        msg = "must be an http:// or https:// address with a host (in a password, write @ : / , as %40 %3A %2F %2C)"
        raise RegistryError(setting=setting, reason=msg)
    if url.raw_query_string or url.raw_fragment:
        msg = "must hold no query and no fragment"
        raise RegistryError(setting=setting, reason=msg)
    return url


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise `RegistryError` for the first header that cannot be sent."""
    for name, value in headers.items():
        _check_header(name, value)


def _check_header(name: str, value: str) -> None:
    setting = "SCHEMA_REGISTRY_HEADERS"
    if not _HEADER_NAME.fullmatch(name):
        msg = "holds a name that is no name of a header: letters, digits and dashes, such as target-sr-cluster"
    elif name.lower() in _OURS:
        msg = f"must not hold {name}, which the connector sets itself"
    elif not value.isascii() or not value.isprintable():
        msg = f"has a value for {name} that cannot stand in a header: printable ASCII on one line"
    else:
        return
    raise RegistryError(setting=setting, reason=msg)
