"""The sandbox's own API under `/sandbox/`, for tests and the curious, and Adobe's profile fetch API beside it."""

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from connector.sandbox.endpoint import UpdateEndpoint
from connector.sandbox.fault_text import FaultTextError, parse_fault
from connector.sandbox.rules import VISITOR_KINDS, Visitor, decode_path_segment

OWN_PREFIX: Final = "/sandbox/"
FETCH_PREFIX: Final = "/rest/v1/profiles/"
_LOG_LINES_A_WRITE: Final = 1_000

_Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _InputError(Exception):
    """What the caller sent cannot be used; the message says why and reaches the caller."""


class OwnApi:
    """Reads and changes what the endpoint keeps. Nothing here counts as a request to Target."""

    def __init__(self, endpoint: UpdateEndpoint) -> None:
        self._endpoint = endpoint
        self._routes: dict[tuple[str, str], _Route] = {
            ("GET", "profiles"): self._profiles,
            ("DELETE", "profiles"): self._clear,
            ("GET", "stats"): self._stats,
            ("GET", "log"): self._log,
            ("PUT", "faults"): self._set_faults,
            ("PUT", "token"): self._set_token,
            ("POST", "visitors"): self._visit,
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """A request under `/sandbox/`."""
        path, _, _ = request.raw_path.partition("?")
        route = self._routes.get((request.method, path.removeprefix(OWN_PREFIX)))
        if route is None:
            known = [f"{method} {OWN_PREFIX}{name}" for method, name in self._routes]
            return _json({"error": "no such call", "known": known}, HTTPStatus.NOT_FOUND)
        try:
            return await route(request)
        except _InputError as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    async def fetch(self, request: web.BaseRequest) -> web.StreamResponse:
        """Adobe's profile fetch by tntId or third-party id; its token rule is that of the updates."""
        refusal = self._endpoint.token_refusal(request)
        if refusal is not None:
            return web.Response(status=refusal.status, body=refusal.body, headers=refusal.headers)
        code = self._endpoint.config.client_code
        path, _, query = request.raw_path.partition("?")
        visitor = _fetched_visitor(path.removeprefix(FETCH_PREFIX))
        if request.method != "GET" or visitor is None or parse_qs(query).get("client") != [code]:
            message = f"ask GET {FETCH_PREFIX}<tntId>?client={code} or {FETCH_PREFIX}thirdPartyId/<id>?client={code}"
            return _json({"status": 400, "message": message}, HTTPStatus.BAD_REQUEST)
        attributes = self._endpoint.profiles.fetch(visitor, time.time())
        if attributes is None:
            kind = "third party id" if visitor.kind == "mbox3rdPartyId" else "mboxPC"
            message = f"No profile found for client {code} with {kind}={visitor.id}"
            return _json({"status": 404, "message": message}, HTTPStatus.NOT_FOUND)
        listed = {
            name: {"value": attribute.value, "modifiedAt": _timestamp(attribute.modified_at)}
            for name, attribute in attributes.items()
        }
        newest = max((attribute.modified_at for attribute in attributes.values()), default=0)
        about = {"client": code, "visitorId": visitor.id, "modifiedAt": _timestamp(newest)}
        return _json(about | {"profileAttributes": listed})

    async def _profiles(self, _: web.BaseRequest) -> web.StreamResponse:
        return _json(self._endpoint.profiles.values(time.time()))

    async def _clear(self, _: web.BaseRequest) -> web.StreamResponse:
        self._endpoint.profiles.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _stats(self, _: web.BaseRequest) -> web.StreamResponse:
        return _json(self._endpoint.stats())

    async def _log(self, request: web.BaseRequest) -> web.StreamResponse:
        since = parse_qs(request.raw_path.partition("?")[2]).get("since", ["0"])[-1]
        if not since.isascii() or not since.isdigit():
            message = "since is the number of a record, 0 or more"
            raise _InputError(message)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # Written in parts, so that a long log does not hold up the requests being judged.
        records = self._endpoint.journal.since(int(since))
        for first in range(0, len(records), _LOG_LINES_A_WRITE):
            part = records[first : first + _LOG_LINES_A_WRITE]
            await response.write("".join(f"{json.dumps(record.to_json())}\n" for record in part).encode())
        await response.write_eof()
        return response

    async def _set_faults(self, request: web.BaseRequest) -> web.StreamResponse:
        texts = await _strings(request, '["status=503,p=0.1"]')
        try:
            faults = [parse_fault(text) for text in texts]
        except FaultTextError as error:
            raise _InputError(str(error)) from error
        self._endpoint.set_faults(faults)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _set_token(self, request: web.BaseRequest) -> web.StreamResponse:
        match await _read_json(request):
            case {"token": str() | None as token}:
                self._endpoint.set_token(token)
                return web.Response(status=HTTPStatus.NO_CONTENT)
        message = 'the body is {"token": "…"}, or null for no token'
        raise _InputError(message)

    async def _visit(self, request: web.BaseRequest) -> web.StreamResponse:
        visitors = [_parse_visitor(text) for text in await _strings(request, '["mbox3rdPartyId:123"]')]
        for visitor in visitors:
            self._endpoint.profiles.visit(visitor, time.time())
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _fetched_visitor(rest: str) -> Visitor | None:
    """The visitor a fetch path names, after its prefix: `<tntId>` or `thirdPartyId/<id>`, percent-encoded."""
    first, slash, second = rest.partition("/")
    if slash and first != "thirdPartyId":
        return None
    raw = second if slash else first
    decoded = None if "/" in raw else decode_path_segment(raw.encode("utf-8", "surrogateescape"))
    return Visitor("mbox3rdPartyId" if slash else "mboxPC", decoded) if decoded else None


def _parse_visitor(text: str) -> Visitor:
    kind, _, visitor_id = text.partition(":")
    if kind not in VISITOR_KINDS or not visitor_id:
        message = f"{text!r} is no visitor; write {' or '.join(f'{kind}:<id>' for kind in VISITOR_KINDS)}"
        raise _InputError(message)
    return Visitor(kind, visitor_id)


async def _strings(request: web.BaseRequest, example: str) -> list[str]:
    given = await _read_json(request)
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        return given
    message = f"the body is a JSON list of strings, as in {example}"
    raise _InputError(message)


async def _read_json(request: web.BaseRequest) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        message = f"the body is no JSON: {error}"
        raise _InputError(message) from error


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})


def _timestamp(epoch_ms: int) -> str:
    """As in Adobe's sample of a profile: ISO 8601 with milliseconds and an offset."""
    return datetime.fromtimestamp(epoch_ms / 1_000, UTC).isoformat(timespec="milliseconds")
