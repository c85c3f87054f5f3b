"""Every way a connection can fail, on real sockets: the finding must name the cause, and no request may be sent."""

import asyncio
import datetime as dt
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from connector.cli.check.findings import CheckFailed, Finding, State
from connector.cli.check.network import Route, certified, tls_context
from connector.cli.check.target import TargetChecks
from connector.settings import load
from tests.support.hostile_server import HostileServer, answer, hangs, says

TARGET = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "t", "TARGET_CLIENT_CODE": "demo"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Start without any proxy variable of the machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def found(origin: str, **settings: str) -> list[Finding]:
    """What the check says of an endpoint."""
    loaded = load({**TARGET, "TARGET_BASE_URL": origin, **settings})
    return list(asyncio.run(_endpoint(TargetChecks(loaded))))


async def _endpoint(target: TargetChecks) -> list[Finding]:
    return list(await target.endpoint())


def states(findings: list[Finding]) -> list[str]:
    """The states of the findings, without their texts."""
    return [str(finding.state) for finding in findings]


class Served:
    """A hostile server on a loop of its own, so that the check can run its own loop too."""

    def __init__(self, server: HostileServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> HostileServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.__aenter__(), self._loop).result(30)
        return self._server

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _end(self) -> None:
        # A task that is cancelled before its first step would leave its connection open.
        for _ in range(10):
            await asyncio.sleep(0)
        await self._server.__aexit__(None, None, None)


def tls_server(authority: trustme.CA, *names: str, days: int = 90) -> HostileServer:
    """A TLS server with a certificate for these names that expires in this many days."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, not_after=ends).configure_cert(tls)
    return HostileServer([says(answer())], tls=tls)


@pytest.fixture
def authority(tmp_path: Path, no_proxy: pytest.MonkeyPatch) -> trustme.CA:
    """A TLS server that the process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    no_proxy.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def test_a_sound_endpoint_is_reached_and_gets_no_request(authority: trustme.CA) -> None:
    """Any request might be counted as a call of the account; a handshake is not."""
    with Served(tls_server(authority, "localhost")) as server:
        dns, tcp, tls = found(server.origin)
        assert server.received == []
    assert states([dns, tcp, tls]) == ["ok", "ok", "ok"]
    assert "127.0.0.1" in dns.detail
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=90)
    assert ends.strftime("%Y-%m-%d") in tls.detail


@pytest.mark.parametrize(
    ("names", "days", "state", "words"),
    [
        (("localhost",), 5, "warning", "valid until"),
        (("localhost",), -1, "failed", "expired"),
        (("elsewhere.example",), 90, "failed", "mismatch"),
    ],
)
def test_a_certificate_that_will_not_do_is_named(
    authority: trustme.CA, names: tuple[str, ...], days: int, state: str, words: str
) -> None:
    """Renewing it and naming another authority are different remedies: the finding says which."""
    with Served(tls_server(authority, *names, days=days)) as server:
        *_, tls = found(server.origin)
    assert (str(tls.state), words in tls.detail) == (state, True), tls
    assert tls.remedy


def test_a_certificate_of_an_unknown_authority_names_the_variable_to_set() -> None:
    """The usual cause is an inspecting proxy: there is a remedy, and it is not to disable verification."""
    with Served(tls_server(trustme.CA(), "localhost")) as server:
        *_, tls = found(server.origin)
    assert tls.state is State.FAILED
    assert "SSL_CERT_FILE" in tls.remedy


def test_without_tls_there_is_no_handshake_and_still_no_request() -> None:
    """A sandbox speaks plain HTTP: only the TCP connection is tried."""
    with Served(HostileServer([says(answer())])) as server:
        assert states(found(server.origin)) == ["ok", "ok"]
        assert server.received == []


def test_a_refused_connection_ends_the_way() -> None:
    """Nothing listens there: no handshake is tried, and the finding names the setting of the address."""
    with Served(HostileServer([hangs])) as server:
        origin = server.origin
    dns, tcp, tls = found(origin.replace("http:", "https:"))
    assert states([dns, tcp, tls]) == ["ok", "failed", "skipped"]
    assert "refused" in tcp.detail
    assert "TARGET_BASE_URL" in tcp.remedy


def test_an_unknown_name_ends_the_way() -> None:
    """`.invalid` never resolves (RFC 2606)."""
    dns, *rest = found("https://target.invalid")
    assert dns.state is State.FAILED
    assert states(rest) == ["skipped", "skipped"]


def test_a_port_without_tls_is_named_as_such() -> None:
    """The wrong port is more likely than a wrong certificate."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP ready\r\n")
        with suppress(OSError):
            await reader.read()
        writer.transport.abort()

    async def main() -> None:
        handlers: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.append(asyncio.create_task(speak(reader, writer)))

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            way = Route("127.0.0.1", server.sockets[0].getsockname()[1], "X")
            for _, _, step in way.steps():
                await step()
            with pytest.raises(CheckFailed, match="no TLS there"):
                await certified("x", way.open(ssl.create_default_context()), "y")
            await asyncio.wait(handlers)

    asyncio.run(main())


def test_a_server_that_never_answers_takes_no_longer_than_the_step_may() -> None:
    """A load balancer without a backend accepts the connection and never answers."""

    async def main(port: int) -> None:
        way = Route("127.0.0.1", port, "X")
        for _, _, step in way.steps():
            await step()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await certified("x", way.open(ssl.create_default_context()), "y")

    with Served(HostileServer([hangs], address="127.0.0.1")) as server:
        asyncio.run(main(int(server.origin.rpartition(":")[2])))


def test_through_a_proxy_the_end_of_the_tunnel_is_what_counts(
    authority: trustme.CA, no_proxy: pytest.MonkeyPatch
) -> None:
    """The proxy may be healthy and let nothing pass; the endpoint must not see the proxy's password."""
    heads: list[bytes] = []
    handlers: list[asyncio.Task[None]] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def main(server: HostileServer, status: bytes) -> list[Finding]:
        def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.append(asyncio.create_task(serve(reader, writer)))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:  # The check only opened a connection.
                writer.close()
                return
            writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
            if status.startswith(b"200"):
                port = int(server.origin.rpartition(":")[2])
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                back = asyncio.create_task(copy(far_reader, writer))
                await copy(reader, far_writer)
                far_writer.transport.abort()
                await asyncio.wait([back])
            writer.close()

        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            no_proxy.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{port}")
            findings = await _endpoint(TargetChecks(load({**TARGET, "TARGET_BASE_URL": server.origin})))
            await asyncio.gather(*handlers, return_exceptions=True)
            handlers.clear()
            return findings

    with Served(tls_server(authority, "localhost")) as server:
        good = asyncio.run(main(server, b"200 Fine"))
        assert states(good) == ["ok", "ok", "ok"]
        assert "valid until" in good[-1].detail
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in heads[0]
        refused = asyncio.run(main(server, b"407 Who?"))
        assert states(refused) == ["ok", "ok", "failed"]
        assert "407" in refused[-1].detail
        assert "HTTPS_PROXY" in refused[-1].remedy
        assert server.received == []
    assert "p@ss" not in str([*good, *refused])
    assert "p%40ss" not in str([*good, *refused])


def test_a_plain_endpoint_behind_a_proxy_is_not_asked(no_proxy: pytest.MonkeyPatch) -> None:
    """Without TLS a proxy takes only whole requests, and one could be an update."""
    with Served(HostileServer([says(answer())])) as proxy:
        no_proxy.setenv("HTTP_PROXY", proxy.origin)
        findings = found("http://target.invalid")
        assert states(findings) == ["ok", "ok", "ok"]
        assert "not asked" in findings[-1].detail
        assert proxy.received == []


def test_a_proxy_that_cannot_be_used_is_named(no_proxy: pytest.MonkeyPatch) -> None:
    """The service would refuse to start with the same message."""
    no_proxy.setenv("HTTPS_PROXY", "socks5://proxy:1")
    with pytest.raises(Exception, match="HTTPS_PROXY"):
        found("https://target.invalid")


def test_the_context_for_kafka_follows_the_properties(tmp_path: Path) -> None:
    """A check that verified less, or more, than the client does would be wrong."""
    made = trustme.CA()
    file = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    strict = tls_context({"ssl.ca.location": str(file)})
    assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert len(strict.get_ca_certs()) == 1
    assert len(tls_context({"ssl.ca.pem": file.read_text()}).get_ca_certs()) == 1
    unnamed = tls_context({"ssl.ca.location": str(file), "ssl.endpoint.identification.algorithm": "none"})
    assert (unnamed.check_hostname, unnamed.verify_mode) == (False, ssl.CERT_REQUIRED)
    blind = tls_context({"enable.ssl.certificate.verification": "false"})
    assert blind.verify_mode == ssl.CERT_NONE
    assert tls_context({"ssl.ca.location": str(tmp_path)}).verify_mode == ssl.CERT_REQUIRED
    own = tmp_path / "client.pem"
    made.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(own))
    tls_context({"ssl.certificate.location": str(own), "ssl.key.location": str(own)})
    for wrong, variable in (
        ({"ssl.ca.location": str(tmp_path / "none.pem")}, "KAFKA_SSL_CA_LOCATION"),
        ({"ssl.certificate.location": str(file)}, "KAFKA_SSL_CERTIFICATE_LOCATION"),
    ):
        with pytest.raises(Exception, match="cannot be read") as caught:
            tls_context(wrong)
        assert variable in getattr(caught.value, "remedy", "")


def test_a_certificate_that_is_not_verified_is_a_warning(authority: trustme.CA) -> None:
    """Disabled verification is reported at each run."""
    with Served(tls_server(authority, "localhost")) as server:

        async def main() -> Finding:
            way = Route("localhost", int(server.origin.rpartition(":")[2]), "X")
            for _, _, step in way.steps():
                await step()
            context = tls_context({"enable.ssl.certificate.verification": "false"})
            return await certified("x", way.open(context), "y")

        assert asyncio.run(main()).state is State.WARNING
