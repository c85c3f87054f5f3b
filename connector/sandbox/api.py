"""The sandbox's own API under `/sandbox/`, for tests and the curious."""

import json
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from connector.sandbox.endpoint import UpdateEndpoint
from connector.sandbox.fault_text import FaultTextError, parse_fault
from connector.sandbox.rules import VISITOR_KINDS, Visitor

OWN_PREFIX: Final = "/sandbox/"
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
            ("GET", "fates"): self._fates,
            ("PUT", "clock"): self._move_clock,
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

    async def _profiles(self, _: web.BaseRequest) -> web.StreamResponse:
        return _json(self._endpoint.profiles.values(self._endpoint.now()))

    async def _fates(self, _: web.BaseRequest) -> web.StreamResponse:
        return _json(self._endpoint.profiles.fate_counts(self._endpoint.now()))

    async def _move_clock(self, request: web.BaseRequest) -> web.StreamResponse:
        match await _read_json(request):
            case {"seconds": int() | float() as seconds} if not isinstance(seconds, bool) and 0 < seconds < math.inf:
                self._endpoint.move_clock(seconds)
                return web.Response(status=HTTPStatus.NO_CONTENT)
        message = 'the body is {"seconds": 1209600}, by which the time of the profiles is moved on'
        raise _InputError(message)

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
        given = await _read_json(request)
        if not isinstance(given, list):
            raise _InputError(_VISITS)
        for visit in [_parse_visit(each) for each in given]:
            self._endpoint.profiles.visit(visit.visitor, self._endpoint.now(), visit.attributes, visit.ecid)
        return web.Response(status=HTTPStatus.NO_CONTENT)


class _Visit(NamedTuple):
    """A visit: what the page or a script wrote, and the ECID that it named."""

    visitor: Visitor
    attributes: dict[str, str]
    ecid: str | None


_VISITS: Final = (
    'the body is a JSON list of visitors, as in ["mbox3rdPartyId:123"], or of objects, as in '
    '[{"visitor": "mbox3rdPartyId:123", "attributes": {"user.score": "7"}, "ecid": "456"}]'
)


def _parse_visit(given: object) -> _Visit:
    match given:
        case str():
            return _Visit(_parse_visitor(given), {}, None)
        case {"visitor": str() as text, **others} if others.keys() <= {"attributes", "ecid"}:
            written, ecid = others.get("attributes", {}), others.get("ecid")
            attributes = _texts(written)
            if attributes is not None and (ecid is None or (isinstance(ecid, str) and ecid)):
                return _Visit(_parse_visitor(text), attributes, ecid)
    raise _InputError(_VISITS)


def _texts(given: object) -> dict[str, str] | None:
    """An object of texts; None: it is none."""
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        return None
    return given


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
