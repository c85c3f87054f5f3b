"""The update endpoint itself: one request from its arrival to its answer, or to the fault that took its place."""

import asyncio
import hmac
import math
import random
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import hdrs, web

from connector.sandbox.answers import SUCCESS, Reply, refused, reply_of_fault, unauthorized, unknown_visitor
from connector.sandbox.config import SandboxConfig, UnknownVisitor, WrongPath
from connector.sandbox.fault_text import Fault, Kind
from connector.sandbox.faults import Draw, FaultPlan
from connector.sandbox.journal import GONE, InFlightRequest, Journal
from connector.sandbox.profiles import ProfileStore
from connector.sandbox.rules import MAX_BODY_BYTES, RawRequest, Rule, RuleViolation, Update, Visitor, check

# A body over the limit is read on up to here, so that a client can send it whole and see the answer.
_READ_BYTES: Final = 4 * 1_048_576
_NOT_RECEIVED: Final = {Kind.DROP, Kind.HANG}
_WITHOUT_ANSWER: Final = {*_NOT_RECEIVED, Kind.LOST_ANSWER}


class UpdateEndpoint:
    """Holds every request to the rules, draws its faults, applies its update, and writes all of it down."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.profiles = ProfileStore(
            update_only=config.update_only,
            override=config.override,
            expire_after=config.expire_after_seconds,
            session=config.session_seconds,
            ignore_empty=config.ignore_empty,
            value_limit=config.value_limit,
        )
        self.journal = Journal(config.log_limit, config.window_seconds)
        self.token = config.token
        self.token_ends = math.inf
        """From then on, by the monotonic clock, no token is right."""
        self._ahead = 0.0
        self._rng = random.Random(config.seed)
        quota = () if config.quota is None else (config.quota,)
        self._quota = FaultPlan(quota, self._rng, time.monotonic())
        self._plan = FaultPlan(config.faults, self._rng, time.monotonic())

    def now(self) -> float:
        """The time of the profiles, in epoch seconds; it can be moved on, so that days need not be waited for."""
        return time.time() + self._ahead

    def move_clock(self, seconds: float) -> None:
        """Move the time of the profiles on."""
        self._ahead += seconds

    def fetch_fault(self, visitor: Visitor) -> Reply | None:
        """The answer that a fault gives to a profile fetch, if one hits."""
        fault = self._plan.draw_fetch(visitor.id, time.monotonic())
        return None if fault is None else reply_of_fault(fault, self.config.body)

    @property
    def faults_drawn(self) -> dict[str, int]:
        """How often each fault of the present plan hit, and the quota."""
        return self._quota.drawn | self._plan.drawn

    def stats(self) -> dict[str, Any]:
        """All counters, as `/sandbox/stats` shows them."""
        return self.journal.stats() | {"visitors": len(self.profiles), "faults": self.faults_drawn}

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Put another plan in force from now on; the quota of the configuration stays."""
        self._plan = FaultPlan(faults, self._rng, time.monotonic())

    def set_token(self, token: str | None, ends: float = math.inf) -> None:
        """Ask for another token from now on, or for none; `ends` by the monotonic clock."""
        self.token = token
        self.token_ends = ends
        self._plan.token_renewed()

    def token_refusal(self, request: web.BaseRequest) -> Reply | None:
        """The answer to a request whose bearer token is missing or wrong; None if it is right or none is asked for."""
        if self.token is None:
            return None
        given = request.headers.get(hdrs.AUTHORIZATION)
        expected = f"Bearer {self.token}"
        right = given is not None and hmac.compare_digest(given.encode(errors="replace"), expected.encode())
        return None if right and time.monotonic() < self.token_ends else unauthorized(missing=given is None)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request to anything that is not the sandbox's own API."""
        passage = self.journal.arrive(client_of(request), peer_of(request), time.monotonic())
        try:
            return await self._answer(request, passage)
        except (asyncio.CancelledError, web.RequestPayloadError):  # the client left, or broke off its body
            self.journal.end(passage, GONE, time.monotonic())
            raise

    async def _answer(self, request: web.BaseRequest, passage: InFlightRequest) -> web.StreamResponse:
        raw = await _read(request)
        parsed = check(raw, self.config.client_code, self.config.path)
        now = time.monotonic()
        update: Update | None = None
        if isinstance(parsed, Update):
            update = parsed
            self.journal.identify(passage, update)
        else:
            for broken in parsed:
                self.journal.break_rule(broken, passage.client, now)
        draw = self._draw(None if update is None else update.visitor.id, now)
        reply = self._reply(request, parsed, draw.fault)
        if update is not None and reply.applies and self.config.unknown_visitor is not UnknownVisitor.SUCCESS:
            reply = self._reply_to_visitor(update.visitor, reply)
        # What is taken is applied at once, before any delay: a client that gives up cannot know that it was.
        if update is not None and reply.applies and (draw.fault is None or draw.fault.kind not in _NOT_RECEIVED):
            passage.applied = self.profiles.update(update.visitor, update.attributes, self.now(), draw.processing)
        if draw.delay:
            await asyncio.sleep(draw.delay)
        if draw.fault is not None and draw.fault.kind in _WITHOUT_ANSWER:
            if draw.fault.kind is Kind.HANG:
                await asyncio.sleep(draw.fault.seconds)
            self.journal.end(passage, draw.fault.kind.value, time.monotonic())
            return _cut(request)
        self.journal.end(passage, sys.intern(str(reply.status)), time.monotonic())
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    def _draw(self, visitor_id: str | None, now: float) -> Draw:
        over_quota = self._quota.draw(visitor_id, now)
        planned = self._plan.draw(visitor_id, now)
        return planned if over_quota.fault is None else Draw(planned.delay, over_quota.fault, planned.processing)

    def _reply(self, request: web.BaseRequest, parsed: Update | list[RuleViolation], fault: Fault | None) -> Reply:
        if fault is not None and fault.kind not in _WITHOUT_ANSWER:
            return reply_of_fault(fault, self.config.body)
        refusal = self.token_refusal(request)
        if refusal is not None:
            return refusal
        if isinstance(parsed, Update):
            return SUCCESS[self.config.body]
        only_the_path = [broken.rule for broken in parsed] == [Rule.CLIENT_CODE]
        if only_the_path and self.config.wrong_path is WrongPath.SUCCESS:
            return SUCCESS[self.config.body]
        return refused(parsed)

    def _reply_to_visitor(self, visitor: Visitor, reply: Reply) -> Reply:
        """The answer where a visitor without a profile is told."""
        if self.profiles.is_known(visitor, self.now()):
            return reply
        return unknown_visitor(self.config.unknown_visitor, self.config.client_code, visitor, self.config.body)


def client_of(request: web.BaseRequest) -> str:
    """Who sent it, as far as it says: an instance of its own, or its user agent."""
    return request.headers.get("X-Instance") or request.headers.get(hdrs.USER_AGENT) or "?"


def peer_of(request: web.BaseRequest) -> tuple[str, int]:
    """The client's address and port, which a killed and a new process do not share."""
    peer: tuple[str, int] = request.get_extra_info("peername", ("?", 0))
    return peer[:2]  # IPv6 adds two more fields


async def _read(request: web.BaseRequest) -> RawRequest:
    """The request as raw bytes; of a body that is too large, enough to show that it is."""
    body = b""
    if request.body_exists:
        chunks: list[bytes] = []
        size = 0
        while size <= _READ_BYTES and (chunk := await request.content.readany()):
            size += len(chunk)
            chunks.append(chunk)
        body = b"".join(chunks)[: MAX_BODY_BYTES + 1]
    target = request.raw_path.encode("utf-8", "surrogateescape")
    return RawRequest(request.method, target, request.headers.get(hdrs.CONTENT_TYPE), body)


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection under the client; what is returned is written nowhere."""
    request.protocol.force_close()
    return web.Response()
