"""The client before a registry's server: logins, TLS, outages, redirects, GUIDs; with the store, what records see."""

import asyncio
import base64
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
import uvloop
from aiohttp import web

from connector.events.change import Refused
from connector.exchange.exchange import BODY_BYTES
from connector.formats.schema import Dependency, Schema, SchemaId, SchemaKind, SchemaMissing
from connector.registry.answers import Fetched, Reference
from connector.registry.client import RegistryClient
from connector.registry.config import Basic, OAuth, RegistryConfig, Tls, parse_addresses
from connector.registry.failures import NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.registry.references import load
from connector.registry.retry import Patience
from connector.registry.store import Cause, SchemaStore
from connector.target.connections import Resolver
from connector.target.token import FileToken, FixedToken
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.front import Front, drop, hang, status

SECRET = "hush-hush"
STRING = Fetched('"string"', SchemaKind.AVRO)
ONE = SchemaId(1)
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """On both event loops."""

    def runs(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return runs


@pytest.fixture
def registry() -> FakeRegistry:
    """With one schema in it, of the number 1."""
    made = FakeRegistry()
    made.register("topic-value", STRING.text)
    return made


def config(*addresses: str, **fields: Any) -> RegistryConfig:
    """For these addresses."""
    made = RegistryConfig(parse_addresses(",".join(addresses)), "test/1", timeout_seconds=5.0)
    return replace(made, **fields)


async def ask(settings: RegistryConfig, schema_id: SchemaId = ONE) -> object:
    """What one new client gets."""
    async with RegistryClient(settings, Resolver()) as client:
        return await client.schema(schema_id)


def store_of(client: RegistryClient, woken: asyncio.Event) -> SchemaStore:
    """The store as the service makes it, with pauses for a test."""

    async def loads(schema_id: SchemaId) -> Any:
        return await load(client, schema_id)

    store = SchemaStore(
        loads,
        max_schemas=100,
        clock=time.monotonic,
        rng=random.Random(1),
        patience=Patience(first=0.01, longest=0.02, unknown=0.3, unknown_pause=0.05),
    )
    store.listen(woken.set)
    return store


async def read(store: SchemaStore, woken: asyncio.Event, schema_id: SchemaId = ONE) -> Schema:
    """What a record sees that waits for its schema."""
    async with asyncio.timeout(20.0):
        while True:
            woken.clear()
            try:
                return store.get(schema_id)
            except SchemaMissing:
                await woken.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(20.0):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)


def basic(user: str, password: str) -> str:
    """The header of such a login."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_schema_by_its_number_by_its_guid_and_by_its_subject(run: Run, registry: FakeRegistry) -> None:
    """The GETs that reading takes, with what a registry expects of a client."""
    number = registry.register("a/b c", "text", SchemaKind.PROTOBUF, [Reference("money.proto", "topic-value", 1)])
    fetched = registry.schemas[number].as_fetched()

    async def main() -> None:
        async with Front(registry) as front, RegistryClient(config(front.url, headers={"x-a": "b"})) as client:
            assert await client.schema(ONE) == STRING
            assert await client.schema(SchemaId(registry.guid(number))) == fetched
            assert await client.version("a/b c", 1) == fetched
            assert await client.version("topic-value", "latest") == STRING
            assert isinstance(await client.version("topic-value", 2), NotFound)
            assert isinstance(await client.version("other-value", "latest"), NotFound)
            headers = front.requests[0].headers
            assert headers["User-Agent"] == "test/1"
            assert headers["x-a"] == "b"
            assert "Authorization" not in headers
            assert front.requests[2].raw_path == "/subjects/a%2Fb%20c/versions/1?deleted=true"

    run(main)


def test_a_path_in_the_address_is_kept(run: Run, registry: FakeRegistry) -> None:
    """Apicurio's is /apis/ccompat/v7."""

    async def main() -> None:
        async with Front(registry) as front:
            assert isinstance(await ask(config(f"{front.url}/apis/ccompat/v7/")), WrongUrl)
            assert front.paths == ["/apis/ccompat/v7/schemas/ids/1"]

    run(main)


def test_an_outage_at_start_and_in_the_middle_ends_by_itself(run: Run, registry: FakeRegistry) -> None:
    """1. Nothing is refused, what is there stays usable, and what is missing comes when the registry is back."""
    two = SchemaId(registry.register("topic-value", '"long"'))

    async def main() -> None:
        front = Front(registry)
        await front.start()
        await front.stop()
        woken = asyncio.Event()
        async with RegistryClient(config(front.url)) as client:
            store = store_of(client, woken)
            with pytest.raises(SchemaMissing):
                store.get(ONE)
            await until(lambda: store.waiting[ONE].attempts >= 5)
            assert store.waiting[ONE].cause is Cause.UNREACHABLE
            await front.start()
            assert (await read(store, woken)).text == STRING.text
            await front.stop()
            with pytest.raises(SchemaMissing):
                store.get(two)
            await until(lambda: store.waiting[two].attempts >= 5)
            assert store.get(ONE).text == STRING.text
            await front.start()
            assert (await read(store, woken, two)).text == '"long"'
            await store.close()
        await front.stop()

    run(main)


def test_a_registry_that_never_answers_is_given_up_after_the_timeout_and_asked_again(
    run: Run, registry: FakeRegistry
) -> None:
    """2. And a shutdown in the middle of it takes no time."""

    async def main() -> None:
        woken = asyncio.Event()
        async with Front(registry, trouble=hang) as front:
            async with RegistryClient(config(front.url, timeout_seconds=0.2)) as client:
                began = time.monotonic()
                assert await client.schema(ONE) == Unreachable(
                    f"{front.host}:{front.port}: no whole answer within SCHEMA_REGISTRY_TIMEOUT_SECONDS"
                )
                assert 0.15 < time.monotonic() - began < 30
                store = store_of(client, woken)
                with pytest.raises(SchemaMissing):
                    store.get(ONE)
                await until(lambda: store.waiting[ONE].attempts >= 2)
                front.trouble = None
                assert (await read(store, woken)).text == STRING.text
                await store.close()
            front.trouble = hang
            async with RegistryClient(config(front.url, timeout_seconds=3_600.0)) as client:
                store = store_of(client, woken)
                with pytest.raises(SchemaMissing):
                    store.get(ONE)
                asked = len(front.requests)
                await until(lambda: len(front.requests) > asked)
                began = time.monotonic()
                await store.close()
                await client.close()
                assert time.monotonic() - began < 60

    run(main)


def test_a_timeout_bounds_a_body_that_trickles(run: Run, registry: FakeRegistry) -> None:
    """2. Each byte in time, and the whole never."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with Front(registry, behaviour=trickle) as front:
            assert isinstance(await ask(config(front.url, timeout_seconds=0.3)), Unreachable)

    run(main)


def test_a_refused_token_is_replaced_in_its_file_without_a_restart(
    run: Run, registry: FakeRegistry, tmp_path: Path
) -> None:
    """3. The record waits, the new token is read, and the record is read."""
    path = tmp_path / "token"
    path.write_text("first\n")
    reports: list[object] = []

    async def main() -> None:
        woken = asyncio.Event()
        token = FileToken(path, time.monotonic, reports.append)
        async with (
            Front(registry, {"Bearer second"}) as front,
            RegistryClient(config(front.url, login=token)) as client,
        ):
            store = store_of(client, woken)
            with pytest.raises(SchemaMissing):
                store.get(ONE)
            await until(lambda: store.waiting[ONE].attempts >= 3)
            assert store.waiting[ONE].cause is Cause.UNAUTHORISED
            assert store.waiting[ONE].needs_a_person
            assert {request.headers["Authorization"] for request in front.requests} == {"Bearer first"}
            path.write_text("second\n")
            assert (await read(store, woken)).text == STRING.text
            await store.close()
        assert len(reports) == 1

    run(main)


@pytest.mark.parametrize("kind", ["basic", "in the address", "bearer", "bearer file"])
def test_each_login_works_and_a_wrong_one_waits(run: Run, registry: FakeRegistry, tmp_path: Path, kind: str) -> None:
    """3. Also with letters beyond ASCII, and one that must be encoded in an address."""
    path = tmp_path / "token"

    def made(front: Front, secret: str) -> RegistryConfig:
        path.write_text(secret)
        match kind:
            case "basic":
                return config(front.url, login=Basic("zoë", f"{secret}:é"))
            case "in the address":
                return config(front.url.replace("//", f"//zo%C3%AB:{secret}%3A%C3%A9@"))
            case "bearer":
                return config(front.url, login=FixedToken(secret))
            case _:
                return config(front.url, login=FileToken(path, time.monotonic, lambda _: None))

    async def main() -> None:
        accept = {basic("zoë", "right:é"), "Bearer right"}
        async with Front(registry, accept) as front:
            assert await ask(made(front, "right")) == STRING
            given = await ask(made(front, SECRET))
            assert isinstance(given, Unauthorised)
            assert SECRET not in given.reason
            assert "HTTP 401" in given.reason

    run(main)


def test_an_addresss_own_login_goes_to_that_address_alone(run: Run, registry: FakeRegistry) -> None:
    """3. Two registries of one cluster may have two passwords."""

    async def main() -> None:
        async with Front(registry, trouble=status(503)) as first, Front(registry) as second:
            addresses = [first.url.replace("//", "//one:1@"), second.url]
            assert await ask(config(*addresses, login=Basic("two", "2"))) == STRING
            assert first.requests[0].headers["Authorization"] == basic("one", "1")
            assert second.requests[0].headers["Authorization"] == basic("two", "2")

    run(main)


def test_oauth_client_credentials(run: Run, registry: FakeRegistry) -> None:
    """3. One token for all, fetched again before its end and when it is refused; the client's secret stays there."""

    async def main() -> None:
        front = Front(registry, {"Bearer one", "Bearer two"}, client=basic("me%3A", "p%2Bw"))
        front.tokens = [{"access_token": "one", "expires_in": 3600}, {"access_token": "two", "expires_in": 0}]
        front.tokens += [{"access_token": "two", "expires_in": 3600}, {"access_token": "none", "expires_in": 3600}]
        async with front:
            login = OAuth(f"{front.url}/token", "me:", "p+w", scope="registry.read")
            settings = config(front.url, login=login, headers={"target-sr-cluster": "lsrc-1"})
            async with RegistryClient(settings) as client:
                assert await asyncio.gather(*(client.schema(ONE) for _ in range(20))) == [STRING] * 20
                assert front.forms == [{"grant_type": "client_credentials", "scope": "registry.read"}]
                front.accept = {"Bearer two"}
                assert await client.schema(ONE) == STRING
                assert len(front.forms) == 2
                assert await client.schema(ONE) == STRING, "its life was over"
                assert len(front.forms) == 3
                front.accept = set()
                assert isinstance(await client.schema(ONE), Unauthorised)
                assert len(front.forms) == 4, "a new token that is refused too is not the first of a thousand"
                assert all("p%2Bw" not in str(request.headers) for request in front.requests)
                assert {request.headers["target-sr-cluster"] for request in front.requests} == {"lsrc-1"}

    run(main)


def test_a_token_endpoint_that_fails_is_a_wait(run: Run, registry: FakeRegistry) -> None:
    """3. Down, refusing, or no token endpoint at all: no record is refused by it, and no secret is told."""

    async def main() -> None:
        async with Front(registry, client="other") as front:
            login = OAuth(f"{front.url}/token", "me", SECRET)
            refused = await ask(config(front.url, login=login))
            assert isinstance(refused, Unauthorised)
            assert "token endpoint" in refused.reason
            assert SECRET not in refused.reason
            wrong = await ask(config(front.url, login=replace(login, token_url=f"{front.url}/elsewhere")))
            assert isinstance(wrong, WrongUrl)
            assert front.paths == []
            other = replace(login, token_url=f"http://{front.host}:1/token")
            assert isinstance(await ask(config(front.url, login=other)), Unreachable)
            front.client, front.tokens = basic("me", SECRET), [503, 418, {"token": SECRET}]
            assert isinstance(await ask(config(front.url, login=login)), Unreachable)
            assert isinstance(await ask(config(front.url, login=login)), WrongUrl)
            assert isinstance(await ask(config(front.url, login=login)), WrongUrl)

    run(main)


def test_a_token_endpoint_that_never_answers_is_waited_for_once(run: Run, registry: FakeRegistry) -> None:
    """3. Many schemas at a time wait for one token, and for one timeout, not for one after the other."""

    async def main() -> None:
        async with Front(registry, client=basic("me", SECRET)) as front:
            settings = config(front.url, login=OAuth(f"{front.url}/token", "me", SECRET), timeout_seconds=0.5)
            async with RegistryClient(settings) as client:
                given = await asyncio.gather(*(client.schema(SchemaId(number)) for number in range(20)))
                assert {type(each) for each in given} == {Unreachable}
                assert len(front.forms) == 1

    run(main)


@pytest.mark.parametrize("separate_key", [True, False])
def test_a_client_certificate_and_a_ca_of_ones_own(
    run: Run, registry: FakeRegistry, tmp_path: Path, *, separate_key: bool
) -> None:
    """3. Without the CA the server is not trusted, without the certificate the client is not; both wait."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("me@example.com")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")

    async def main() -> None:
        async with Front(registry, tls=server) as front:
            ca = tmp_path / "ca.pem"
            separate = Tls(ca, tmp_path / "cert.pem", tmp_path / "key.pem")
            tls = separate if separate_key else Tls(ca, tmp_path / "both.pem")
            assert await ask(config(front.url, tls=tls)) == STRING
            assert isinstance(await ask(config(front.url, tls=Tls(ca))), Unreachable)
            untrusted = await ask(config(front.url))
            assert isinstance(untrusted, Unreachable)
            assert "SCHEMA_REGISTRY_SSL_CA_LOCATION" in untrusted.reason

    run(main)


@pytest.mark.parametrize("trouble", [status(503), status(401), status(302, Location="/x"), drop, status(404, "<html>")])
def test_when_the_first_of_two_addresses_fails_the_second_is_asked(
    run: Run, registry: FakeRegistry, trouble: Any
) -> None:
    """4. And it is asked first from then on."""

    async def main() -> None:
        async with (
            Front(registry, trouble=trouble) as first,
            Front(registry) as second,
            RegistryClient(config(first.url, second.url)) as client,
        ):
            assert await client.schema(ONE) == STRING
            asked = len(first.requests)
            assert await client.schema(ONE) == STRING
            assert len(first.requests) == asked
            second.trouble = status(500)
            first.trouble = None
            assert await client.schema(ONE) == STRING

    run(main)


def test_when_all_addresses_fail_the_most_telling_failure_is_given(run: Run, registry: FakeRegistry) -> None:
    """4. With each one's reason: who must act needs to know which."""

    async def main() -> None:
        later = status(503, Retry_After="9")
        async with Front(registry, trouble=later) as first, Front(registry, trouble=status(401)) as second:
            given = await ask(config(first.url, second.url))
            assert isinstance(given, Unauthorised)
            assert f"{first.host}:{first.port}: HTTP 503; {second.host}:{second.port}: HTTP 401" in given.reason
            second.trouble = status(429, Retry_After="7")
            assert getattr(await ask(config(first.url, second.url)), "retry_after", None) == 7.0
            second.trouble = None
            assert isinstance(await ask(config(first.url, second.url), SchemaId(99)), NotFound)

    run(main)


def test_500_first_reads_of_one_id_of_two_topics_are_one_get(run: Run, registry: FakeRegistry) -> None:
    """5. As the server counts them."""

    async def main() -> None:
        woken = asyncio.Event()
        async with Front(registry) as front, RegistryClient(config(front.url)) as client:
            store = store_of(client, woken)
            for _ in range(500):
                with pytest.raises(SchemaMissing):
                    store.get(SchemaId(1))
            assert (await read(store, woken)).text == STRING.text
            assert front.paths == ["/schemas/ids/1"]
            await store.close()

    run(main)


def test_an_unknown_id_is_refused_by_name_and_a_wrong_address_never_refuses(run: Run, registry: FakeRegistry) -> None:
    """6. The registry's error code is what tells the two apart."""

    async def main() -> None:
        woken = asyncio.Event()
        async with Front(registry) as front, RegistryClient(config(front.url)) as client:
            store = store_of(client, woken)
            with pytest.raises(Refused, match=r"^schema 99 cannot be had: .*40403"):
                await read(store, woken, SchemaId(99))
            front.trouble = status(404, "<html>Not Found</html>")
            with pytest.raises(SchemaMissing):
                store.get(ONE)
            await until(lambda: store.waiting[ONE].attempts >= 30)
            assert store.waiting[ONE].cause is Cause.WRONG_URL
            front.trouble = None
            assert (await read(store, woken)).text == STRING.text
            await store.close()

    run(main)


def test_an_id_whose_subject_was_deleted_is_read_with_its_references(run: Run, registry: FakeRegistry) -> None:
    """7. Records outlive the subjects that they were written by."""
    registry.register("money", '"int"')
    number = registry.register("order", '"money"', references=[Reference("money", "money", 1)])
    registry.delete("money")
    registry.delete("order")

    async def main() -> None:
        async with Front(registry) as front, RegistryClient(config(front.url)) as client:
            assert await load(client, SchemaId(number)) == Schema(
                SchemaId(number), SchemaKind.AVRO, '"money"', (Dependency("money", '"int"'),)
            )
            assert isinstance(await client.version("order", "latest"), NotFound)

    run(main)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_to_another_host_with_the_credentials(
    run: Run, registry: FakeRegistry, code: int
) -> None:
    """10. The other host sees no request at all."""

    async def main() -> None:
        async with Front(registry) as other:
            redirect = status(code, Location=f"{other.url}/schemas/ids/1")
            async with Front(registry, trouble=redirect) as front:
                settings = config(front.url, login=Basic("me", SECRET), headers={"x-key": SECRET})
                given = await ask(settings)
                assert isinstance(given, WrongUrl)
                assert "redirect" in given.reason
                assert other.requests == []

    run(main)


def test_an_answer_without_an_end_is_cut_off(run: Run, registry: FakeRegistry) -> None:
    """No more than 10 MB are read of it."""
    largest = "x" * (BODY_BYTES - len('{"schema":""}'))
    registry.register("large", largest)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 1_000_000)

    async def main() -> None:
        async with Front(registry, behaviour=endless) as front:
            assert await ask(config(front.url)) == Unusable("schema 1: the answer is larger than 10,000,000 bytes")
        whole = status(200, f'{{"schema":"{largest}"}}')
        async with Front(registry, trouble=whole) as front:
            assert await ask(config(front.url)) == Fetched(largest, SchemaKind.AVRO)

    run(main)


@pytest.mark.parametrize("trouble", [drop, status(500), status(401), status(404), status(302, Location="/"), None])
def test_no_secret_is_in_what_is_logged_or_raised(
    run: Run, registry: FakeRegistry, caplog: pytest.LogCaptureFixture, trouble: Any
) -> None:
    """3. Passwords of the address, tokens and headers, whatever goes wrong."""

    async def main() -> None:
        async with Front(registry, accept=set(), trouble=trouble) as front:
            settings = config(front.url.replace("//", f"//me:{SECRET}@"), headers={"x-key": SECRET})
            woken = asyncio.Event()
            async with RegistryClient(settings) as client:
                store = store_of(client, woken)
                with pytest.raises(SchemaMissing) as missing:
                    store.get(ONE)
                await until(lambda: store.waiting[ONE].attempts >= 2)
                assert SECRET not in repr((settings, client, store.waiting, missing.value))
                await store.close()

    with structlog.testing.capture_logs() as logs, caplog.at_level(0):
        run(main)
    assert SECRET not in caplog.text
    assert SECRET not in repr(logs)


def test_a_proxy_is_asked_with_its_own_password(run: Run, registry: FakeRegistry) -> None:
    """The composition root names it; a proxy's password is not the registry's."""

    async def main() -> None:
        async with Front(registry) as proxy:
            through = proxy.url.replace("//", "//me:proxy-%C5%82@")
            settings = config("http://registry.test:8081", login=Basic("a", "b"), proxy=lambda _: through)
            assert await ask(settings) == STRING
            (request,) = proxy.requests
            assert request.headers["Host"] == "registry.test:8081"
            assert request.headers["Proxy-Authorization"] == basic("me", "proxy-ł")
            assert request.headers["Authorization"] == basic("a", "b")

    run(main)


def test_a_client_that_was_not_started_says_so(run: Run) -> None:
    """A mistake in the program, not an outage that is waited out."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="was not started"):
            await RegistryClient(config("http://localhost:1")).schema(ONE)

    run(main)
