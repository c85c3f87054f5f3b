"""The documented rules of the update endpoint, checked on raw bytes: no HTTP library can hide a client's mistake.

Source of each rule: Adobe's page on the single profile update API, in the words of docs/sandbox.md. Where that page is
silent the strict reading is taken: what a strict judge accepts, a lenient endpoint accepts too.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

MAX_TARGET_BYTES: Final = 8_192
MAX_BODY_BYTES: Final = 61_440
MAX_ID_CHARACTERS: Final = 256
FORM: Final = "application/x-www-form-urlencoded"
PREFIX: Final = "profile."
VISITOR_KINDS: Final = ("mboxPC", "mbox3rdPartyId")

# The characters RFC 3986 allows in a query, less "=", "&" and "+", which have a meaning of their own in a form.
_ALLOWED: Final = re.compile(rb"[A-Za-z0-9\-._~!$'()*,;:@/?+%]*\Z")
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Rule(StrEnum):
    """Every rule that a request can break, by the name that the statistics show."""

    HTTP = "http"
    PATH = "path"
    CLIENT_CODE = "client_code"
    METHOD = "method"
    TARGET_SIZE = "target_size"
    BODY_SIZE = "body_size"
    CONTENT_TYPE = "content_type"
    MISPLACED = "misplaced_parameters"
    PARAMETER = "malformed_parameter"
    ESCAPE = "broken_escape"
    UTF8 = "invalid_utf8"
    DUPLICATE = "duplicate_parameter"
    VISITOR = "not_one_visitor"
    VISITOR_ID = "visitor_id_length"
    NAME = "unknown_parameter"
    NO_ATTRIBUTE = "no_attribute"


class PathForm(StrEnum):
    """What the path segment before `profile/update` may be: the documented literal, the client code, or both."""

    LITERAL = "client"
    CODE = "code"
    EITHER = "either"


class Visitor(NamedTuple):
    """Who an update is for: the parameter that named the visitor, and its decoded value."""

    kind: str
    id: str

    def __str__(self) -> str:
        """The key of the sandbox's own API: `mbox3rdPartyId:123`."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One request as it came: the target still encoded, the content type None if there was none."""

    method: str
    target: bytes
    content_type: str | None
    body: bytes


class Update(NamedTuple):
    """A request that broke no rule; attribute names come without `profile.`, `form` is what they were read from."""

    visitor: Visitor
    attributes: dict[str, str]
    form: bytes


class RuleViolation(NamedTuple):
    """One broken rule and what showed it, for a person to read."""

    rule: Rule
    detail: str


class _DecodeError(Exception):
    """A name or value that is no strictly encoded text."""

    def __init__(self, rule: Rule, piece: bytes) -> None:
        super().__init__(rule.value)
        self.broken = RuleViolation(rule, repr(piece[:80]))


def check(
    request: RawRequest, client_code: str, path_form: PathForm = PathForm.LITERAL
) -> Update | list[RuleViolation]:
    """Hold one request to the rules: the update it asks for, or each rule that it breaks, once. Never raises."""
    path, _, query = request.target.partition(b"?")
    broken = [*_check_path(path, client_code, path_form), *_check_envelope(request, query)]
    form = request.body if request.method == "POST" else query
    update = read_form(form)
    if isinstance(update, list):
        broken += update
    return broken or update


def read_form(form: bytes) -> Update | list[RuleViolation]:
    """Hold the parameters alone to the rules."""
    broken: list[RuleViolation] = []
    pairs: dict[str, str] = {}
    for piece in form.split(b"&") if form else ():
        try:
            name, value = _pair(piece)
        except _DecodeError as error:
            broken.append(error.broken)
            continue
        if name in pairs:
            broken.append(RuleViolation(Rule.DUPLICATE, repr(name[:80])))
        pairs[name] = value
    visitors = [Visitor(kind, pairs.pop(kind)) for kind in VISITOR_KINDS if kind in pairs]
    attributes = {name[len(PREFIX) :]: value for name, value in pairs.items() if name.startswith(PREFIX)}
    if len(visitors) != 1:
        broken.append(RuleViolation(Rule.VISITOR, f"{len(visitors)} of {' and '.join(VISITOR_KINDS)}"))
    broken += [
        RuleViolation(Rule.VISITOR_ID, f"{visitor.kind} has {len(visitor.id):,} characters")
        for visitor in visitors
        if not 0 < len(visitor.id) <= MAX_ID_CHARACTERS
    ]
    broken += [RuleViolation(Rule.NAME, repr(name[:80])) for name in pairs if not _names_attribute(name)]
    if not attributes:
        broken.append(RuleViolation(Rule.NO_ATTRIBUTE, "nothing to update"))
    if broken:
        return list({each.rule: each for each in reversed(broken)}.values())[::-1]
    return Update(visitors[0], attributes, form)


def decode_path_segment(raw: bytes) -> str | None:
    """A percent-encoded path segment as text (`+` is a plus here); None if it is not strictly encoded."""
    if not _ALLOWED.match(raw) or _BROKEN_ESCAPE.search(raw):
        return None
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None


def _check_path(path: bytes, client_code: str, path_form: PathForm) -> list[RuleViolation]:
    parts = path.split(b"/")
    if len(parts) != 5 or parts[:2] != [b"", b"m2"] or parts[3:] != [b"profile", b"update"]:  # noqa: PLR2004 - /m2/x/profile/update
        return [RuleViolation(Rule.PATH, repr(path[:80]))]
    allowed = {
        PathForm.LITERAL: ("client",),
        PathForm.CODE: (client_code,),
        PathForm.EITHER: ("client", client_code),
    }[path_form]
    if decode_path_segment(parts[2]) not in allowed:
        return [RuleViolation(Rule.CLIENT_CODE, f"{parts[2][:80]!r} is not {' or '.join(allowed)}")]
    return []


def _check_envelope(request: RawRequest, query: bytes) -> list[RuleViolation]:
    """Method, sizes, content type, and parameters in the one place where the method has them."""
    if request.method == "GET":
        broken = []
        if len(request.target) > MAX_TARGET_BYTES:
            broken.append(RuleViolation(Rule.TARGET_SIZE, f"{len(request.target):,} bytes of {MAX_TARGET_BYTES:,}"))
        if request.body:
            broken.append(RuleViolation(Rule.MISPLACED, "a GET with a body"))
        return broken
    if request.method == "POST":
        broken = []
        if len(request.body) > MAX_BODY_BYTES:
            broken.append(RuleViolation(Rule.BODY_SIZE, f"more than {MAX_BODY_BYTES:,} bytes"))
        if not _is_form(request.content_type):
            broken.append(RuleViolation(Rule.CONTENT_TYPE, repr((request.content_type or "")[:80])))
        if query:
            broken.append(RuleViolation(Rule.MISPLACED, "a POST with a query"))
        return broken
    return [RuleViolation(Rule.METHOD, request.method[:20])]


def _is_form(content_type: str | None) -> bool:
    media_type, _, parameter = (content_type or "").partition(";")
    return media_type.strip().lower() == FORM and parameter.strip().lower() in {"", "charset=utf-8"}


def _names_attribute(name: str) -> bool:
    return len(name) > len(PREFIX) and name.startswith(PREFIX)


def _pair(piece: bytes) -> tuple[str, str]:
    name, equals, value = piece.partition(b"=")
    if not name or not equals or b"=" in value:
        raise _DecodeError(Rule.PARAMETER, piece)
    return _decode(name), _decode(value)


def _decode(raw: bytes) -> str:
    if raw.isalnum():  # most values: half the time of the way below
        return raw.decode("ascii")
    if not _ALLOWED.match(raw):
        raise _DecodeError(Rule.ESCAPE, raw)
    plain = raw.replace(b"+", b" ")
    if b"%" not in plain:
        return plain.decode("ascii")
    if _BROKEN_ESCAPE.search(plain):
        raise _DecodeError(Rule.ESCAPE, raw)
    try:
        return unquote_to_bytes(plain).decode()
    except UnicodeDecodeError as error:
        raise _DecodeError(Rule.UTF8, raw) from error
