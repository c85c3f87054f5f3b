"""The bodies that the endpoint is known to send, and those that proxies and failures put in their place."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from connector.sandbox.config import BodyForm, UnknownVisitor
from connector.sandbox.fault_text import Fault, Kind
from connector.sandbox.rules import Rule, RuleViolation, Visitor

_XML: Final = {"Content-Type": "text/xml;charset=UTF-8"}
_TEXT: Final = {"Content-Type": "text/plain;charset=UTF-8"}
_JSON: Final = {"Content-Type": "application/json"}
_HTML: Final = {"Content-Type": "text/html;charset=UTF-8"}
_BODILESS: Final = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: status, body, headers, and whether the update behind it counts as taken."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    applies: bool = False


# Both forms are named in docs/sandbox.md: Adobe's sample has lost its tags, the XML is the older full form of it.
SUCCESS: Final = {
    BodyForm.TEXT: Reply(200, b"trueRequest successfully submitted", _TEXT, applies=True),
    BodyForm.XML: Reply(
        200,
        b"<response><success>true</success><pcId></pcId><message>Request successfully submitted</message></response>",
        _XML,
        applies=True,
    ),
}
_FALSE: Final = {
    BodyForm.TEXT: Reply(200, b"falseRequest could not be submitted", _TEXT),
    BodyForm.XML: Reply(
        200,
        b"<response><success>false</success><pcId></pcId><message>Request could not be submitted</message></response>",
        _XML,
    ),
}
_FAULT: Final = "sandbox fault"
_TEXT_OF_STATUS: Final = {420: "Too many requests with same session ID"}
"""Known from other APIs of Target."""
_STATUS_OF_RULE: Final = {
    Rule.PATH: 404,
    Rule.METHOD: 405,
    Rule.TARGET_SIZE: 414,
    Rule.BODY_SIZE: 413,
    Rule.CONTENT_TYPE: 415,
}


def unauthorized(*, missing: bool) -> Reply:
    """A missing token was seen to answer 403, one that is wrong or has ended 401; both are documented."""
    return Reply(403, _xml_error("no token"), _XML) if missing else Reply(401, _xml_error("token not valid"), _XML)


def refused(broken: Sequence[RuleViolation]) -> Reply:
    """The answer to a request that breaks rules: each with what showed it. The true endpoint's text is not known."""
    status = next((_STATUS_OF_RULE[each.rule] for each in broken if each.rule in _STATUS_OF_RULE), 400)
    return Reply(status, _xml_error("; ".join(f"{each.rule}: {each.detail}" for each in broken)), _XML)


def unknown_visitor(said: UnknownVisitor, client_code: str, visitor: Visitor, body: BodyForm) -> Reply:
    """The answer to an update that finds no profile; the true one is not known."""
    if said is UnknownVisitor.FALSE:
        return _FALSE[body]
    return no_profile(client_code, visitor) if said is UnknownVisitor.NOT_FOUND else SUCCESS[body]


def no_profile(client_code: str, visitor: Visitor) -> Reply:
    """A profile that does not exist, or expired, in the documented words of the profile fetch."""
    kind = {"mbox3rdPartyId": "third party id", "mboxPC": "mboxPC"}.get(visitor.kind, visitor.kind)
    words = {"status": 404, "message": f"No profile found for client {client_code} with {kind}={visitor.id}"}
    return Reply(HTTPStatus.NOT_FOUND, json.dumps(words).encode(), _JSON)


def reply_of_fault(fault: Fault, body: BodyForm) -> Reply:
    """The answer of a fault that answers at all."""
    status = fault.status
    fixed = {
        Kind.FALSE: _FALSE[body],
        Kind.EMPTY: Reply(HTTPStatus.OK, applies=True),
        Kind.REDIRECT: Reply(status, b"", {"Location": fault.location}),
        Kind.UNAUTHORIZED_AFTER: unauthorized(missing=False),
    }
    if fault.kind in fixed:
        return fixed[fault.kind]
    success = fault.status < HTTPStatus.MULTIPLE_CHOICES
    text = b"" if success or status in _BODILESS else _TEXT_OF_STATUS.get(status, _FAULT).encode()
    page = f"<!DOCTYPE html><html><body><h1>{status} sandbox fault</h1></body></html>"
    content, kind_headers = {
        Kind.XML: (_xml_error(_FAULT), _XML),
        Kind.JSON: (f'{{"status": {status}, "message": "{_FAULT}"}}'.encode(), _JSON),
        Kind.HTML: (page.encode(), _HTML),
    }.get(fault.kind, (text, _TEXT))
    retry_after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    applies = success and fault.kind is Kind.STATUS
    return Reply(status, content, kind_headers | retry_after, applies=applies)


def _xml_error(message: str) -> bytes:
    safe = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<sandboxResponseErrorBody><message>{safe}</message></sandboxResponseErrorBody>".encode(errors="replace")
