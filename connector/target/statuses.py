"""What each HTTP status means for an update, as data: docs/target.md has the same table, with its reasons.

The question of each row is whose fault it is. The update's own: it is rejected, a dead letter at once. Nobody's, or the
way's: it is tried again, and no update pays for it. Not known, as of a plain 500: it is tried again, and counts against
the update when it fails alone. Where a status is for all updates (a token, a path, a country), rejecting would empty
the topic into dead letters, so everything waits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from connector.delivery.answer import Verdict

SUCCESS: Final = range(200, 300)
NOT_FOUND: Final = 404
NO_PROFILE: Final = "Target knows no such visitor, yet or any more"
PROXY_REFUSED: Final = 407


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row: what follows, and what a person should look at. `own`: it may well be the update's own fault."""

    verdict: Verdict
    hint: str
    own: bool = False


_TOKEN = Meaning(Verdict.UNAUTHORIZED, "the token is missing, wrong or expired; look at TARGET_AUTH_TOKEN_FILE")
_SLOWER = Meaning(Verdict.THROTTLED, "the endpoint asks for fewer requests")
_FAILED = Meaning(Verdict.UNAVAILABLE, "the endpoint failed", own=True)
_GATEWAY = Meaning(Verdict.UNAVAILABLE, "a gateway or proxy on the way got no answer of the endpoint")
_ELSEWHERE = Meaning(
    Verdict.UNAVAILABLE,
    "a redirect, which is never followed; set TARGET_BASE_URL and TARGET_UPDATE_PATH to where the API is",
)
_NETWORK = Meaning(Verdict.UNAVAILABLE, "the network wants a login; look at the network and the proxy")
_REFUSED = Meaning(Verdict.REJECTED, "it will not take this update")
_UNKNOWN = Meaning(Verdict.UNAVAILABLE, "a status that HTTP does not know; look whether TARGET_BASE_URL is the API")
_LARGE = "the request was too large for the endpoint"

STATUSES: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        400: Meaning(Verdict.REJECTED, "look at the client code and the attributes"),
        401: _TOKEN,
        402: Meaning(Verdict.UNAVAILABLE, "the account is suspended or used up; ask who owns it"),
        403: _TOKEN,
        404: Meaning(Verdict.REJECTED, "look at TARGET_UPDATE_PATH and TARGET_CLIENT_CODE"),
        405: Meaning(Verdict.REJECTED, "look at TARGET_METHOD and TARGET_UPDATE_PATH"),
        PROXY_REFUSED: Meaning(Verdict.UNAUTHORIZED, "the proxy wants a user and a password; look at HTTPS_PROXY"),
        408: Meaning(Verdict.UNAVAILABLE, "the endpoint did not get the whole request in time"),
        409: Meaning(Verdict.UNAVAILABLE, "another change of the same profile was under way", own=True),
        413: Meaning(Verdict.REJECTED, _LARGE),
        414: Meaning(Verdict.REJECTED, f"{_LARGE}; TARGET_METHOD=post avoids long addresses"),
        420: _SLOWER,
        421: Meaning(Verdict.UNAVAILABLE, "this server is not the one for TARGET_BASE_URL"),
        423: Meaning(Verdict.UNAVAILABLE, "the profile is locked by another change", own=True),
        425: Meaning(Verdict.UNAVAILABLE, "the endpoint wants the request again"),
        429: _SLOWER,
        431: Meaning(Verdict.REJECTED, f"{_LARGE}; TARGET_METHOD=post avoids long addresses"),
        451: Meaning(Verdict.UNAVAILABLE, "refused for legal reasons; look where this machine is", own=True),
        499: Meaning(Verdict.UNAVAILABLE, "a gateway gave the request up before it was answered"),
        502: _GATEWAY,
        503: _SLOWER,
        504: _GATEWAY,
        509: _SLOWER,
        511: _NETWORK,
        **dict.fromkeys(range(520, 528), _GATEWAY),
        529: _SLOWER,
        530: _GATEWAY,
        598: _GATEWAY,
        599: _GATEWAY,
    }
)
"""Statuses that mean something of their own; a status that is not here means what its class does."""

_CLASSES: Final[Mapping[int, Meaning]] = MappingProxyType({3: _ELSEWHERE, 4: _REFUSED, 5: _FAILED})


NO_CHANGES: Final[Mapping[int, Meaning]] = MappingProxyType({})
_OWN_ROW: Final = "as TARGET_STATUS_VERDICTS says"
VERDICTS: Final = (
    Verdict.ACCEPTED,
    Verdict.REJECTED,
    Verdict.UNAUTHORIZED,
    Verdict.THROTTLED,
    Verdict.UNAVAILABLE,
    Verdict.UNKNOWN_VISITOR,
)
"""What a status can be made to mean."""


def changed(verdicts: Mapping[int, Verdict]) -> Mapping[int, Meaning]:
    """Give the rows of an account that answers otherwise than documented (TARGET_STATUS_VERDICTS)."""
    hints = {Verdict.UNKNOWN_VISITOR: f"{NO_PROFILE}, {_OWN_ROW}"}
    return {status: Meaning(verdict, hints.get(verdict, _OWN_ROW)) for status, verdict in verdicts.items()}


def rows(changes: Mapping[int, Meaning] = NO_CHANGES) -> Iterator[tuple[str, Meaning]]:
    """Give the whole table for a person: each status, then what all others of a class mean."""
    named = {**STATUSES, **changes}
    for status in sorted(named):
        yield str(status), named[status]
    yield "other 2xx", Meaning(Verdict.ACCEPTED, "where the body says so, or TARGET_UNCONFIRMED_SUCCESS does")
    for number, row in _CLASSES.items():
        yield f"other {number}xx", row
    yield "other", _UNKNOWN


def meaning(status: int) -> Meaning:
    """Give the row for a status that is no success."""
    return STATUSES.get(status) or _CLASSES.get(status // 100, _UNKNOWN)
