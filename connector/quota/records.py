"""What is written into the ledger. A record carries all that its fold needs, so that every reader folds it alike.

Were the limit or the window read from settings, two replicas in the middle of an upgrade would see two states.
"""

from typing import Annotated

import msgspec

from connector.errors import ConnectorError

VERSION = 1

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Name = Annotated[str, msgspec.Meta(max_length=256)]


class NewerLedger(ConnectorError):
    """A record of a later version of this connector: its fold is not known here, so nothing may be sent."""


class Reserve(msgspec.Struct, frozen=True, tag="reserve", tag_field="type"):
    """`holder` asks for `updates`; it gets what is free under `limit` when this is folded."""

    holder: _Name
    lease: _Count
    updates: _Count
    limit: _Count
    counted: _Seconds
    """From the append, for which the lease counts."""
    held: _Seconds
    """From the append, until which it may at most be spent: for people."""
    weight: _Count = 1
    """Partitions that the holder owns; 0 for who sends a few calls and is gone, and takes no share of the pace."""
    name: _Name = ""
    """Of the holder, for people."""
    window: _Seconds = 0.0
    """For which the limit holds, so that others see whether theirs is the same; 0: not told. The fold ignores it."""
    v: int = VERSION


class Return(msgspec.Struct, frozen=True, tag="return", tag_field="type"):
    """The holder will not spend `unused` of the lease, nor anything else of it."""

    holder: _Name
    lease: _Count
    unused: _Count
    counted: _Seconds | None = None
    """From the append, for which the rest still counts, when all its requests were answered before."""
    leaves: bool = False
    """The holder asks for nothing any more: its share of the pace is the others' at once."""
    v: int = VERSION


class Spend(msgspec.Struct, frozen=True, tag="spend", tag_field="type"):
    """Another sender made this number of calls on the account."""

    updates: _Count
    counted: _Seconds
    note: _Name = ""
    name: _Name = ""
    """Unlike that of any other booking, so that its author knows it when it comes back."""
    v: int = VERSION


Record = Reserve | Return | Spend

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class _Head(msgspec.Struct):
    """What a record of any version has; by less, a stray object of somebody else's would stop everyone."""

    v: int
    type: str


_head = msgspec.json.Decoder(_Head)


def encode(record: Record) -> bytes:
    """One JSON object."""
    return _encoder.encode(record)


def decode(value: bytes | None) -> Record | None:
    """Read a record; None for what is none of ours, which every reader passes over alike. Raises NewerLedger."""
    try:
        record = _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    version = record.v if record is not None else _version(value or b"")
    if version > VERSION:
        msg = f"the ledger holds records of version {version}, and this connector knows {VERSION}"
        raise NewerLedger(msg)
    return record


def _version(value: bytes) -> int:
    try:
        return _head.decode(value).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
