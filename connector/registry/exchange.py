"""One HTTP exchange with a registry, in the registry's words, and what it trusts."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.exchange.answer import Answered, Trouble
from connector.exchange.exchange import BODY_BYTES
from connector.exchange.exchange import Exchange as HttpExchange
from connector.registry.config import RegistryError, Tls
from connector.registry.failures import Failure, Unreachable, Unusable, WrongUrl

__all__ = ["Answered", "Exchange", "client_context", "token_context"]

_FAILURES: Final[Mapping[Trouble, Failure]] = {
    Trouble.TIMEOUT: Unreachable("no whole answer within SCHEMA_REGISTRY_TIMEOUT_SECONDS"),
    Trouble.PROXY_UNREACHABLE: Unreachable("the proxy cannot be reached; look at HTTPS_PROXY"),
    Trouble.PROXY_REFUSED: Unreachable("the proxy refused the connection; look at HTTPS_PROXY"),
    Trouble.UNKNOWN_HOST: Unreachable("the host name is not known"),
    Trouble.UNTRUSTED: Unreachable(
        "the certificate is not trusted; SCHEMA_REGISTRY_SSL_CA_LOCATION names a CA of your own"
    ),
    Trouble.NO_CONNECTION: Unreachable("the connection was refused or its TLS failed"),
    Trouble.NO_FILES: Unreachable("this process may open no more files; raise its limit (ulimit -n)"),
    Trouble.NO_HTTP: WrongUrl("the answer is no valid HTTP; look at SCHEMA_REGISTRY_URL"),
    Trouble.TOO_LARGE: Unusable(f"the answer is larger than {BODY_BYTES:,} bytes"),
    Trouble.BROKE_OFF: Unreachable(
        "the connection broke off before the whole answer (a refused client certificate too)"
    ),
}


class Exchange:
    """Asks a registry, or its token endpoint."""

    def __init__(self, http: HttpExchange) -> None:
        self._http = http

    async def close(self) -> None:
        """End every connection."""
        await self._http.close()

    async def get(self, url: str, headers: Mapping[str, str]) -> Answered | Failure:
        """Ask for a resource. `url` is encoded."""
        given = await self._http.send("GET", url, headers)
        return given if isinstance(given, Answered) else _FAILURES[given.trouble]

    async def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Answered | Failure:
        """Send a form."""
        given = await self._http.send("POST", url, headers, form)
        return given if isinstance(given, Answered) else _FAILURES[given.trouble]


def client_context(tls: Tls) -> ssl.SSLContext:
    """For connections to the registry. Reads the files; raises `RegistryError`, which names setting and file."""
    context = _trusting(tls.ca, replace=True)
    if tls.certificate is not None:
        try:
            # An empty password: without one OpenSSL would ask for it at the terminal, and wait.
            context.load_cert_chain(tls.certificate, tls.key, tls.key_password or "")
        except (OSError, ValueError) as error:
            where = tls.certificate if tls.key is None else f"{tls.certificate} with {tls.key}"
            msg = f"{where} cannot be used: {_why(error)}; both must be PEM, and SCHEMA_REGISTRY_SSL_KEY_PASSWORD right"
            raise RegistryError(setting="SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION", reason=msg) from error
    return context


def token_context(tls: Tls) -> ssl.SSLContext:
    """For connections to a token endpoint, which may be public: both kinds of authorities, no client certificate."""
    return _trusting(tls.ca, replace=False)


def _trusting(authority: Path | None, *, replace: bool) -> ssl.SSLContext:
    try:
        if authority is None or not replace:
            context = ssl.create_default_context()
            if authority is not None:
                context.load_verify_locations(authority)
            return context
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        msg = f"{authority} cannot be used: {_why(error)}; it must hold certificates in PEM"
        raise RegistryError(setting="SCHEMA_REGISTRY_SSL_CA_LOCATION", reason=msg) from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    return error.strerror or "cannot be read" if isinstance(error, OSError) else "no PEM"
