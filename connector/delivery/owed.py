"""Who is still owed below an offset: what a commit's metadata says, so that a restart repeats little.

A commit's offset stands where the oldest unsettled record is. One visitor that fails for an hour would hold it back by
an hour, and a crash then would send all of that hour again. So the metadata says how far everything is done, except
for the visitors that are named: each by a short fingerprint and the first offset that it is owed from.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connector.events.change import Visitor

MAX_CHARACTERS = 4_095
"""The broker's default limit (`offset.metadata.max.bytes`) less the NUL that the Python client appends."""
VERSION = "owed1:"
_CHECKSUM_BYTES = 4
_FINGERPRINT_BYTES = 4
_LONGEST_NUMBER = 10
_MORE = 128
"""The bit that says that more of a number follows."""


@dataclass(frozen=True, slots=True)
class Owed:
    """From `offset` up to `until` everything is done, except what the visitors of these fingerprints are owed.

    `firsts` maps a fingerprint to the offset from which on its visitor is owed.
    """

    offset: int
    until: int
    firsts: Mapping[int, int]

    def is_done(self, offset: int, visitor: Visitor | None) -> bool:
        """Whether a record was settled before; `visitor` is None for one that could not be decoded.

        Two visitors with one fingerprint only cost a repeat: both are taken as owed.
        """
        if not self.offset <= offset < self.until:
            return False
        if visitor is None:
            return True
        first = self.firsts.get(fingerprint(visitor))
        return first is None or offset < first


def fingerprint(visitor: Visitor) -> int:
    """32 bits that are the same in every process and version; no secret, since the events stand beside them."""
    return zlib.crc32(f"{visitor.kind}\0{visitor.id}".encode())


def encode(offset: int, until: int, owed: Iterable[tuple[int, int]], limit: int = MAX_CHARACTERS) -> str:
    """The text for a commit at `offset`: all is done below `until` but what is `owed` (first offset, fingerprint).

    `owed` ascends by offset. What does not fit into `limit` characters makes `until` lower, which is always true as
    well. Empty when there is nothing to say.
    """
    room = (limit - len(VERSION)) * 3 // 4 - _CHECKSUM_BYTES - _LONGEST_NUMBER
    body = bytearray()
    previous = offset
    for first, print_ in owed:
        entry = _number(first - previous) + print_.to_bytes(_FINGERPRINT_BYTES, "big")
        if len(body) + len(entry) > room:
            until = min(until, first)
            break
        body += entry
        previous = first
    if until <= offset or not body:
        return ""
    said = _number(until - offset) + bytes(body)
    return VERSION + urlsafe_b64encode(_checksum(offset, said) + said).decode().rstrip("=")


def decode(offset: int, text: str) -> Owed | None:
    """Read what `encode` wrote for this very offset; None for anything else, which then means nothing."""
    if not text.startswith(VERSION) or not text.isascii():
        return None
    packed = text.removeprefix(VERSION)
    try:
        raw = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
    except (binascii.Error, ValueError):
        return None
    checksum, said = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if checksum != _checksum(offset, said):
        return None
    try:
        firsts: dict[int, int] = {}
        reach, at = _read_number(said, 0)
        first = offset
        while at < len(said):
            step, at = _read_number(said, at)
            first += step
            print_ = int.from_bytes(said[at : at + _FINGERPRINT_BYTES], "big")
            at += _FINGERPRINT_BYTES
            firsts.setdefault(print_, first)
    except IndexError:
        return None
    return Owed(offset, offset + reach, firsts)


def merged(ours: Iterable[tuple[int, int]], earlier: Owed, position: int) -> Iterator[tuple[int, int]]:
    """What is owed when an earlier word reaches beyond `position`, where reading stands: in order of offsets.

    Below the position only what is open counts. Above it the earlier word still holds, also for a visitor whose
    records below were settled meanwhile.
    """
    seen: set[int] = set()
    for first, print_ in ours:
        if print_ not in seen:
            seen.add(print_)
            yield first, print_
    later = [(max(first, position), print_) for print_, first in earlier.firsts.items() if print_ not in seen]
    yield from sorted(later)


def _checksum(offset: int, said: bytes) -> bytes:
    """Over the offset too: a word that was moved to another offset, by whatever tool, means nothing."""
    return zlib.crc32(said, zlib.crc32(str(offset).encode())).to_bytes(_CHECKSUM_BYTES, "big")


def _number(value: int) -> bytes:
    """Seven bits a byte, lowest first."""
    made = bytearray()
    while value >= _MORE:
        made.append(value % _MORE + _MORE)
        value //= _MORE
    made.append(value)
    return bytes(made)


def _read_number(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value += byte % _MORE << shift
        if byte < _MORE:
            return value, at
        shift += 7
