"""Adobe's token services: IMS, which takes client credentials, and Target's, where a new token ends the one before."""

import asyncio
import json
import math
import random
import time
import uuid
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import hdrs, web

from connector.sandbox.answers import Reply, reply_of_fault
from connector.sandbox.config import BodyForm, TokenServiceConfig
from connector.sandbox.endpoint import UpdateEndpoint
from connector.sandbox.fault_text import Fault, Kind
from connector.sandbox.faults import FaultPlan
from connector.sandbox.window import RollingWindow

IMS_PATH: Final = "/ims/token/v3"
OWN_PATH: Final = "/sandbox/token-service"
ACCESS_SECONDS: Final = 86_399
CALLS_A_MINUTE: Final = 50
"""Of Target's Admin API; the answer over it is documented nowhere, and here as over other limits."""
_TOKEN_TYPE: Final = "application/vnd.adobe.target.v1+json"  # noqa: S105 - a media type
_JSON: Final = {"Content-Type": "application/json"}
_UNHEARD: Final = {Kind.DROP, Kind.HANG}
_CUT: Final = {*_UNHEARD, Kind.LOST_ANSWER}


class TokenService:
    """Both services of one account. The profile token is the one that the update endpoint asks for."""

    def __init__(self, config: TokenServiceConfig, endpoint: UpdateEndpoint) -> None:
        """An account that was given no token has none yet, and its endpoint takes none."""
        self._config = config
        self._endpoint = endpoint
        self._path = f"/{config.tenant}/target/authentication/token"
        self._access: dict[str, float] = {}
        self._calls = RollingWindow(60.0)
        self._plan = FaultPlan(config.faults, random.Random(0), time.monotonic())
        self.counts = {"sign_in": 0, "get": 0, "post": 0}
        """Answered requests, refused ones included."""
        if endpoint.token is None:
            endpoint.set_token(uuid.uuid4().hex, ends=-math.inf)
        elif endpoint.token_ends == math.inf:
            endpoint.set_token(endpoint.token, ends=time.monotonic() + config.life_seconds)

    def serves(self, path: str) -> bool:
        """Whether a path is one of these services, of this tenant or of another."""
        return path in {IMS_PATH, OWN_PATH} or path.endswith("/target/authentication/token")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to a path that it serves."""
        path, _, query = request.raw_path.partition("?")
        if path == OWN_PATH:
            return _response(_reply(HTTPStatus.OK, self.counts | {"token_seconds": self._left()}))
        # A fault for some visitors is here one for some requests.
        kind = "sign_in" if path == IMS_PATH else request.method.lower()
        draw = self._plan.draw(kind, time.monotonic())
        reply = Reply(HTTPStatus.OK)
        if draw.fault is None or draw.fault.kind is Kind.LOST_ANSWER:
            form = parse_qs((await request.read()).decode(errors="replace"), keep_blank_values=True)
            reply = self._sign_in(request, form) if path == IMS_PATH else self._token(request, path, query)
        await asyncio.sleep(draw.delay)
        if draw.fault is None:
            return _response(reply)
        return await _show(draw.fault, request)

    def _sign_in(self, request: web.BaseRequest, form: dict[str, list[str]]) -> Reply:
        self.counts["sign_in"] += 1
        own = self._config
        if request.method != "POST":
            return _reply(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "invalid_request"})
        if form.get("grant_type") != ["client_credentials"]:
            return _reply(HTTPStatus.BAD_REQUEST, {"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != ([own.client_id], [own.client_secret]):
            return _reply(HTTPStatus.BAD_REQUEST, {"error": "invalid_client"})
        if "target_sdk" not in form.get("scope", [""])[0].split(","):
            return _reply(HTTPStatus.BAD_REQUEST, {"error": "invalid_scope"})
        access = uuid.uuid4().hex
        self._access[access] = time.monotonic() + ACCESS_SECONDS
        body = {"access_token": access, "token_type": "bearer", "expires_in": ACCESS_SECONDS}
        return _reply(HTTPStatus.OK, body)

    def _token(self, request: web.BaseRequest, path: str, query: str) -> Reply:
        self.counts["get" if request.method == "GET" else "post"] += 1
        refusal = self._refusal(request, path, query)
        if refusal is not None:
            return refusal
        if request.method == "POST":
            self._endpoint.set_token(str(uuid.uuid4()), ends=time.monotonic() + self._config.life_seconds)
            return self._profile_token(HTTPStatus.CREATED)
        left = self._left()
        return _error(HTTPStatus.NOT_FOUND) if left is not None and left <= 0 else self._profile_token(HTTPStatus.OK)

    def _refusal(self, request: web.BaseRequest, path: str, query: str) -> Reply | None:
        """What breaks the rules of Target's token service; None: nothing."""
        now = time.monotonic()
        bearer, _, access = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        checks = (
            (self._calls.add(now) > CALLS_A_MINUTE, HTTPStatus.TOO_MANY_REQUESTS),
            (request.method not in {"GET", "POST"}, HTTPStatus.METHOD_NOT_ALLOWED),
            (bearer != "Bearer" or self._access.get(access, -math.inf) <= now, HTTPStatus.UNAUTHORIZED),
            (request.headers.get("X-Api-Key") != self._config.client_id, HTTPStatus.FORBIDDEN),
            (path != self._path, HTTPStatus.FORBIDDEN),
            (request.headers.get(hdrs.ACCEPT) != _TOKEN_TYPE, HTTPStatus.NOT_ACCEPTABLE),
            (parse_qs(query).get("authorizationScope") != ["profile_api"], HTTPStatus.BAD_REQUEST),
        )
        return next((_error(status) for broken, status in checks if broken), None)

    def _profile_token(self, status: HTTPStatus) -> Reply:
        body = {"accessToken": self._endpoint.token, "tokenType": "bearer", "scope": "profile_api"}
        left = self._left()
        # A token that was set by hand has no end.
        known = {} if left is None else {"expiresIn": math.floor(left)}
        return _reply(status, body | known, {"Content-Type": _TOKEN_TYPE})

    def _left(self) -> float | None:
        """Seconds until the profile token ends, at most 0 where there is none; None: it has no end."""
        left = self._endpoint.token_ends - time.monotonic()
        return None if left == math.inf else max(left, 0.0)


async def _show(fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
    """The answer that a fault puts in the place of the service's own."""
    if fault.kind not in _CUT:
        return _response(reply_of_fault(fault, BodyForm.XML))
    if fault.kind is Kind.HANG:
        await asyncio.sleep(fault.seconds)
    request.protocol.force_close()
    return web.Response()


def _error(status: HTTPStatus) -> Reply:
    """In the form of Target's Admin API."""
    return _reply(status, {"httpStatus": int(status), "requestId": uuid.uuid4().hex, "errors": []})


def _reply(status: HTTPStatus, body: dict[str, Any], headers: dict[str, str] = _JSON) -> Reply:
    return Reply(status, json.dumps(body).encode(), headers)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
