"""What a registry's answer means: pure, so that no rule hides in the asking. Sources: docs/registry.md."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from connector.formats.schema import SchemaKind
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.retry_after import parse_retry_after

MAX_REFERENCES: Final = 100
"""Of a schema and of all that it refers to, together."""
OK: Final = 200
_REFERENCE_BYTES: Final = MAX_REFERENCES * 2_000
_UNAUTHORISED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_PROXY_REFUSED: Final = 407
_LATER: Final = frozenset({408, 421, 425, 429})
_SERVER: Final = range(500, 600)
_REDIRECT: Final = range(300, 400)
_KNOWN_MISSING: Final = {40401: "subject", 40402: "version", 40403: "schema"}
"""Confluent's error codes for what a registry does not have; any other 404 is of something that is no registry."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What one schema refers to: its name in the text, and where the registry has it."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One schema as a registry gives it. `text` is what was registered: of Protobuf also a descriptor in base64."""

    text: str
    kind: SchemaKind
    references: tuple[Reference, ...] = ()
    number: int | None = field(default=None, compare=False)
    """The schema's own, where the answer says it: that to a subject's version does."""


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Schema(msgspec.Struct, rename="camel"):
    schema: str
    schema_type: str | None = None
    references: msgspec.Raw = msgspec.Raw(b"null")
    id: int | None = None


class _Error(msgspec.Struct):
    error_code: int


def read_schema(what: str, status: int, body: bytes, retry_after: str | None, now_epoch: float) -> Fetched | Failure:
    """What came of asking for a schema. Never raises; `what` names what was asked for, such as `schema 7`.

    `now_epoch` is in seconds since the epoch and is needed only for a Retry-After that is a date.
    """
    if status == OK:
        return _read(what, body)
    if status == _NOT_FOUND:
        return _missing(what, body)
    return refused(status, retry_after, now_epoch)


def refused(status: int, retry_after: str | None, now_epoch: float) -> Failure:
    """What a status other than 200 means where nothing is to be found or not found."""
    if status in _UNAUTHORISED:
        hint = "the login was refused" if status != 403 else "the login has no right to read this"  # noqa: PLR2004
        return Unauthorised(f"HTTP {status}: {hint}; look at SCHEMA_REGISTRY_USERNAME, _TOKEN_FILE or _OAUTH_CLIENT_ID")
    if status == _PROXY_REFUSED:
        return Unauthorised(f"HTTP {status}: the proxy wants a user and a password; look at HTTPS_PROXY")
    if status in _LATER or status in _SERVER:
        return Unreachable(f"HTTP {status}", parse_retry_after(retry_after, now_epoch))
    if status in _REDIRECT:
        return WrongUrl(f"HTTP {status}: a redirect, which is not followed; set SCHEMA_REGISTRY_URL to where it leads")
    return WrongUrl(f"HTTP {status}, which no Schema Registry answers here; look at SCHEMA_REGISTRY_URL")


def _missing(what: str, body: bytes) -> Failure:
    try:
        code = msgspec.json.decode(body, type=_Error).error_code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        code = 0
    if code in _KNOWN_MISSING:
        return NotFound(f"the registry has no such {_KNOWN_MISSING[code]} (error {code}) for {what}")
    return WrongUrl(
        f"HTTP 404 without a registry's error code for {what}; look at the path of SCHEMA_REGISTRY_URL"
        " (or this registry knows no GUIDs)"
    )


def _read(what: str, body: bytes) -> Fetched | Failure:
    try:
        answer = msgspec.json.decode(body, type=_Schema)
        # Objects of 10 MB of them would hold the event loop up.
        found = _references(answer.references) if len(answer.references) <= _REFERENCE_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return WrongUrl("HTTP 200 with a body that is not a Schema Registry's; look at SCHEMA_REGISTRY_URL")
    try:
        kind = SchemaKind((answer.schema_type or "AVRO").upper())
    except ValueError:
        return Unusable(f"{what} is of a type other than AVRO, PROTOBUF and JSON")
    if found is None or len(found) > MAX_REFERENCES:
        return Unusable(f"{what} refers to more than {MAX_REFERENCES} schemas")
    references = tuple(Reference(each.name, each.subject, each.version) for each in found)
    return Fetched(answer.schema, kind, references, answer.id)


def _references(raw: msgspec.Raw) -> list[_Reference]:
    return msgspec.json.decode(raw, type=list[_Reference] | None) or []
