"""What `as` does to a value. A conversion that cannot be made raises `Unsuitable`, whose text says what it needs."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from connector.mapping.model import Conversion, Form
from connector.mapping.walk import MAX_SEARCHED, plain_text

MAX_DECIMAL_BYTES = 128
"""Bytes of an unscaled decimal: some 300 digits."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - in UTC; the zone is written as Z.
_YEARS = "must lie in the years 1 to 9999 to be read as {}"
_seconds = re.compile(r"(-?[0-9]{1,15})(?:\.([0-9]{1,9})[0-9]*)?")
_whole = re.compile(r"-?[0-9]{1,22}")
_DIGITS = {Form.EPOCH_S: 0, Form.EPOCH_MS: 3, Form.EPOCH_US: 6, Form.EPOCH_NS: 9}

Convert: TypeAlias = Callable[[Any], str]


class Unsuitable(Exception):
    """Words that follow the path: what the conversion needs."""


def converter(conversion: Conversion) -> Convert:
    """Return the function from what stands at the path, which is not null, to text."""
    form = conversion.form
    if form in _DIGITS:
        return lambda node: _moment(node, _DIGITS[form], form)
    if form is Form.EPOCH_DAYS:
        return _day
    if form is Form.DECIMAL:
        return lambda node: _decimal(node, conversion.scale)
    if form is Form.JOIN:
        return lambda node: _join(node, conversion.separator)
    if form in (Form.HEX, Form.BASE64):
        return lambda node: _bytes(node, form)
    return lambda node: _text(node, form).lower() if form is Form.LOWER else _text(node, form).upper()


def text_of(node: Any) -> str:
    """Return the text that is sent for a value as it stands."""
    text = plain_text(node)
    if text is not None:
        return text
    raise Unsuitable(_no_text(node))


def _no_text(node: Any) -> str:
    if isinstance(node, dict):
        return "must not be an object: name one of its fields, or use copy"
    if isinstance(node, list):
        return "must not be an array: name one of its items, or use as: join"
    if isinstance(node, bytes):
        return "must not be bytes: use as: base64 or as: hex"
    return "must be a finite number"


def _text(node: Any, form: Form) -> str:
    text = plain_text(node)
    if text is None:
        msg = f"must be a text to be read as {form}"
        raise Unsuitable(msg)
    return text


def _moment(node: Any, digits: int, form: Form) -> str:
    """Return RFC 3339 in UTC with as many digits of a second as the unit has; seconds may have a fraction."""
    text = _number(node)
    if digits and _whole.fullmatch(text):
        seconds, rest = divmod(int(text), 10**digits)
        fraction = f".{rest:0{digits}d}"
    elif not digits and (found := _seconds.fullmatch(text)):
        nanoseconds = int((found[2] or "").ljust(9, "0"))
        seconds, rest = divmod(int(found[1]) * 10**9 + (-nanoseconds if text[0] == "-" else nanoseconds), 10**9)
        fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    else:
        msg = f"must be a {'whole ' if digits else ''}number to be read as {form}"
        raise Unsuitable(msg)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise Unsuitable(_YEARS.format(form)) from None
    return f"{moment.isoformat()}{fraction}Z"


def _day(node: Any) -> str:
    text = _number(node)
    if not _whole.fullmatch(text):
        msg = f"must be a whole number to be read as {Form.EPOCH_DAYS}"
        raise Unsuitable(msg)
    try:
        return (_EPOCH + timedelta(days=int(text))).date().isoformat()
    except OverflowError:
        raise Unsuitable(_YEARS.format(Form.EPOCH_DAYS)) from None


def _number(node: Any) -> str:
    """Return the text of what may be a number; fractions come as text."""
    return "" if isinstance(node, bool) else plain_text(node) or ""


def _decimal(node: Any, scale: int) -> str:
    """Return the number that Connect writes as the bytes of an unscaled integer, in JSON as Base64."""
    try:
        raw = base64.b64decode(node, validate=True) if isinstance(node, str) else node
    except (binascii.Error, ValueError):
        raw = None
    if not isinstance(raw, bytes) or not 0 < len(raw) <= MAX_DECIMAL_BYTES:
        msg = f"must be 1 to {MAX_DECIMAL_BYTES} bytes, or their Base64, to be read as decimal"
        raise Unsuitable(msg)
    unscaled = int.from_bytes(raw, signed=True)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if unscaled < 0 else text


def _join(node: Any, separator: str) -> str:
    """Return the texts of a list's items, nulls left out."""
    if not isinstance(node, list):
        msg = "must be an array to be joined"
        raise Unsuitable(msg)
    if len(node) > MAX_SEARCHED:
        msg = f"must have at most {MAX_SEARCHED:,} items to be joined"
        raise Unsuitable(msg)
    texts = [plain_text(item) for item in node if item is not None]
    if None in texts:
        msg = "must have texts, numbers and booleans only, to be joined"
        raise Unsuitable(msg)
    return separator.join(text for text in texts if text is not None)


def _bytes(node: Any, form: Form) -> str:
    if not isinstance(node, bytes):
        msg = f"must be bytes to be written as {form}"
        raise Unsuitable(msg)
    return node.hex() if form is Form.HEX else base64.b64encode(node).decode()
