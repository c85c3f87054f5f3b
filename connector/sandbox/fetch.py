"""Adobe's profile fetch API, by tntId, third-party id or ECID, under the token rule of the updates."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from connector.sandbox.answers import Reply, no_profile
from connector.sandbox.endpoint import UpdateEndpoint
from connector.sandbox.profiles import ECID, StoredProfile
from connector.sandbox.rules import Visitor, decode_path_segment
from connector.sandbox.window import RollingWindow

FETCH_PREFIX: Final = "/rest/v1/profiles/"
_KIND_OF_SEGMENT: Final = {"thirdPartyId": "mbox3rdPartyId", ECID: ECID}


class FetchApi:
    """Gives profiles; no call of it counts as an update, and it has a limit of its own."""

    def __init__(self, endpoint: UpdateEndpoint) -> None:
        self._endpoint = endpoint
        quota = endpoint.config.fetch_quota
        self._window = None if quota is None else RollingWindow(quota.seconds)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """A request under `/rest/v1/profiles/`."""
        reply = self._endpoint.token_refusal(request) or self._reply(request)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    def _reply(self, request: web.BaseRequest) -> Reply:
        code = self._endpoint.config.client_code
        path, _, query = request.raw_path.partition("?")
        visitor = fetched_visitor(path.removeprefix(FETCH_PREFIX))
        if request.method != "GET" or visitor is None or parse_qs(query).get("client") != [code]:
            named = ("<tntId>", "thirdPartyId/<id>", f"{ECID}/<id>")
            ways = [f"GET {FETCH_PREFIX}{way}?client={code}" for way in named]
            return _json({"status": 400, "message": f"ask {' or '.join(ways)}"}, HTTPStatus.BAD_REQUEST)
        fault = self._over_quota() or self._endpoint.fetch_fault(visitor)
        if fault is not None:
            return fault
        stored = self._endpoint.profiles.stored(visitor, self._endpoint.now())
        if stored is None:
            return no_profile(code, visitor)
        return _json(profile_json(code, visitor.id, stored, self._endpoint.config.utc_offset_minutes))

    def _over_quota(self) -> Reply | None:
        """Documented until 2019: calls above the limit fail with an error that tells when the next one will succeed."""
        quota = self._endpoint.config.fetch_quota
        if quota is None or self._window is None:
            return None
        now = time.monotonic()
        wait = self._window.wait(quota.requests, now)
        if not wait:
            self._window.add(now)
            return None
        words = f"the limit of fetches is reached, the next call will succeed in {wait:.0f} seconds"
        return _json({"status": 429, "message": words}, HTTPStatus.TOO_MANY_REQUESTS)


def fetched_visitor(rest: str) -> Visitor | None:
    """The visitor a fetch path names, after its prefix: `<tntId>`, or a kind and an id, percent-encoded."""
    first, slash, second = rest.partition("/")
    kind = _KIND_OF_SEGMENT.get(first) if slash else "mboxPC"
    raw = second if slash else first
    decoded = None if "/" in raw else decode_path_segment(raw.encode("utf-8", "surrogateescape"))
    return Visitor(kind, decoded) if kind and decoded else None


def profile_json(client_code: str, visitor_id: str, stored: StoredProfile, utc_offset_minutes: int) -> dict[str, Any]:
    """A profile in the form of Adobe's sample: values are text, and times have milliseconds and an offset."""
    zone = timezone(timedelta(minutes=utc_offset_minutes)) if utc_offset_minutes else UTC

    def timestamp(epoch_ms: int) -> str:
        return datetime.fromtimestamp(epoch_ms / 1_000, zone).isoformat(timespec="milliseconds")

    listed = {
        name: {"value": attribute.value, "modifiedAt": timestamp(attribute.modified_at)}
        for name, attribute in stored.attributes.items()
    }
    about = {"client": client_code, "visitorId": visitor_id, "modifiedAt": timestamp(stored.modified_at)}
    return about | {"profileAttributes": listed}


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
