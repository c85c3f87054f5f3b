"""The log's identity in a commit's metadata must survive encoding, whatever the topic's id."""

import pytest

from connector.delivery.offset_mark import MARK_CHARACTERS, OffsetMark, decode, encode, rest_of


@pytest.mark.parametrize(
    "topic_id",
    ["", "DnY1GeEBTVOOea33spCTeg", "my13B6uLRpy/uhTGpQHB8Q", "+y13B6uLRpyAuhTGpQHB8+"],
)
@pytest.mark.parametrize("rest", ["", "owed1:AbC-_", "what; else: there\nis"])
def test_a_mark_is_read_as_it_was_written(topic_id: str, rest: str) -> None:
    """The client gives ids in plain base64: half of them contain a slash or a plus sign."""
    for epoch in (0, 2**31 - 1):
        for is_clean in (False, True):
            mark = OffsetMark(topic_id, epoch, is_clean)
            said = encode(mark, rest)
            assert (decode(said), rest_of(said)) == (mark, rest)
            assert len(said) - len(rest) <= MARK_CHARACTERS
