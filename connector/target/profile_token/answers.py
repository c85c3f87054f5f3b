"""What the answers of IMS and of Target's token service mean: pure, and of each refusal what to do about it.

IMS gives an access token for client credentials. With that the token service gives the profile token that there is
(GET), or makes another and ends that one (POST). No reason and no remedy holds a text of an answer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.exchange.logins import is_bearer, read_token
from connector.retry_after import parse_retry_after

OK: Final = 200
CREATED: Final = 201
_NO_CONTENT: Final = 204
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_PROXY_LOGIN: Final = 407
_THROTTLED: Final = 429
_LATER: Final = frozenset({408, 425, _THROTTLED})
_SERVER: Final = range(500, 600)
_REDIRECT: Final = range(300, 400)
_LONGEST_SECONDS: Final = 10 * 366 * 86_400.0
"""No longer life is believed: a number in another unit would hide an end."""

IMS: Final = "TARGET_TOKEN_IMS_URL"
SERVICE: Final = "TARGET_TOKEN_URL"
_NAMES: Final = {IMS: "IMS", SERVICE: "the token service"}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """IMS took the credentials."""

    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProfileToken:
    """A token that Target takes for profile calls; `ends` in seconds since the epoch, None where that is not known."""

    text: str = field(repr=False)
    ends: float | None


@dataclass(frozen=True, slots=True)
class NoToken:
    """The account has no profile token."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be had, and what to do.

    `passes`: asking again later may help. `uncertain`: the request may have taken effect. `retry_after`:
    the pause that was asked for, in seconds.
    """

    reason: str
    remedy: str
    passes: bool = False
    uncertain: bool = False
    retry_after: float | None = None


Outcome: TypeAlias = SignedIn | ProfileToken | NoToken | Problem


class _Refusal(msgspec.Struct):
    error: str


class _Profile(msgspec.Struct, rename="camel"):
    access_token: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_in: float | str | None = None


_CREDENTIALS: Final = (
    "look at TARGET_TOKEN_CLIENT_ID and TARGET_TOKEN_CLIENT_SECRET (or its file): those of an OAuth Server-to-Server "
    "credential in the Adobe Developer Console"
)
_SCOPE: Final = "set TARGET_TOKEN_SCOPE to the scopes that the console shows with the credential"
_OAUTH_ERRORS: Final[Mapping[str, str]] = {
    "invalid_client": _CREDENTIALS,
    "unauthorized_client": _CREDENTIALS,
    "invalid_grant": _CREDENTIALS,
    "access_denied": _CREDENTIALS,
    "invalid_scope": _SCOPE,
}
"""Those of RFC 6749 that a person here can put right."""
_ROLE: Final = (
    "TARGET_TENANT must be the name in this organisation's Experience Cloud address (not the client code), and the "
    "credential needs the Target API with a product profile that gives it the role Approver or above"
)
_ACCESS: Final = (
    "look whether the credential has the Adobe Target API, and whether TARGET_TOKEN_IMS_URL and TARGET_TOKEN_URL "
    "belong together"
)
_TENANT: Final = (
    "look at TARGET_TENANT, the name in the Experience Cloud address (not the client code), and at TARGET_TOKEN_URL"
)
_REFUSALS: Final[Mapping[tuple[str, int], tuple[str, str]]] = {
    (SERVICE, _UNAUTHORIZED): (": it does not take the access token of IMS", _ACCESS),
    (SERVICE, _FORBIDDEN): (": the credential may not have this organisation's token", _ROLE),
    (SERVICE, _NOT_FOUND): ("", _TENANT),
    **{
        (setting, _PROXY_LOGIN): ("", "the proxy wants a user and a password, in HTTPS_PROXY")
        for setting in (IMS, SERVICE)
    },
}
"""What is added to the status, and the remedy."""
_TROUBLES: Final[Mapping[Trouble, tuple[str, str, bool]]] = {
    Trouble.TIMEOUT: (
        "gave no whole answer within TARGET_TIMEOUT_SECONDS",
        "look at the network, and at the proxy if there is one (HTTPS_PROXY)",
        True,
    ),
    Trouble.PROXY_UNREACHABLE: ("cannot be reached: the proxy does not answer", "look at HTTPS_PROXY", True),
    Trouble.PROXY_REFUSED: (
        "cannot be reached: the proxy refused the connection",
        "look at the user and the password in HTTPS_PROXY, and whether the proxy lets this host pass",
        True,
    ),
    Trouble.UNKNOWN_HOST: ("cannot be reached: its host name is not known", "look at {setting} and at DNS", True),
    Trouble.UNTRUSTED: (
        "has a certificate that is not trusted",
        "SSL_CERT_FILE must name the authority that vouches for it, such as that of an inspecting proxy",
        False,
    ),
    Trouble.NO_CONNECTION: (
        "cannot be reached: the connection was refused or its TLS failed",
        "look at {setting}, the network and the proxy (HTTPS_PROXY)",
        True,
    ),
    Trouble.NO_FILES: ("cannot be asked: this process may open no more files", "raise its limit (ulimit -n)", False),
    Trouble.NO_HTTP: ("gave an answer that is no valid HTTP", "look at {setting}", False),
    Trouble.TOO_LARGE: ("gave an answer that is too large", "look at {setting}", False),
    Trouble.BROKE_OFF: (
        "broke the connection off before the whole answer",
        "look at the network, and at the proxy if there is one (HTTPS_PROXY)",
        True,
    ),
}
"""Reason, remedy, and whether it passes."""


def read_sign_in(given: Answered | Unanswered, now: float) -> SignedIn | Problem:
    """What IMS said to the credentials; `now` in seconds since the epoch."""
    if isinstance(given, Unanswered):
        return _unanswered(given, IMS)
    if given.status == OK:
        token = read_token(given.body)
        return SignedIn(token[0]) if token is not None else _odd(given.status, IMS)
    if given.status in {_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN}:
        code = _oauth_error(given.body)
        reason = f"IMS refused the credentials: HTTP {given.status}" + (f", {code}" if code else "")
        return Problem(reason, _OAUTH_ERRORS.get(code, f"{_CREDENTIALS}; then {_SCOPE}"))
    return _refused(given, IMS, now)


def read_existing(given: Answered | Unanswered, now: float) -> ProfileToken | NoToken | Problem:
    """What the token service said of the token that there is. Only a plain "none" is NoToken, since a POST follows."""
    if isinstance(given, Unanswered):
        return _unanswered(given, SERVICE)
    if given.status in {_NOT_FOUND, _NO_CONTENT} or (given.status == OK and not given.body.strip()):
        return NoToken()
    if given.status != OK:
        return _refused(given, SERVICE, now)
    return _profile(given.body, now) or _odd(given.status, SERVICE)


def read_issued(given: Answered | Unanswered, now: float) -> ProfileToken | Problem:
    """What the token service said to the wish for a new token."""
    if isinstance(given, Unanswered):
        return _unanswered(given, SERVICE)
    if given.status not in {OK, CREATED}:
        return _refused(given, SERVICE, now)
    token = _profile(given.body, now)
    return token if isinstance(token, ProfileToken) else _odd(given.status, SERVICE)


def _profile(body: bytes, now: float) -> ProfileToken | NoToken | None:
    """The token in it, or that there is none; None: the answer is of another kind."""
    try:
        answer = msgspec.json.decode(body, type=_Profile)
        life = None if answer.expires_in is None else float(answer.expires_in)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    text = answer.access_token
    if text is msgspec.UNSET:
        return NoToken() if b"".join(body.split()) == b"{}" else None
    if not text:
        return NoToken()
    if not is_bearer(text):
        return None
    if life is not None and not (math.isfinite(life) and life <= _LONGEST_SECONDS):
        life = None
    return ProfileToken(text, None if life is None else now + max(0.0, life))


def _oauth_error(body: bytes) -> str:
    """The error's code, if it is one of the list: no other text of an answer is repeated."""
    try:
        code = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return code if code in _OAUTH_ERRORS else ""


def _unanswered(given: Unanswered, setting: str) -> Problem:
    reason, remedy, passes = _TROUBLES[given.trouble]
    return Problem(
        f"{_NAMES[setting]} {reason}", remedy.format(setting=setting), passes=passes, uncertain=given.may_have_happened
    )


def _odd(status: int, setting: str) -> Problem:
    reason = f"{_NAMES[setting]} answered HTTP {status} without a token in its known form"
    return Problem(reason, f"look whether {setting} is right, and whether a proxy answers in its place", uncertain=True)


def _refused(given: Answered, setting: str, now: float) -> Problem:
    """A status that gives nothing."""
    status, name = given.status, _NAMES[setting]
    said = f"{name} answered HTTP {status}"
    if status in _LATER or status in _SERVER:
        after = parse_retry_after(given.retry_after, now)
        remedy = (
            "ask again in a minute: Target takes 50 calls a minute of its Admin API, bulk and reporting included"
            if status == _THROTTLED
            else "ask again later; if it stays so, look at Adobe's status page"
        )
        return Problem(said, remedy, passes=True, uncertain=status != _THROTTLED, retry_after=after)
    if status in _REDIRECT:
        return Problem(f"{said}, a redirect, which is not followed", f"set {setting} to where it leads")
    more, remedy = _REFUSALS.get((setting, status), (", which is not known of it", f"look at {setting}"))
    return Problem(f"{said}{more}", remedy)
