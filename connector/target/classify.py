"""What an HTTP answer means for an update: pure, so that no retry rule hides in the sending; statuses.py is its table.

No reason quotes a body: an endpoint's message may repeat the visitor's id, and reasons go to logs and to dead letters.
It names the status, what kind of body came, and what to look at. The sources of each row are in docs/target.md.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from connector.delivery.answer import Answer, Verdict
from connector.retry_after import parse_retry_after
from connector.target.statuses import NO_CHANGES, NO_PROFILE, NOT_FOUND, SUCCESS, Meaning, meaning

_ACCEPTED = Answer(Verdict.ACCEPTED)
# Adobe's page shows its sample with the tags lost; the element's text and the message run together.
_TEXT = re.compile(rb"true\s*Request\s+successfully\s+submitted\.?", re.IGNORECASE)
_FALSE_TEXT = re.compile(rb"false", re.IGNORECASE)
_ELEMENT = re.compile(rb"<(?:[\w.-]+:)?success(?:\s[^<>]*)?>\s*(true|false)\s*</", re.IGNORECASE)
_NO_PROFILE = re.compile(rb"no\s+profile\s+found", re.IGNORECASE)
"""What a profile fetch answers for an unknown visitor (Adobe: fetch profiles); of an update nothing is documented."""
_HTML = re.compile(rb"<(?:!doctype\s+html|html)", re.IGNORECASE)


class _Success(msgspec.Struct):
    success: bool | str | None = None


class _Json(msgspec.Struct):
    success: bool | str | None = None
    response: _Success | None = None


def classify(
    status: int, body: bytes, retry_after: str | None, now_epoch: float, changes: Mapping[int, Meaning] = NO_CHANGES
) -> Answer:
    """Give one answer for a status, what was read of its body, and the header Retry-After. Never raises.

    `now_epoch` is in seconds since the epoch and is needed only for a Retry-After that is a date. `changes` are rows
    of the account's own: for their statuses the body says nothing.
    """
    changed = changes.get(status)
    if changed is None and status in SUCCESS:
        return (_remembered if len(body) <= _SHORT else _classify_success)(status, body)
    if changed is None and status == NOT_FOUND and _NO_PROFILE.search(body):
        return Answer(Verdict.UNKNOWN_VISITOR, f"HTTP {status}: {NO_PROFILE}")
    row = changed or meaning(status)
    said = f" with {_kind(body)}" if row.verdict in _WHOSE_BODY_TELLS else ""
    wait = None if row.verdict in _UNTIMED else parse_retry_after(retry_after, now_epoch)
    return Answer(row.verdict, f"HTTP {status}{said}: {row.hint}", wait, own=row.own)


def unreadable(status: int, encoding: str) -> Answer:
    """Give the answer for a success whose body is in an encoding that nobody asked for, and cannot be read.

    `encoding` is the header Content-Encoding; of a text that is no plain word nothing is repeated.
    """
    named = f" ({encoding})" if _ENCODING.fullmatch(encoding) else ""
    reason = f"HTTP {status} with a body in an encoding that was not asked for{named} and cannot be read"
    return Answer(Verdict.UNCONFIRMED, f"{reason}; TARGET_UNCONFIRMED_SUCCESS decides")


def _classify_success(status: int, body: bytes) -> Answer:
    said = _said(body.removeprefix(b"\xef\xbb\xbf").strip())
    if said is True:
        return _ACCEPTED
    if said is False and _NO_PROFILE.search(body):
        return Answer(Verdict.UNKNOWN_VISITOR, f"HTTP {status}: {NO_PROFILE}")
    if said is False:
        return Answer(Verdict.REJECTED, f"HTTP {status}, and its body says that the update failed")
    reason = f"HTTP {status} with {_kind(body)} in no known form; TARGET_UNCONFIRMED_SUCCESS decides"
    return Answer(Verdict.UNCONFIRMED, reason)


_WHOSE_BODY_TELLS = frozenset({Verdict.REJECTED, Verdict.UNAVAILABLE})
_UNTIMED = frozenset({Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNAUTHORIZED, Verdict.UNKNOWN_VISITOR})
_ENCODING = re.compile(r"[A-Za-z0-9-]{1,20}")
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
