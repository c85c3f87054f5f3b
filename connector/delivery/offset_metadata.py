"""Who is still owed below an offset: what a commit's metadata says, so that a restart repeats little.

A commit's offset stands where the oldest unsettled record is. One visitor that fails for an hour would hold it back by
an hour, and a crash then would send all of that hour again. So the metadata says how far everything is done, except
for the visitors that are named: each by a short fingerprint and the first offset that it is owed from.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

from connector.events.change import Visitor

MAX_CHARACTERS = 4_088
"""The broker's default limit (`offset.metadata.max.bytes`: 4,096) less the NUL that the Python client appends, and less
the serial number by which the consumer tells its commits apart."""
VERSION = "owed1:"
_CHECKSUM_BYTES = 4
_FINGERPRINT_BYTES = 4
_LONGEST_NUMBER = 10
_by_offset = itemgetter(1, 0)
_MORE = 128
"""The bit that says that more of a number follows."""


@dataclass(frozen=True, slots=True)
class OffsetMetadata:
    """From `offset` up to `until` everything is done, except what the visitors of these fingerprints are owed.

    `firsts` maps a fingerprint to the offset from which on its visitor is owed. `epoch` is the highest leader epoch of
    the records that were taken, -1 where it is not known: a record of a later one replaced what was cut off the log.
    """

    offset: int
    until: int
    firsts: Mapping[int, int]
    epoch: int = -1

    def is_done(self, offset: int, visitor: Visitor | None, epoch: int | None = None) -> bool:
        """Whether a record was settled before; `visitor` is None for one that could not be decoded.

        `epoch` is the record's leader epoch. Two visitors with one fingerprint only cost a repeat: both are taken as
        owed.
        """
        if not self.offset <= offset < self.until:
            return False
        if epoch is not None and epoch > self.epoch >= 0:
            return False
        first = self.firsts.get(fingerprint(visitor))
        return first is None or offset < first


def fingerprint(visitor: Visitor | None) -> int:
    """32 bits that are the same in every process and version; no secret, since the events stand beside them.

    Records that could not be decoded, and wait for their dead letters, are owed to nobody: 0 for all of them.
    """
    return 0 if visitor is None else zlib.crc32(f"{visitor.kind}\0{visitor.id}".encode())


def encode(offset: int, until: int, owed: Mapping[int, int], limit: int = MAX_CHARACTERS, rules: str = "") -> str:
    """The text for a commit at `offset`: all is done below `until` but what is `owed` (fingerprint to first offset).

    What does not fit into `limit` characters makes `until` lower, which is always true as well. Empty when there is
    nothing to say. `rules` names how records are decoded.
    """
    room = (limit - len(VERSION)) * 3 // 4 - _CHECKSUM_BYTES - _LONGEST_NUMBER
    body = bytearray()
    previous = offset
    for print_, first in sorted(owed.items(), key=_by_offset):
        entry = _number(first - previous) + print_.to_bytes(_FINGERPRINT_BYTES, "big")
        if len(body) + len(entry) > room:
            until = min(until, first)
            break
        body += entry
        previous = first
    if until <= offset or room < 0:
        return ""
    said = _number(until - offset) + bytes(body)
    return VERSION + urlsafe_b64encode(_checksum(offset, rules, said) + said).decode().rstrip("=")


def decode(offset: int, text: str, rules: str = "") -> OffsetMetadata | None:
    """Read what `encode` wrote for this very offset and these rules; None for anything else, which means nothing."""
    if not text.startswith(VERSION) or not text.isascii():
        return None
    packed = text.removeprefix(VERSION)
    try:
        raw = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
    except (binascii.Error, ValueError):
        return None
    checksum, said = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
    if checksum != _checksum(offset, rules, said):
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
    return OffsetMetadata(offset, offset + reach, firsts)


def carried(waiting: Mapping[int, int], earlier: OffsetMetadata, position: int) -> dict[int, int]:
    """What an earlier word still says beyond `position`, where reading stands: fingerprint to first offset.

    Below the position only what is `waiting` counts. Above it the earlier word holds, also for a visitor whose records
    below were settled meanwhile.
    """
    return {who: max(first, position) for who, first in earlier.firsts.items() if who not in waiting}


def _checksum(offset: int, rules: str, said: bytes) -> bytes:
    """Over the offset and the rules too: a record that is decoded otherwise now may never have been settled."""
    return zlib.crc32(said, zlib.crc32(f"{offset}{rules}".encode())).to_bytes(_CHECKSUM_BYTES, "big")


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
