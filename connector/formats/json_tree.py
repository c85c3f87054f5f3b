"""Any JSON as a document, with every number as it was written."""

import json
import re
from typing import Final, NoReturn

import msgspec

from connector.events.change import Refused
from connector.formats.document import Node

# float_hook gets a float's text as it stands: `10.50`, `1E3` and `1e400` stay what they are.
_decode = msgspec.json.Decoder(float_hook=str).decode


class _WithSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Connect's pair; the schema, often ten times as long as the payload, stays unread."""

    schema: msgspec.Raw
    payload: object


_decode_pair = msgspec.json.Decoder(_WithSchema, float_hook=str).decode

# It may hit inside a string too; that costs time and nothing else.
_minus_zero = re.compile(rb"-0(?:[\s,}\]]|$)").search
_TOO_MANY_DIGITS: Final = "Integer value out of range"
_MOST_DIGITS: Final = 4_300
"""Digits of an integer that Python writes back."""
_PAIR: Final = frozenset({"schema", "payload"})


def read_json(root: str, data: bytes) -> Node:
    """Return the tree; `Refused` names `root` when it is not JSON.

    An integer whose text Python would not give back (`-0`, or more than 4,300 digits) is text.
    """
    try:
        tree: Node = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if str(error).startswith(_TOO_MANY_DIGITS):
            return _read_exactly(root, data)
        raise refusal(root, error) from None
    if _minus_zero(data):
        return _read_exactly(root, data)
    return tree


def read_connect_json(root: str, data: bytes) -> Node:
    """Return the payload of Connect's `{"schema":…,"payload":…}`, or the whole where there is no such pair."""
    if data.startswith(b'{"schema":') and not _minus_zero(data):
        try:
            pair = _decode_pair(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # Not the pair, or not JSON: the plain reader says which.
        else:
            if _is_schema(memoryview(pair.schema)[:1].tobytes()):
                payload: Node = pair.payload  # type: ignore[assignment]
                return payload
    return without_schema(read_json(root, data))


def without_schema(tree: Node) -> Node:
    """Take the payload out of Connect's pair; `{"payload": null}` is null."""
    if type(tree) is dict and "payload" in tree:
        if tree.keys() == _PAIR and (tree["schema"] is None or type(tree["schema"]) is dict):
            return tree["payload"]
        if tree["payload"] is None and len(tree) == 1:
            return None
    return tree


def refusal(root: str, error: Exception) -> Refused:
    """Say in words of ours what the parser found: its messages may change, and may quote the text."""
    if isinstance(error, RecursionError):
        return Refused(root, "must be JSON that nests less deep")
    if isinstance(error, UnicodeDecodeError):
        return Refused(root, f"must be UTF-8, and is not at byte {error.start}")
    position = re.search(r"\(byte (\d+)\)", str(error))
    where = f"byte {position[1]}" if position else "its end: cut off, or half a surrogate pair"
    return Refused(root, f"must be valid JSON, and the parser stops at {where}")


def _is_schema(first: bytes) -> bool:
    return first in (b"{", b"n")


def _read_exactly(root: str, data: bytes) -> Node:
    """Read with the standard library's parser, which hands out every integer as it was written."""
    try:
        tree: Node = json.loads(data.decode(), parse_int=_integer, parse_float=str, parse_constant=_no_constant)
        json.dumps(tree, ensure_ascii=False).encode()  # It takes half a surrogate pair.
    except (ValueError, RecursionError) as error:
        raise _refusal_of_standard(root, error) from None
    return tree


def _refusal_of_standard(root: str, error: Exception) -> Refused:
    if isinstance(error, json.JSONDecodeError):
        return Refused(root, f"must be valid JSON, and the parser stops at character {error.pos}")
    if isinstance(error, UnicodeEncodeError):
        return Refused(root, "must be valid JSON, and has half a surrogate pair")
    return refusal(root, error)


def _integer(text: str) -> int | str:
    return text if text == "-0" or len(text) > _MOST_DIGITS else int(text)


def _no_constant(_: str) -> NoReturn:
    msg = "not JSON"
    raise json.JSONDecodeError(msg, "", 0)
