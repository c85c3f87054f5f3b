"""Names the log that a commit speaks of: the part of a commit's metadata that holds under any decoding rules.

An offset alone does not say of which log it is. The topic id tells a topic that was deleted and made again. The leader
epoch of the last record that was taken tells records that were written after the tail of the log was cut: each leader
writes under an epoch above those before it, so they have a higher one.
"""

import re
from dataclasses import dataclass
from typing import Final

_FORM: Final = re.compile(r"log1:([A-Za-z0-9+/_-]{0,22}):([0-9]{0,10}):(c?);(.*)", re.ASCII | re.DOTALL)
MARK_CHARACTERS: Final = 48
"""A mark has at most as many."""


@dataclass(frozen=True, slots=True)
class OffsetMark:
    """What a commit says of its log, and of the member that made it."""

    topic_id: str = ""
    """In Kafka's base64 form; empty: not known."""
    epoch: int = -1
    """The leader epoch of the last record that was taken; -1: not known."""
    is_clean: bool = False
    """The member ended, and none of its requests was on the wire."""


NO_MARK: Final = OffsetMark()


def encode(mark: OffsetMark, rest: str) -> str:
    """The metadata of a commit: the mark, and behind it what else there is to say."""
    if mark == NO_MARK:
        return rest
    epoch = str(mark.epoch) if mark.epoch >= 0 else ""
    return f"log1:{mark.topic_id}:{epoch}:{'c' if mark.is_clean else ''};{rest}"


def decode(metadata: str) -> OffsetMark:
    """The mark of a commit's metadata; `NO_MARK` for metadata in another form."""
    found = _FORM.fullmatch(metadata)
    if found is None:
        return NO_MARK
    return OffsetMark(found[1], int(found[2]) if found[2] else -1, bool(found[3]))


def rest_of(metadata: str) -> str:
    """What stands behind the mark; all of it where there is no mark."""
    found = _FORM.fullmatch(metadata)
    return metadata if found is None else found[4]
