"""A commit's metadata: it must survive the round trip through Kafka, and be ignored when it is not ours."""

import pytest

from connector.delivery.offset_metadata import MAX_CHARACTERS, OffsetMetadata, decode, encode, fingerprint
from connector.delivery.offset_tracker import (
    MOST_OWED,
    OffsetAndMetadata,
    OffsetTracker,
    Start,
    TopicPartition,
    owed_in,
)
from connector.events.change import Visitor

NAME = TopicPartition("t", 0)


def _visitor(number: int) -> Visitor:
    return Visitor("mbox3rdPartyId", f"v{number}")


def _word(offset: int, until: int, *owed: tuple[int, int]) -> str:
    return encode(offset, until, {who: first for first, who in owed})


def test_it_is_read_as_written() -> None:
    """A restart reads what the last owner knew; one offset more would lose an event."""
    word = _word(1_000, 90_000, (1_000, 7), (1_000, 2**32 - 1), (70_000, 0))
    assert decode(1_000, word) == OffsetMetadata(1_000, 90_000, {7: 1_000, 2**32 - 1: 1_000, 0: 70_000})


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """Python's own hash differs from process to process: a restart would skip at random."""
    assert fingerprint(Visitor("pcId", "a")) == 0xF705847A
    assert fingerprint(Visitor("mbox3rdPartyId", "a")) != fingerprint(Visitor("pcId", "a"))


def test_without_owed_visitors_it_is_empty() -> None:
    """A commit without metadata clears the old one, as intended."""
    assert _word(5, 5) == ""
    assert _word(5, 5, (5, 1)) == ""
    assert decode(5, "") is None


@pytest.mark.parametrize(
    "word",
    [
        "something of another tool",
        "owed2:AAAA",
        "owed1:",
        "owed1:é",
        "owed1:!!!!",
        "owed1:A",
        "owed1:AAAAAAAAAA",
        _word(5, 9, (5, 1))[:-1],
        _word(5, 9, (5, 1)) + "A",
        _word(5, 9, (5, 1)).replace("owed1:", "owed1: "),
        _word(6, 9, (6, 1)),
    ],
)
def test_foreign_or_damaged_metadata_is_ignored(word: str) -> None:
    """Metadata of another version, truncated, or moved to another offset must not skip records; repeating is safe."""
    assert decode(5, word) is None


def test_metadata_of_other_decoding_rules_is_ignored() -> None:
    """A record refused then may be an event now, and the other way round: neither was settled as what it is."""
    word = encode(5, 9, {1: 5}, rules="json 1 drop")
    assert decode(5, word, "json 1 drop") is not None
    assert decode(5, word, "json 1 reject") is None


def test_metadata_that_ends_within_a_number_is_ignored() -> None:
    """Even with a valid checksum: its writer encoded differently."""
    from base64 import urlsafe_b64encode  # noqa: PLC0415 - only here
    from zlib import crc32  # noqa: PLC0415 - only here

    said = b"\x84"
    packed = crc32(said, crc32(b"5")).to_bytes(4, "big") + said
    assert decode(5, "owed1:" + urlsafe_b64encode(packed).decode().rstrip("=")) is None


def test_done_is_between_offset_and_until_and_not_owed() -> None:
    """Nothing is said before the offset or from `until` on, and a visitor is owed from its first record on."""
    owed = OffsetMetadata(10, 20, {fingerprint(_visitor(1)): 14})
    assert not owed.is_done(9, _visitor(2))
    assert owed.is_done(10, _visitor(2))
    assert owed.is_done(19, _visitor(2))
    assert not owed.is_done(20, _visitor(2))
    assert owed.is_done(13, _visitor(1))
    assert not owed.is_done(14, _visitor(1))
    assert owed.is_done(15, None)


def test_too_many_owed_visitors_shorten_the_range() -> None:
    """4,095 characters are the limit; naming fewer visitors over the full range would skip those left out."""
    tracker = OffsetTracker(NAME, Start(0))
    for offset in range(5_000):
        tracker.open(offset, _visitor(offset))
    tracker.position = 1_000_000
    where = tracker.to_commit()
    assert len(where.metadata) <= MAX_CHARACTERS
    owed = owed_in(where)
    assert owed is not None
    assert 500 <= len(owed.firsts) < MOST_OWED
    assert owed.until == len(owed.firsts), "the first visitor that is left out"


@pytest.mark.parametrize("limit", [0, 10, 30, 40, 100])
def test_a_short_limit_is_kept(limit: int) -> None:
    """A broker may allow less than the default; then the range is shorter, and never truncated text."""
    word = encode(100, 10_000, {step: 100 + step for step in range(300)}, limit)
    assert len(word) <= limit
    assert word == "" or decode(100, word) is not None


def test_waiting_dead_letters_are_owed_without_a_visitor() -> None:
    """A record that cannot be decoded has no visitor; one mark stands for all such from the first that waits."""
    tracker = OffsetTracker(NAME, Start(0))
    tracker.open(0, _visitor(1))
    tracker.open(5, None)
    tracker.open(7, None)
    tracker.position = 50
    owed = owed_in(tracker.to_commit())
    assert owed is not None
    assert (owed.is_done(4, None), owed.is_done(5, None), owed.is_done(6, None)) == (True, False, False)
    assert owed.is_done(6, _visitor(2))
    tracker.close(5)
    tracker.close(7)
    owed = owed_in(tracker.to_commit())
    assert owed == OffsetMetadata(0, 50, {fingerprint(_visitor(1)): 0})


def test_a_second_crash_keeps_the_state_of_the_first() -> None:
    """While the range is read again its metadata must be kept, or a crash within it repeats the rest."""
    start = OffsetAndMetadata(10, _word(10, 100, (10, fingerprint(_visitor(1))), (60, fingerprint(_visitor(2)))))
    tracker = OffsetTracker(NAME, Start.at(start))
    assert tracker.to_commit() == start
    tracker.open(10, _visitor(1))
    tracker.position = 30
    tracker.close(10)
    owed = owed_in(tracker.to_commit())
    assert owed == OffsetMetadata(30, 100, {fingerprint(_visitor(1)): 30, fingerprint(_visitor(2)): 60})
    tracker.position = 100
    assert tracker.recovering is None
    assert tracker.to_commit() == OffsetAndMetadata(100, "")
