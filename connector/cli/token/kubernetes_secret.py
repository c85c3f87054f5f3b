"""A token in a Kubernetes Secret, by the Pod's own service account: the image has no kubectl."""

import asyncio
import base64
import binascii
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from connector.cli.token.store import StoreFailed, Superseded
from connector.delivery.retry import RetryPolicy
from connector.errors import UnusableSetting
from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.exchange.exchange import Exchange
from connector.exchange.logins import is_bearer
from connector.target.profile_token.answers import ProfileToken
from connector.target.token_expiry import SUFFIX, read_expiry, write_expiry

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts the Pod's token, the authority of the API server, and the namespace's name."""
KEY: Final = "token"
"""The Secret's key; mounted, it is the file that TARGET_AUTH_TOKEN_FILE names, with the note of its end beside it."""
RETRY: Final = RetryPolicy(initial=1.0, maximum=10.0, max_attempts=5)
TIMEOUT_SECONDS: Final = 10.0
_OK: Final = range(200, 300)
_CONFLICT: Final = 409
_THROTTLED: Final = 429
_SERVER: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class Cluster:
    """How a Pod reaches the API server: its address, the Pod's namespace, its token, and the server's authority."""

    url: str
    namespace: str
    token: str = field(repr=False)
    authority: Path


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Cluster:
    """Read what the kubelet gave to this Pod. Raises `UnusableSetting` outside of a cluster."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        msg = "is not set: --secret works only in a Pod; elsewhere use --file"
        raise UnusableSetting(setting="KUBERNETES_SERVICE_HOST", reason=msg)
    try:
        token, namespace = ((folder / name).read_text().strip() for name in ("token", "namespace"))
    except (OSError, ValueError) as error:
        msg = f"needs the Pod's service account, and {folder} cannot be read: set automountServiceAccountToken"
        raise UnusableSetting(setting="--secret", reason=msg) from error
    address = f"[{host}]" if ":" in host else host
    return Cluster(f"https://{address}:{port}", namespace, token, folder / "ca.crt")


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str


class _Secret(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


def read_secret(body: bytes) -> tuple[ProfileToken | None, str] | None:
    """The token in a Secret, if it has one, and the Secret's version; None: the body is no Secret."""
    try:
        secret = msgspec.json.decode(body, type=_Secret)
        data = {name: base64.b64decode(text) for name, text in (secret.data or {}).items() if name.startswith(KEY)}
        text = data.get(KEY, b"").decode().strip()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, binascii.Error):
        return None
    token = ProfileToken(text, read_expiry(data.get(KEY + SUFFIX, b""), text)) if is_bearer(text) else None
    return token, secret.metadata.resource_version


def patch(token: ProfileToken | None, version: str) -> bytes:
    """A merge patch that puts the token into the Secret of this version and no other; None: changes nothing."""
    data: dict[str, str | None] = {}
    if token is not None:
        note = None if token.ends is None else write_expiry(token.text, token.ends)
        data = {KEY: _encoded(token.text.encode()), KEY + SUFFIX: None if note is None else _encoded(note)}
    return msgspec.json.encode({"metadata": {"resourceVersion": version}, "data": data})


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


class KubernetesSecret:
    """One Secret of the Pod's namespace, which must exist. It needs the rights `get` and `patch` on it alone."""

    def __init__(self, name: str, cluster: Cluster, rng: random.Random) -> None:
        """`name` is a valid name of a Secret."""
        self._secret = name
        self._cluster = cluster
        self._rng = rng
        self._url = f"{cluster.url}/api/v1/namespaces/{cluster.namespace}/secrets/{name}"
        self._exchange: Exchange | None = None
        self._version = ""

    @property
    def name(self) -> str:
        """Namespace and name."""
        return f"Secret {self._cluster.namespace}/{self._secret}"

    async def __aenter__(self) -> Self:
        try:
            context = ssl.create_default_context(cafile=self._cluster.authority)
        except OSError as error:
            msg = f"{self._cluster.authority} cannot be used as the authority of the API server"
            raise StoreFailed(msg, "it must be the mount of the Pod's service account") from error
        # The API server is the cluster's own: no proxy on the way.
        self._exchange = Exchange(
            user_agent="target-profile-connector", timeout_seconds=TIMEOUT_SECONDS, context=context, proxy=_direct
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._exchange is not None:
            await self._exchange.close()

    async def read(self) -> ProfileToken | None:
        """Give what is there, after a patch that the server only tries."""
        read = read_secret(await self._ask("GET", self._url, None))
        if read is None:
            msg = f"{self.name}: the API server's answer is no Secret"
            raise StoreFailed(msg, "look at KUBERNETES_SERVICE_HOST")
        token, self._version = read
        await self._ask("PATCH", f"{self._url}?dryRun=All", patch(None, self._version))
        return token

    async def write(self, token: ProfileToken) -> None:
        """Put it there, unless the Secret is another one since it was read."""
        await self._ask("PATCH", self._url, patch(token, self._version))

    async def _ask(self, method: str, url: str, body: bytes | None) -> bytes:
        """The answer's body. A patch may be sent again: if it had taken effect, its version is no longer right."""
        if self._exchange is None:
            msg = "the store was not entered"
            raise RuntimeError(msg)
        headers = {"Authorization": f"Bearer {self._cluster.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        failures = 0
        while True:
            given = await self._exchange.send(method, url, headers, body)
            if isinstance(given, Answered) and given.status in _OK:
                return given.body
            if isinstance(given, Answered) and given.status == _CONFLICT:
                msg = f"{self.name} was changed meanwhile"
                raise Superseded(msg)
            failures += 1
            if not _passes(given) or failures >= RETRY.max_attempts:
                raise StoreFailed(*_refusal(given, self.name, self._secret))
            await asyncio.sleep(RETRY.delay(failures, None, self._rng))


def _direct(_: str) -> None:
    return None


def _passes(given: Answered | Unanswered) -> bool:
    if isinstance(given, Unanswered):
        return given.trouble is not Trouble.UNTRUSTED
    return given.status == _THROTTLED or given.status in _SERVER


def _refusal(given: Answered | Unanswered, name: str, secret: str) -> tuple[str, str]:
    """Why the API server gave or took nothing, and what to do."""
    if isinstance(given, Unanswered):
        what = f"{name}: no answer of the API server ({given.trouble})"
        return what, "look at the Pod's network policy: it must let out to the API server"
    what = f"{name}: HTTP {given.status} of the API server"
    remedies = {
        401: "its token of the service account is not taken: is it mounted, and has the account been made again?",
        403: f"its service account needs a Role with the verbs get and patch on the Secret {secret}",
        404: f"make it first: kubectl create secret generic {secret}",
        422: "the Secret must not be immutable",
    }
    return what, remedies.get(given.status, "ask again later")
