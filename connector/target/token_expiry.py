"""When a token ends, written beside it: a profile token is an opaque word and does not tell. Pure.

The note stands in a file of the token's name with `.expires` behind it (in a Secret, under such a key). It names the
token by a digest, so that the end of one is never taken for that of another: of one that a person put in its place.
"""

import hashlib
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

SUFFIX: Final = ".expires"


class _Note(msgspec.Struct):
    expires: datetime
    token_sha256: str


def expiry_path(token_file: Path) -> Path:
    """Where the note of this token file is."""
    return token_file.with_name(token_file.name + SUFFIX)


def write_expiry(token: str, ends: float) -> bytes:
    """The note; `ends` in seconds since the epoch."""
    note = _Note(datetime.fromtimestamp(math.floor(ends), UTC), _digest(token))
    return msgspec.json.encode(note) + b"\n"


def read_expiry(note: bytes, token: str) -> float | None:
    """The end of this token by the note; None: it is no note, or one of another token."""
    try:
        read = msgspec.json.decode(note, type=_Note)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if read.token_sha256 != _digest(token) or read.expires.tzinfo is None:
        return None
    return read.expires.timestamp()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
