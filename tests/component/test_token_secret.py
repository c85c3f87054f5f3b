"""The Secret of `connector token --secret`, before an API server as far as that matters here: TLS, rights, versions."""

import asyncio
import base64
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from connector.cli.token.kubernetes_secret import Cluster, KubernetesSecret, in_cluster
from connector.cli.token.renew import renew
from connector.cli.token.store import StoreFailed
from connector.errors import UnusableSetting
from connector.target.profile_token.answers import ProfileToken
from connector.target.token import FileToken
from tests.support.loopback import own_address
from tests.support.tokens import FakeServices

PATH = "/api/v1/namespaces/profiles/secrets/target-token"
NOON = 1_795_867_200.0


@dataclass
class ApiServer:
    """One Secret, and what the service account may do with it."""

    verbs: set[str] = field(default_factory=lambda: {"get", "patch"})
    data: dict[str, str] = field(default_factory=dict)
    version: int = 1
    exists: bool = True
    meanwhile: list[tuple[str, str]] = field(default_factory=list)
    """Tokens that others store, each just before a patch of ours, of this kind."""
    statuses: list[int] = field(default_factory=list)
    """Of the first requests, in place of an answer."""
    requests: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As the API server does."""
        dry = request.query.get("dryRun") == "All"
        self.requests.append(f"{request.method}{' dry' if dry else ''}")
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if request.headers.get("Authorization") != "Bearer S3CR3T-account":
            return web.Response(status=401)
        if request.method.lower() not in self.verbs or request.path != PATH:
            return web.Response(status=403)
        if not self.exists:
            return web.Response(status=404)
        if request.method == "PATCH":
            assert request.content_type == "application/merge-patch+json"
            if self.meanwhile and self.meanwhile[0][0] == self.requests[-1]:
                self.store(token=self.meanwhile.pop(0)[1])
            patch = await request.json()
            if patch["metadata"]["resourceVersion"] != str(self.version):
                return web.Response(status=409)
            if not dry:
                self.store(**{name: text and base64.b64decode(text).decode() for name, text in patch["data"].items()})
        return web.json_response(
            {"kind": "Secret", "metadata": {"resourceVersion": str(self.version)}, "data": self.data}
        )

    def store(self, **texts: str | None) -> None:
        """Merge, as a patch does: null takes a key away."""
        self.version += 1
        for name, text in texts.items():
            self.data.pop(name, None)
            if text is not None:
                self.data[name] = base64.b64encode(text.encode()).decode()

    def read(self, name: str) -> str:
        """One key, decoded."""
        return base64.b64decode(self.data[name]).decode()


def before(server: ApiServer, folder: Path, story: Callable[[KubernetesSecret], Awaitable[Any]]) -> Any:
    """Tell a story with a store before this server; returns what it returns."""
    authority = trustme.CA()
    host = own_address()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.crt")

    async def scenario() -> Any:
        runner = web.ServerRunner(web.Server(server.answer))
        await runner.setup()
        site = web.TCPSite(runner, host, 0, ssl_context=context)
        await site.start()
        try:
            cluster = Cluster(
                f"https://{host}:{runner.addresses[0][1]}", "profiles", "S3CR3T-account", folder / "ca.crt"
            )
            return await story(KubernetesSecret("target-token", cluster, random.Random(1)))
        finally:
            await runner.cleanup()

    return asyncio.run(scenario())


async def renewed(store: KubernetesSecret, services: FakeServices | None = None) -> FakeServices:
    """One run of the command with this store."""
    services = services or FakeServices(latency=0.0)
    await renew(services.client(), store, 60.0, random.Random(1), services.now)
    return services


def test_the_token_and_its_end_are_keys_that_a_mount_makes_files_of(tmp_path: Path) -> None:
    """What the connector reads there is the token, with its end; the rights are tried before a token is made."""
    server = ApiServer(data={"other": base64.b64encode(b"kept").decode()})
    services = before(server, tmp_path, renewed)
    assert server.requests == ["GET", "PATCH dry", "PATCH"]
    for name in ("token", "token.expires"):
        (tmp_path / name).write_text(server.read(name))
    assert server.read("other") == "kept"
    mounted = FileToken(tmp_path / "token", lambda: 0.0, lambda _: None)
    assert mounted.current() == services.token
    assert mounted.ends() is not None


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    """Each version of a Secret is read anew by every replica."""
    server = ApiServer()

    async def twice(store: KubernetesSecret) -> None:
        await renewed(store, await renewed(store))

    before(server, tmp_path, twice)
    assert (server.version, server.requests[3:]) == (2, ["GET", "PATCH dry"])


def test_a_secret_that_changed_meanwhile_is_read_again(tmp_path: Path) -> None:
    """The token of another run may be newer than ours, and ours ended by it."""
    server = ApiServer(meanwhile=[("PATCH dry", "other"), ("PATCH", "another")])
    services = before(server, tmp_path, renewed)
    assert server.requests == ["GET", "PATCH dry", *["GET", "PATCH dry", "PATCH"] * 2]
    assert server.read("token") == services.token
    assert services.requests.count("POST") == 1


def test_a_token_without_a_known_end_takes_the_former_note_away(tmp_path: Path) -> None:
    """A merge patch removes by null."""
    server = ApiServer()
    server.store(**{"token": "old", "token.expires": "{}"})

    async def stored(store: KubernetesSecret) -> None:
        async with store:
            assert await store.read() == ProfileToken("old", None)
            await store.write(ProfileToken("new", None))

    before(server, tmp_path, stored)
    assert (server.read("token"), list(server.data)) == ("new", ["token"])


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (ApiServer(verbs=set()), "HTTP 403 of the API server; its service account needs a Role with the verbs get and"),
        (
            ApiServer(verbs={"get"}),
            "HTTP 403 of the API server; its service account needs a Role with the verbs get and",
        ),
        (ApiServer(exists=False), "kubectl create secret generic target-token"),
        (ApiServer(statuses=[401]), "HTTP 401 of the API server; its token of the service account is not taken"),
        (ApiServer(statuses=[200]), "is no Secret"),
    ],
    ids=["no right", "may only read", "missing", "unknown account", "no API server"],
)
def test_a_secret_that_cannot_be_written_costs_no_token(tmp_path: Path, server: ApiServer, said: str) -> None:
    """A POST before that would end the token of all replicas, and the new one would be nowhere."""
    services = FakeServices(latency=0.0)

    async def refused(store: KubernetesSecret) -> None:
        with pytest.raises(StoreFailed) as caught:
            await renewed(store, services)
        assert said in str(caught.value)
        assert "Secret profiles/target-token" in str(caught.value)
        assert "S3CR3T" not in str(caught.value) + repr(store)

    before(server, tmp_path, refused)
    assert services.requests == []


def test_an_api_server_that_fails_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    """A control plane restarts at each upgrade."""
    server = ApiServer(statuses=[503])
    before(server, tmp_path, renewed)
    assert server.requests == ["GET", "GET", "PATCH dry", "PATCH"]


def test_another_server_than_the_cluster_s_is_not_told_the_account(tmp_path: Path) -> None:
    """Its authority is the one that the kubelet mounts."""
    server = ApiServer()

    async def distrusted(store: KubernetesSecret) -> None:
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        with pytest.raises(StoreFailed, match="untrusted certificate"):
            await renewed(store)

    before(server, tmp_path, distrusted)
    assert server.requests == []


def test_a_pod_knows_its_cluster(tmp_path: Path) -> None:
    """By what the kubelet sets and mounts; an address of IPv6 needs brackets."""
    (tmp_path / "token").write_text("S3CR3T\n")
    (tmp_path / "namespace").write_text("profiles")
    around = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    found = in_cluster(around, tmp_path)
    assert (found.url, found.namespace, found.token) == ("https://10.0.0.1:443", "profiles", "S3CR3T")
    assert "S3CR3T" not in repr(found)
    assert in_cluster({**around, "KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).url == "https://[fd00::1]:443"
    with pytest.raises(UnusableSetting, match="works only in a Pod"):
        in_cluster({}, tmp_path)
    with pytest.raises(UnusableSetting, match="automountServiceAccountToken"):
        in_cluster(around, tmp_path / "nothing")
