"""Event version 1, plain JSON, because it is what any producer can write without a library of ours.

The published truth is `schemas/profile-change.v1.schema.json`; a property test holds this decoder to the same verdict.
This is the hottest path of the product, so it is one msgspec decode and one loop over the attributes; what is rare
(nested objects, nulls, numbers that msgspec cannot give back as they were written) leaves that loop for a slower one.
"""

import enum
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from connector.events.change import PC_ID, PRIORITIES, Change, Priority, Refused, Visitor, change_of

RULES = 3
"""Raised whenever an event may be refused, skipped or read otherwise than before: notes beside offsets depend on it."""
MAX_DEPTH = 16  # names on the way to a value; the schema unrolls as many levels
_MAX_PATH = 200  # characters of a refusal's field: it becomes a Kafka header, and a name may be megabytes long

_RECORD, _VISITOR, _PROFILE, _OCCURRED_AT = "(record)", "mbox3rdPartyId, pcId", "profile", "occurredAt"
_ID_RULE = "must be a string of 1 to 256 characters"
TIME_RULE = "must be an RFC 3339 date-time with a time zone, such as 2026-11-22T10:15:00.123Z"
PRIORITY_RULE = f"must be one of {', '.join(PRIORITIES)}"
_RULES = {
    "eventId": _ID_RULE,
    "mbox3rdPartyId": _ID_RULE,
    "pcId": _ID_RULE,
    _OCCURRED_AT: TIME_RULE,
    "priority": PRIORITY_RULE,
    _PROFILE: "must be an object with at least one attribute",
}

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Nulls(enum.StrEnum):
    """What a null attribute means (`EVENT_NULLS`), since the API has no delete and it is unknown if it takes empty."""

    DROP = "drop"
    """The attribute is left out, as if the event did not name it."""

    EMPTY = "empty"
    """The attribute is sent with an empty value."""

    REJECT = "reject"
    """The event is refused."""


class _Envelope(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The fields beside `profile`; null is the same as absent, and unknown fields are skipped by msgspec."""

    event_id: _Id | None = None
    occurred_at: str | None = None
    mbox3rd_party_id: _Id | None = None
    pc_id: _Id | None = None
    priority: Literal["high", "normal", "low"] | None = None


class _Event(_Envelope, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The whole event as the fast path reads it."""

    profile: Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class _RawEvent(_Envelope, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The event with its profile unread, for the numbers that the fast path cannot keep."""

    profile: msgspec.Raw


# float_hook gets a float's text as it stands: `10.50`, `1E3` and `1e400` stay what they are.
_decode = msgspec.json.Decoder(_Event, float_hook=str).decode
_decode_raw = msgspec.json.Decoder(_RawEvent).decode

# msgspec reads an integer's `-0` as 0, and calls integers of more than 4,300 digits out of range. The search may hit
# inside a string too; that costs time and nothing else.
_minus_zero = re.compile(rb"-0[\s,}]").search
_TOO_MANY_DIGITS = "Integer value out of range"

# RFC 3339, section 5.6, less the leap second, which no clock of Python can hold. The schema has the same pattern.
SECOND = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
FRACTION_AND_ZONE = r"(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"


class JsonDecoder:
    """Reads the value of a record as event version 1. Holds no state but the rule for nulls, so one serves all."""

    def __init__(self, nulls: Nulls = Nulls.DROP) -> None:
        """`nulls` decides what a null attribute becomes."""
        self._nulls = nulls

    def __call__(self, value: bytes) -> Change:
        """Return the change that the record asks for; raise `Refused`, and nothing else, when it breaks a rule.

        With `Nulls.DROP` an event of nulls alone gives a change without attributes: there is nothing to send.
        """
        try:
            if not value.isascii():
                value.decode()  # msgspec checks the strings that it keeps, not those that it skips
            event = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if str(error).startswith(_TOO_MANY_DIGITS):
                return self._decode_exactly(value)
            raise _refusal(error) from error

        attributes = event.profile
        for name, item in attributes.items():
            kind = type(item)
            if kind is str:
                continue
            if kind is int and (item or not _minus_zero(value)):
                attributes[name] = str(item)
            elif kind is bool:
                attributes[name] = "true" if item else "false"
            elif _minus_zero(value):
                return self._decode_exactly(value)
            else:
                return _change(event, self._flatten(attributes))
        if "" in attributes:
            raise _empty_name()
        return _change(event, attributes)

    def _decode_exactly(self, value: bytes) -> Change:
        """Decode with the standard library's parser, which hands out every number as it was written."""
        try:
            event = _decode_raw(value)
            profile = json.loads(bytes(event.profile), parse_int=str, parse_float=str)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _refusal(error) from error
        if type(profile) is not dict or not profile:
            raise Refused(_PROFILE, _RULES[_PROFILE])
        return _change(event, self._flatten(profile))

    def _flatten(self, tree: dict[str, Any]) -> dict[str, str]:
        """Return all values of the tree under dotted names; where two names meet, the later in the document wins."""
        attributes: dict[str, str] = {}
        self._flatten_into(attributes, tree, "", 1)
        return attributes

    def _flatten_into(self, attributes: dict[str, str], tree: dict[str, Any], prefix: str, depth: int) -> None:
        for name, item in tree.items():
            if not name:
                raise _empty_name(prefix)
            path = prefix + name
            kind = type(item)
            if kind is str:
                attributes[path] = item
            elif kind is dict:
                if depth == MAX_DEPTH:
                    raise _refused_attribute(path, f"must not be an object: {MAX_DEPTH} levels of names are allowed")
                if not item:
                    raise _refused_attribute(path, "must have at least one attribute, being an object")
                self._flatten_into(attributes, item, f"{path}.", depth + 1)
            elif item is not None:
                attributes[path] = _text(path, item)
            elif self._nulls is Nulls.EMPTY:
                attributes[path] = ""
            elif self._nulls is Nulls.REJECT:
                raise _refused_attribute(path, "must not be null")


def encode_event(
    visitor: Visitor,
    attributes: Mapping[str, str],
    occurred: str | None = None,
    priority: Priority = Priority.NORMAL,
) -> bytes:
    """Return a valid event of these attributes, for dead letters; decoding it gives what was put in.

    `attributes` is not empty. Dotted names stay flat names with dots, which decode to themselves.
    """
    told = {} if occurred is None else {"occurredAt": occurred}
    if priority is not Priority.NORMAL:
        told["priority"] = priority.word
    return msgspec.json.encode({**told, visitor.kind: visitor.id, "profile": dict(attributes)})


def _change(event: _Envelope, attributes: dict[str, str]) -> Change:
    """Join the attributes with whom and when the envelope names."""
    third_party_id, pc_id = event.mbox3rd_party_id, event.pc_id
    if third_party_id is not None and pc_id is None:
        visitor = Visitor("mbox3rdPartyId", third_party_id)
    elif pc_id is None or third_party_id is not None:
        wrong = "missing" if pc_id is None else "given"
        raise Refused(_VISITOR, f"must not both be {wrong}: exactly one of the two is needed")
    text = event.occurred_at
    if text is not None and not (text[:19] in known_seconds and text[19:] in known_fractions):
        _check_time(text)
    priority = Priority.NORMAL if event.priority is None else PRIORITIES[event.priority]
    if pc_id is not None:
        return change_of(PC_ID, pc_id, attributes, text, priority)
    return Change(visitor, attributes, text, "", priority)


# Events of the same hour share their seconds, and there are a thousand milliseconds: two look-ups instead of a pattern,
# which the hottest paths make without a call.
known_seconds: dict[str, None] = {}
known_fractions: dict[str, None] = {}
_MOST_KNOWN = 4_096


def is_time(text: str) -> bool:
    """Whether a text is RFC 3339 with a time zone, for events of other formats."""
    if text[:19] in known_seconds and text[19:] in known_fractions:
        return True
    try:
        _check_time(text)
    except Refused:
        return False
    return True


def _check_time(text: str) -> None:
    """Refuse what is no RFC 3339; remember the two halves of what is."""
    second, rest = text[:19], text[19:]
    if not (_is_second(second) and re.fullmatch(FRACTION_AND_ZONE, rest)):
        raise Refused(_OCCURRED_AT, _RULES[_OCCURRED_AT])
    for known, part in ((known_seconds, second), (known_fractions, rest)):
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[part] = None


def _is_second(text: str) -> bool:
    try:
        return re.fullmatch(SECOND, text) is not None and datetime.fromisoformat(text) is not None
    except ValueError:  # a day that its month does not have
        return False


def _text(path: str, item: object) -> str:
    """Return what is sent for a boolean or an integer; `path` names the array that is refused."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int):
        return str(item)
    raise _refused_attribute(path, "must be a string, number, boolean, null or object, not an array")


def _empty_name(prefix: str = "") -> Refused:
    return _refused_attribute(prefix.removesuffix("."), "must not have an empty attribute name")


def _refused_attribute(path: str, reason: str) -> Refused:
    field = f"{_PROFILE}.{path}" if path else _PROFILE
    return Refused(field if len(field) <= _MAX_PATH else f"{field[: _MAX_PATH - 1]}…", reason)


def _refusal(error: Exception) -> Refused:
    """Say in words of ours what msgspec or Python found: their messages may change, and name no rule."""
    message = str(error)
    if isinstance(error, UnicodeDecodeError):
        return Refused(_RECORD, f"must be UTF-8, and is not at byte {error.start}")
    if isinstance(error, RecursionError):
        return Refused(_RECORD, f"must not nest so deep: {MAX_DEPTH} levels of names are allowed")
    if not isinstance(error, msgspec.ValidationError):
        position = re.search(r"\(byte (\d+)\)", message)
        where = f"byte {position[1]}" if position else "its end: cut off, or half a surrogate pair"
        return Refused(_RECORD, f"must be valid JSON, and the parser stops at {where}")
    path = re.search(r" - at `\$\.(\w+)", message)
    if path:
        return Refused(path[1], _RULES[path[1]])
    if "missing required field" in message:
        return Refused(_PROFILE, _RULES[_PROFILE])
    return Refused(_RECORD, "must be a JSON object")
