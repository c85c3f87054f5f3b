"""What a commit's metadata says of its log must survive the way through it, whatever the topic's id is made of."""

import pytest

from connector.delivery.offset_mark import MARK_CHARACTERS, OffsetMark, decode, encode, rest_of


@pytest.mark.parametrize(
    "topic_id",
    ["", "DnY1GeEBTVOOea33spCTeg", "my13B6uLRpy/uhTGpQHB8Q", "+y13B6uLRpyAuhTGpQHB8+"],
)
@pytest.mark.parametrize("rest", ["", "owed1:AbC-_", "what; else: there\nis"])
def test_a_mark_is_read_as_it_was_written(topic_id: str, rest: str) -> None:
    """The client gives ids in plain base64: half of them hold a slash or a plus sign."""
    for epoch in (0, 2**31 - 1):
        for is_clean in (False, True):
            mark = OffsetMark(topic_id, epoch, is_clean)
            said = encode(mark, rest)
            assert (decode(said), rest_of(said)) == (mark, rest)
            assert len(said) - len(rest) <= MARK_CHARACTERS
