"""Whether the endpoint can be reached and the token read, without a request that could be an update; and the probe."""

import math
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from yarl import URL

from connector import __version__
from connector.cli.check.findings import CheckFailed, Finding, State, Step, in_turn
from connector.cli.check.lease import Leases
from connector.cli.check.network import TLS_SECONDS, Opened, Route, certified, tunnel
from connector.cli.units import span
from connector.delivery.answer import Answer, Verdict
from connector.errors import UnusableSetting
from connector.events.change import Visitor
from connector.service import open_token, statuses
from connector.settings import Settings
from connector.target.endpoint import endpoint
from connector.target.proxy import proxy_for
from connector.target.render import Method, Renderer
from connector.target.sender import HttpSender, SenderConfig
from connector.target.token import TokenError, TokenSource

REACH_SECONDS = 20.0
TOKEN_SECONDS = 3.0
SOON_SECONDS = 259_200.0
"""Three days: by then `connector token` should have renewed it."""
PROBE_SECONDS = 6.0
"""For one request; there are three at most."""
PATHS = ("/m2/client/profile/update", "/m2/{client_code}/profile/update")
"""The forms of the path that are known: Adobe's page has the first, some integrations have the second."""
FORMS: Mapping[str, str] = {
    PATHS[0]: "the form with the word client, as on Adobe's page",
    PATHS[1]: "the form with the client code, as some integrations have it",
}

_HINTS: Mapping[Verdict, str] = {
    Verdict.UNAUTHORIZED: "look at TARGET_AUTH_TOKEN or its file",
    Verdict.THROTTLED: "the account's limits are reached; ask again later",
    Verdict.UNAVAILABLE: "ask again in a minute; if it stays so, look at the network and at Adobe's status page",
    Verdict.TIMEOUT: "ask again in a minute; if it stays so, look at the network and at TARGET_TIMEOUT_SECONDS",
}
_PROVES = (
    "It proves that the endpoint answers and takes the token, but neither the path nor the account: what Target says "
    "of a visitor who does not exist may be the same for a wrong one"
)
_RENEW = "look at the last run of `connector token`, which renews it a week before by default; run it now"
_TRUST = "SSL_CERT_FILE must name the authority that vouches for it, such as that of an inspecting proxy"


@dataclass(slots=True)
class TargetChecks:
    """The checks of one endpoint; each method is a check of the list in `connector.cli.check`."""

    settings: Settings
    leases: Leases | None = None
    """Where a probe gets its calls from; None: there is no quota."""
    _token: TokenSource | None = field(default=None, repr=False)

    async def token(self) -> Sequence[Finding]:
        """The bearer token can be read and can stand in a header; whether it is the right one only a request tells."""
        try:
            self._token = open_token(self.settings)
        except TokenError as error:
            raise CheckFailed(str(error), "correct TARGET_AUTH_TOKEN or its file") from error
        if self._token is None:
            return [Finding(State.OK, "token", "none is set: right if the account asks for none")]
        ends = self._token.ends()
        if ends is None:
            return [Finding(State.OK, "token", "can be read; --probe tells whether Target takes it")]
        return [_ending(ends, time.time())]

    async def path(self) -> Sequence[Finding]:
        """Which form of the path is set; no look from outside tells whether it is the right one."""
        settings = self.settings
        self._where()

        def path_of(text: str) -> str:
            return endpoint(settings.target_base_url, text, settings.target_client_code).path

        mine = path_of(settings.target_update_path)
        form = next((form for path, form in FORMS.items() if path_of(path) == mine), "a form of your own")
        detail = f"{mine}, {form}; only an update that a fetch gives back proves it: connector verify --round-trip ID"
        return [Finding(State.OK, "update path", detail)]

    async def endpoint(self) -> Sequence[Finding]:
        """Name, port and certificate, through the proxy if there is one."""
        origin, proxy = self._where()
        what = f"target {origin.host}:{origin.port}"
        host, port = origin.host or "", origin.port or 0
        if proxy is None:
            way = Route(host, port, "TARGET_BASE_URL")
            return await in_turn(what, [*way.steps(), *_tls_steps(what, origin, way.open)])
        way = Route(proxy.host or "", proxy.port or 0, "HTTPS_PROXY")
        first = ssl.create_default_context() if proxy.scheme == "https" else None
        steps = [(f"proxy {name}", seconds, step) for name, seconds, step in way.steps()]
        end = _tls_steps(what, origin, lambda context: tunnel(way, proxy, host, port, (first, context)))
        if not end:
            seen = "not asked: without TLS the proxy takes nothing but whole requests"
            end = [("TCP", TLS_SECONDS, lambda: _said(seen))]
        return await in_turn(what, [*steps, *end])

    async def probe(self) -> Sequence[Finding]:
        """Send one update for a visitor that cannot exist; where the path is refused, try the other known forms."""
        settings = self.settings
        origin, proxy = self._where()
        configured = endpoint(settings.target_base_url, settings.target_update_path, settings.target_client_code).path
        known = (endpoint(settings.target_base_url, path, settings.target_client_code).path for path in PATHS)
        others = [path for path in dict.fromkeys(known) if path != configured]
        sender = HttpSender(
            SenderConfig(
                origin=str(origin),
                user_agent=f"target-profile-connector/{__version__}",
                timeout_seconds=min(settings.target_timeout_seconds, PROBE_SECONDS),
                token=self._token,
                proxy=None if proxy is None else str(proxy),
                statuses=statuses(settings),
            )
        )
        async with sender:
            (first,) = await self._ask(sender, [configured])
            if first.verdict is not Verdict.REJECTED:
                return [_probed(configured, first)]
            answers = dict(zip(others, await self._ask(sender, others), strict=True))
        better = next((path for path, said in answers.items() if said.verdict is Verdict.ACCEPTED), None)
        hint = f"set TARGET_UPDATE_PATH={better}, which answers" if better else "look at TARGET_CLIENT_CODE"
        return [_probed(configured, first, hint), *(_probed(path, said) for path, said in answers.items())]

    async def _ask(self, sender: HttpSender, paths: Sequence[str]) -> Sequence[Answer]:
        end = math.inf if self.leases is None else await self.leases.take(len(paths))
        answers = []
        for path in paths:
            nobody = Visitor("mbox3rdPartyId", f"connector-check-{uuid.uuid4()}")
            render = Renderer(path, Method(self.settings.target_method))
            (request,) = render(nobody, {"connectorCheck": "probe"}).requests
            if self.leases is not None and self.leases.boottime() >= end:
                msg = "not sent: its lease of the quota's window is over"
                raise CheckFailed(msg, "ask again; this machine stood still meanwhile")
            answers.append(await sender.send(request))
        return answers

    def _where(self) -> tuple[URL, URL | None]:
        settings = self.settings
        try:
            where = endpoint(settings.target_base_url, settings.target_update_path, settings.target_client_code)
            proxy = proxy_for(where.origin)
        except UnusableSetting as error:
            wrong = error.failure
            msg = f"{wrong.setting} {wrong.reason}"
            raise CheckFailed(msg, f"correct {wrong.setting}") from error
        return URL(where.origin), None if proxy is None else URL(proxy)


def _ending(ends: float, now: float) -> Finding:
    moment = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(ends))} UTC"
    if ends <= now:
        return Finding(State.FAILED, "token", f"ended {moment}", _RENEW)
    if ends - now < SOON_SECONDS:
        return Finding(State.WARNING, "token", f"ends {moment}, in {span(ends - now)}", _RENEW)
    return Finding(State.OK, "token", f"can be read, ends {moment}; --probe tells whether Target takes it")


def _probed(path: str, answer: Answer, hint: str = "") -> Finding:
    what = f"probe of {path}"
    cost = "this was one call of the quota"
    if answer.verdict is Verdict.ACCEPTED:
        return Finding(State.OK, what, f"accepted; {cost}. {_PROVES}")
    if answer.verdict is Verdict.UNKNOWN_VISITOR:
        return Finding(State.OK, what, f"answers that it knows no such visitor, which is right; {cost}. {_PROVES}")
    if answer.verdict is Verdict.UNCONFIRMED:
        return Finding(State.WARNING, what, f"{answer.reason}; {cost}", "read TARGET_UNCONFIRMED_SUCCESS")
    return Finding(State.FAILED, what, f"{answer.verdict}: {answer.reason}", hint or _HINTS.get(answer.verdict, ""))


def _tls_steps(what: str, origin: URL, opening: Callable[[ssl.SSLContext], Awaitable[Opened]]) -> list[Step]:
    """The handshake, where the endpoint has one; it trusts what the sender will trust."""
    if origin.scheme != "https":
        return []

    async def shake_hands() -> Finding:
        return await certified(f"{what} TLS", opening(ssl.create_default_context()), _TRUST)

    return [("TLS", TLS_SECONDS, shake_hands)]


async def _said(text: str) -> str:
    return text
