"""What `connector verify` found, as a record in the ledger's topic: the one log that all replicas read to its end.

It is no record of the ledger: the fold passes over it, as over everything that is not a `Record`, in every version. It
holds counts alone, and nothing of any visitor.
"""

from typing import Annotated

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Word = Annotated[str, msgspec.Meta(max_length=64)]


class Verified(msgspec.Struct, frozen=True, tag="verified", tag_field="type"):
    """A sample of visitors was judged. `low` and `high` bound the share of all visitors that are harmed."""

    conclusion: _Word
    """`good`, `harmed` or `too_few`."""
    drawn: _Count
    judged: _Count
    harmed: _Count
    low: _Share
    high: _Share
    confidence: _Share
    verdicts: Annotated[dict[_Word, _Count], msgspec.Meta(max_length=32)]
    """Attributes by verdict."""
    name: _Word = ""
    """Unlike that of any other result, so that its author knows it when it comes back."""
    v: int = 1


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Verified)


def encode_verified(found: Verified) -> bytes:
    """One JSON object."""
    return _encoder.encode(found)


def verified_in(value: bytes | None) -> Verified | None:
    """The result that a record holds; None: it holds none."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
