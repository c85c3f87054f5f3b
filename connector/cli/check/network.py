"""The way to a server, a step at a time, with nothing said on it that a server could take for a request."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable
from pathlib import Path

from yarl import URL

from connector.cli.check.findings import CheckFailed, Finding, State, Step
from connector.target.proxy import login
from connector.threads import in_thread

DNS_SECONDS = 3.0
TCP_SECONDS = 4.0
TLS_SECONDS = 5.0
SOON_DAYS = 14
"""A certificate that ends sooner deserves a warning."""

_DAY = 86_400.0

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Route:
    """To one host and port; the addresses that the first step finds serve the others."""

    def __init__(self, host: str, port: int, remedy: str) -> None:
        """`remedy` says which setting holds the address."""
        self.host = host.strip("[]")
        self.port = port
        self._remedy = remedy
        self._addresses: list[str] = []

    def steps(self) -> list[Step]:
        """To find it and to reach it."""
        return [("DNS", DNS_SECONDS, self._resolve), ("TCP", TCP_SECONDS, self._reach)]

    async def open(self, context: ssl.SSLContext | None = None) -> Opened:
        """Connect to the first address that takes it, with TLS if there is a context. Raises what asyncio raises."""
        error: OSError | None = None
        for address in self._addresses:
            try:
                opened = await asyncio.open_connection(address, self.port)
            except OSError as refused:
                error = refused
            else:
                if context is not None:
                    await encrypt(opened[1], context, self.host)
                return opened
        raise error or ConnectionRefusedError

    async def _resolve(self) -> str:
        try:
            found = await in_thread(lambda: socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            msg = f"the name {self.host} is not known here"
            raise CheckFailed(msg, f"correct {self._remedy}, or the DNS of this machine") from error
        self._addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        return ", ".join(self._addresses[:3])

    async def _reach(self) -> str:
        try:
            _, writer = await self.open()
        except OSError as error:
            why = "the connection is refused" if isinstance(error, ConnectionRefusedError) else _words(error)
            msg = f"{why} at port {self.port}"
            raise CheckFailed(msg, f"look at {self._remedy}, at firewalls, and whether the server runs") from error
        await close(writer)
        return f"port {self.port} answers"


async def certified(label: str, opening: Awaitable[Opened], remedy: str) -> Finding:
    """Shake hands by TLS and leave; say when the certificate ends. `remedy` is for one that is not trusted."""
    try:
        _, writer = await opening
    except ssl.SSLCertVerificationError as error:
        msg = f"the certificate is not accepted: {error.verify_message}"
        raise CheckFailed(msg, remedy) from error
    except ssl.SSLError as error:
        msg = f"no TLS there ({(error.reason or 'handshake failed').lower().replace('_', ' ')})"
        raise CheckFailed(msg, "does this port speak TLS? look at the address and its port") from error
    except OSError as error:
        msg = f"the handshake broke off: {_words(error)}"
        raise CheckFailed(msg, "does this port speak TLS? look at the address and its port") from error
    shown = writer.get_extra_info("peercert") or {}
    version = writer.get_extra_info("ssl_object").version()
    await close(writer)
    ends = shown.get("notAfter")
    if ends is None:
        return Finding(State.WARNING, label, f"{version}, and the certificate is not verified", "verify it")
    moment = ssl.cert_time_to_seconds(ends)
    detail = f"{version}, certificate valid until {time.strftime('%Y-%m-%d', time.gmtime(moment))}"
    if moment - time.time() < SOON_DAYS * _DAY:
        return Finding(State.WARNING, label, detail, "have it renewed: it ends soon")
    return Finding(State.OK, label, detail)


async def tunnel(
    way: Route, proxy: URL, host: str, port: int, contexts: tuple[ssl.SSLContext | None, ssl.SSLContext]
) -> Opened:
    """Through a proxy to `host`, with TLS to the end of it; CONNECT carries no request to the endpoint.

    `contexts` are for the proxy, if it speaks TLS itself, and for the endpoint.
    """
    first, last = contexts
    reader, writer = await way.open(first)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if (words := login(proxy)) is not None:
        lines.append(f"Proxy-Authorization: {words}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        await close(writer)
        msg = "the proxy does not answer as a proxy"
        raise CheckFailed(msg, "look at HTTPS_PROXY") from error
    status = head.split(maxsplit=2)[1:2]
    if status != [b"200"]:
        await close(writer)
        code = status[0].decode("ascii", "replace") if status else "nothing"
        remedy = "its user and password belong in HTTPS_PROXY" if code == "407" else f"it must let {authority} pass"
        msg = f"the proxy answered {code[:3]} to CONNECT"
        raise CheckFailed(msg, remedy)
    await encrypt(writer, last, host)
    return reader, writer


async def encrypt(writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str) -> None:
    """Begin TLS; a handshake that fails, or that takes too long, leaves no open connection."""
    try:
        await writer.start_tls(context, server_hostname=host)
    except BaseException:
        await close(writer)
        raise


async def close(writer: asyncio.StreamWriter) -> None:
    """Leave without waiting for the other side's goodbye; `wait_closed` never ends when a handshake was cut off."""
    writer.transport.abort()
    await asyncio.sleep(0)  # A turn of the loop, in which the socket is closed.


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def tls_context(properties: dict[str, str]) -> ssl.SSLContext:
    """As librdkafka would shake hands, as far as its properties say so in files and PEM texts. Raises `CheckFailed`."""
    authority = properties.get("ssl.ca.location")
    folder = authority if authority is not None and Path(authority).is_dir() else None
    try:
        context = ssl.create_default_context(
            cafile=None if folder else authority, capath=folder, cadata=properties.get("ssl.ca.pem")
        )
    except (OSError, ValueError) as error:
        msg = f"{authority or 'ssl.ca.pem'} cannot be read"
        raise CheckFailed(msg, "KAFKA_SSL_CA_LOCATION must name a PEM file") from error
    if properties.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification") == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = properties.get("ssl.certificate.location"), properties.get("ssl.key.location")
    if certificate is not None:
        try:
            # An empty password fails where none at all would ask at the terminal.
            context.load_cert_chain(certificate, key, properties.get("ssl.key.password", ""))
        except (OSError, ValueError) as error:
            msg = "the connector's own certificate or key cannot be read"
            remedy = "look at KAFKA_SSL_CERTIFICATE_LOCATION, KAFKA_SSL_KEY_LOCATION and KAFKA_SSL_KEY_PASSWORD"
            raise CheckFailed(msg, remedy) from error
    return context
