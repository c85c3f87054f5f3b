"""What Adobe's profile fetch API is asked and what it answers: pure, so that no reading hides in the sending.

A profile is personal data: no reason and no repr here holds any of it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from connector.delivery.answer import Verdict
from connector.events.change import Visitor
from connector.retry_after import parse_retry_after
from connector.target.statuses import SUCCESS, meaning

PROFILES_PATH: Final = "/rest/v1/profiles"
_KINDS: Final[Mapping[str, str]] = {"mbox3rdPartyId": "thirdPartyId/", "pcId": ""}
_NOT_FOUND: Final = 404
_KNOWN: Final = frozenset({"client", "visitorId", "mboxPC", "thirdPartyId"})
"""Fields of a profile in today's and in the classic form; one without attributes may have nothing else."""


class ProfileAttribute(NamedTuple):
    """A value, and when it was last written in seconds since the epoch; None: the answer does not say."""

    value: str
    modified_at: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What Target holds of a visitor: what was sent, and what pages, scripts and other systems wrote."""

    attributes: Mapping[str, ProfileAttribute] = field(repr=False)
    modified_at: float | None = None


class FetchOutcome(enum.StrEnum):
    """What came of one fetch."""

    FOUND = "found"
    UNKNOWN = "unknown"
    """No profile: never made, or expired."""
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetch: its outcome, the profile if one was found, and else what to look at."""

    outcome: FetchOutcome
    profile: Profile | None = None
    reason: str = ""
    retry_after: float | None = None


def fetch_target(base_path: str, client_code: str, visitor: Visitor) -> str:
    """Path and query for one visitor, percent-encoded. `base_path` ends in PROFILES_PATH."""
    return f"{base_path}/{_KINDS[visitor.kind]}{quote(visitor.id, safe='')}?client={quote(client_code, safe='')}"


def read_answer(status: int, body: bytes, retry_after: str | None, now_epoch: float) -> Fetched:
    """Give the outcome for a status, its body and the header Retry-After. Never raises."""
    document = _document(body)
    if status == _NOT_FOUND:
        # A gateway's page has the same status, and says nothing about a profile.
        if "status" in document or "message" in document:
            return Fetched(FetchOutcome.UNKNOWN)
        return Fetched(FetchOutcome.FAILED, reason="HTTP 404 of something else; look at TARGET_BASE_URL")
    if status not in SUCCESS:
        row = meaning(status)
        outcome = {
            Verdict.UNAUTHORIZED: FetchOutcome.UNAUTHORIZED,
            Verdict.THROTTLED: FetchOutcome.THROTTLED,
        }.get(row.verdict, FetchOutcome.FAILED)
        wait = parse_retry_after(retry_after, now_epoch)
        return Fetched(outcome, reason=f"HTTP {status}: {row.hint}", retry_after=wait)
    listed = document.get("profileAttributes", {} if document.keys() & _KNOWN else None)
    if not isinstance(listed, dict):
        return Fetched(FetchOutcome.FAILED, reason=f"HTTP {status} without a profile; look at TARGET_BASE_URL")
    attributes = {name: _attribute(given) for name, given in listed.items()}
    return Fetched(FetchOutcome.FOUND, Profile(attributes, _time(document.get("modifiedAt"))))


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _attribute(given: object) -> ProfileAttribute:
    """Values are documented as text; anything else is kept as its JSON."""
    value, modified_at = (given.get("value"), given.get("modifiedAt")) if isinstance(given, dict) else (given, None)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return ProfileAttribute(text, _time(modified_at))


def _time(text: object) -> float | None:
    """Seconds since the epoch; None without an offset, as in the classic form: nobody says in which zone that is."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return None if found.tzinfo is None else found.timestamp()
    except (ValueError, OverflowError):
        return None
