"""What an HTTP answer means for an update: one pure table, so that no retry rule hides in the sending.

No reason quotes a body: an endpoint's message may repeat the visitor's id, and reasons go to logs and to dead letters.
It names the status, what kind of body came, and what to look at. The sources of each row are in docs/target.md.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import msgspec

from connector.delivery.answer import Answer, Verdict

RETRY_AFTER_SECONDS = 86_400.0
"""Nothing longer is believed: a quota's window is a day."""

_ACCEPTED = Answer(Verdict.ACCEPTED)
# Adobe's page shows its sample with the tags lost; the element's text and the message run together.
_TEXT = re.compile(rb"true\s*Request\s+successfully\s+submitted\.?", re.IGNORECASE)
_FALSE_TEXT = re.compile(rb"false", re.IGNORECASE)
_ELEMENT = re.compile(rb"<(?:[\w.-]+:)?success(?:\s[^<>]*)?>\s*(true|false)\s*</", re.IGNORECASE)
_HTML = re.compile(rb"<(?:!doctype\s+html|html)", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")

# The classes of RFC 9110, section 15.
_SUCCESS, _REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = (range(first, first + 100) for first in (200, 300, 400, 500))
_GATEWAY = (502, 503, 504)
_PROXY_REFUSED = 407
_REJECTED_HINTS = {
    400: "look at the client code and the attributes",
    404: "look at TARGET_UPDATE_PATH and TARGET_CLIENT_CODE",
    405: "look at TARGET_METHOD and TARGET_UPDATE_PATH",
    413: "the request was too large for the endpoint",
    414: "the request was too large for the endpoint; TARGET_METHOD=post avoids long addresses",
}


class _Success(msgspec.Struct):
    success: bool | str | None = None


class _Json(msgspec.Struct):
    success: bool | str | None = None
    response: _Success | None = None


def classify(  # noqa: PLR0911 - a table, a row a return
    status: int, body: bytes, retry_after: str | None, now_epoch: float
) -> Answer:
    """Give one answer for a status, what was read of its body, and the header Retry-After. Never raises.

    `now_epoch` is in seconds since the epoch and is needed only for a Retry-After that is a date.
    """
    if status in _SUCCESS:
        return (_remembered if len(body) <= _SHORT else _classify_success)(status, body)
    if status in {401, 403}:
        reason = f"HTTP {status}: the token is missing, wrong or expired; look at TARGET_AUTH_TOKEN_FILE"
        return Answer(Verdict.UNAUTHORIZED, reason)
    if status == _PROXY_REFUSED:
        return Answer(Verdict.UNAUTHORIZED, "HTTP 407: the proxy wants a user and a password; look at HTTPS_PROXY")
    wait = parse_retry_after(retry_after, now_epoch)
    if status in {429, 503}:
        return Answer(Verdict.THROTTLED, f"HTTP {status}: the endpoint asks for fewer requests", wait)
    if status in _CLIENT_ERROR and status not in {408, 425}:
        hint = _REJECTED_HINTS.get(status, "it will not take this update")
        return Answer(Verdict.REJECTED, f"HTTP {status} with {_kind(body)}: {hint}")
    if status in _REDIRECT:
        reason = "a redirect, which is never followed; set TARGET_BASE_URL and TARGET_UPDATE_PATH to where the API is"
        return Answer(Verdict.UNAVAILABLE, f"HTTP {status}: {reason}", wait)
    own = status in _SERVER_ERROR and status not in _GATEWAY
    return Answer(Verdict.UNAVAILABLE, f"HTTP {status} with {_kind(body)}: the endpoint failed", wait, own=own)


def parse_retry_after(text: str | None, now_epoch: float) -> float | None:
    """Seconds to wait, by RFC 9110 section 10.2.3 (seconds or a date), at most a day; None when it says nothing usable.

    A date that has passed is 0. A negative number is no valid value, so it says nothing.
    """
    if text is None:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.fromtimestamp(now_epoch, UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS)


def _classify_success(status: int, body: bytes) -> Answer:
    said = _said(body.removeprefix(b"\xef\xbb\xbf").strip())
    if said is True:
        return _ACCEPTED
    if said is False:
        return Answer(Verdict.REJECTED, f"HTTP {status}, and its body says that the update failed")
    reason = f"HTTP {status} with {_kind(body)} in no known form; TARGET_UNCONFIRMED_SUCCESS decides"
    return Answer(Verdict.UNCONFIRMED, reason)


_SHORT = 512
# A success reads the same each time, as a rule.
_remembered = lru_cache(64)(_classify_success)


def _said(body: bytes) -> bool | None:
    """What the body says of success, or None when it says nothing, or both."""
    if _TEXT.fullmatch(body):
        return True
    if _FALSE_TEXT.match(body):
        return False
    if body.startswith(b"<"):
        said = {word.lower() for word in _ELEMENT.findall(body)}
        return said == {b"true"} if len(said) == 1 else None
    if body.startswith(b"{"):
        return _said_in_json(body)
    return None


def _said_in_json(body: bytes) -> bool | None:
    try:
        answer = msgspec.json.decode(body, type=_Json)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    success = answer.success if answer.response is None else answer.response.success
    if isinstance(success, str):
        return {"true": True, "false": False}.get(success.strip().lower())
    return success


def _kind(body: bytes) -> str:
    """What kind of body came, without a word of it."""
    start = body[:256].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return "an empty body"
    if _HTML.match(start):
        return "an HTML page (of a proxy or a gateway?)"
    return {b"<": "an XML body", b"{": "a JSON body", b"[": "a JSON body"}.get(start[:1], "a text body")
