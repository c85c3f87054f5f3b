"""Where reading begins, as a table: in each row a simpler decision loses records, or sends old values."""

import pytest

from connector.delivery.offset_mark import MARK_CHARACTERS, NO_MARK, OffsetMark, decode, encode, rest_of
from connector.delivery.start_position import (
    NOTHING_COMMITTED,
    Beginning,
    LogState,
    Missed,
    MissedReason,
    OffsetAndMetadata,
    Start,
    decide,
    decide_again,
    is_another,
)

OLD, NEW = "AAAAAAAAAAAAAAAAAAAAA1", "AAAAAAAAAAAAAAAAAAAAA2"
MARK = OffsetMark(OLD, 3)


def committed(offset: int, mark: OffsetMark = MARK, rest: str = "") -> OffsetAndMetadata:
    """The commit of a former member."""
    return OffsetAndMetadata(offset, encode(mark, rest))


def said(beginning: Beginning) -> tuple[int, Missed | None, bool, bool, bool]:
    """Offset, missing records, whether the log is another one, is read once more, and nothing was ever sent."""
    start = beginning.start
    return start.offset, beginning.missed, beginning.is_another_log, start.is_reread, start.is_first


RETENTION, TRUNCATION = MissedReason.RETENTION, MissedReason.TRUNCATION

DECISIONS = {
    # Wrong design: `latest` decides for each partition, so what an added partition got before its assignment is lost.
    "nothing committed begins at the log's start": (
        NOTHING_COMMITTED, LogState(5, 90, OLD), {}, (5, None, False, False, True),
    ),
    "nothing committed by a group without offsets, and auto.offset.reset=latest": (
        NOTHING_COMMITTED, LogState(5, 90, OLD), {"from_end": True}, (90, None, False, False, True),
    ),
    "the log is as it was": (committed(40), LogState(5, 90, OLD), {}, (40, None, False, False, False)),
    # Wrong design: an offset at the end is beyond the last record, and so taken for a cut.
    "all was done": (committed(90), LogState(5, 90, OLD), {}, (90, None, False, False, False)),
    "the first record that is there": (committed(5), LogState(5, 90, OLD), {}, (5, None, False, False, False)),
    # Wrong design: the client's own reset skips what retention deleted, silently.
    "retention": (
        committed(2), LogState(5, 90, OLD), {}, (5, Missed(RETENTION, 2, 5), False, False, False),
    ),
    "retention took all": (
        committed(2), LogState(90, 90, OLD), {}, (90, Missed(RETENTION, 2, 90), False, False, False),
    ),
    # Wrong design: an offset within the log counts as valid, and 2,900 records are never delivered.
    "the topic was made again, and its log is longer already": (
        committed(40), LogState(0, 2_900, NEW), {}, (0, None, True, False, False),
    ),
    "the topic was made again, and its log is shorter": (
        committed(40), LogState(0, 10, NEW), {}, (0, None, True, False, False),
    ),
    "the topic was made again, and the client found that too": (
        committed(40), LogState(0, 10, NEW), {"is_invalid": True}, (0, None, True, False, False),
    ),
    # Wrong design: records of the new log below the old offset are skipped with `latest`.
    "the topic was made again, and auto.offset.reset=latest": (
        committed(40), LogState(0, 10, NEW), {"from_end": True}, (0, None, True, False, False),
    ),
    # Wrong design: the position stays beyond the end until as many new records have come, and those are lost.
    "the tail was cut below the offset": (
        committed(40), LogState(5, 30, OLD), {}, (5, Missed(TRUNCATION, 30, 40), False, True, False),
    ),
    # Wrong design: an offset within the log counts as valid although the client found another leader's records there.
    "the tail was cut, and others were written over it": (
        committed(40), LogState(5, 90, OLD), {"is_invalid": True}, (5, None, False, True, False),
    ),
    # Wrong design: without an epoch old records look like those after the truncation, and new ones are skipped.
    "the tail was cut, and the commit has no epoch": (
        committed(40, OffsetMark(OLD)), LogState(5, 30, OLD), {}, (5, Missed(TRUNCATION, 30, 40), False, False, False),
    ),
    "the tail was cut, and the commit names no log": (
        OffsetAndMetadata(40), LogState(5, 30, OLD), {}, (5, Missed(TRUNCATION, 30, 40), False, False, False),
    ),
    "the tail was cut, and the brokers give no ids": (
        committed(40), LogState(5, 30), {}, (5, Missed(TRUNCATION, 30, 40), False, False, False),
    ),
    "a commit of an earlier version, within the log": (
        OffsetAndMetadata(40, "whatever"), LogState(5, 90, OLD), {}, (40, None, False, False, False),
    ),
    "brokers without topic ids, within the log": (
        committed(40), LogState(5, 90), {}, (40, None, False, False, False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DECISIONS)
def test_where_reading_begins(case: str) -> None:
    """The offset, the report, and whether the earlier owner's metadata is still valid."""
    where, log, options, expected = DECISIONS[case]
    beginning = decide(where, log, **options)
    assert said(beginning) == expected
    assert beginning.start.log == log
    assert not beginning.goes_on


@pytest.mark.parametrize("case", DECISIONS)
def test_the_earlier_owners_metadata_is_dropped_with_its_log(case: str) -> None:
    """Wrong design: metadata of another log, or of an undated truncation, is kept, and new records are skipped."""
    where, log, options, (_, missed, is_another_log, is_reread, is_first) = DECISIONS[case]
    start = decide(where, log, **options).start
    is_cut = missed is not None and missed.reason is TRUNCATION
    forgotten = is_first or is_another_log or (is_cut and not is_reread)
    assert start.committed == (NOTHING_COMMITTED if forgotten else where)
    assert start.mark == (NO_MARK if forgotten else decode(where.metadata))


BEGAN = Start(40, committed(40), LogState(5, 90, OLD), MARK)

LATER = {
    # position, last acknowledged offset, the log now, expected, goes_on
    "the topic was made again under a running member": (
        95, committed(95), LogState(0, 10, NEW), (0, None, True, False, False), False,
    ),
    # Wrong design: the new log is longer, the client reads on in the middle of it, and reports no position.
    "the topic was made again, and only its id tells": (
        None, committed(95), LogState(0, 2_900, NEW), (0, None, True, False, False), False,
    ),
    # Wrong design: retention resets the tracker, and pending records count no more for the watermark.
    "retention overtook a paused member": (
        50, committed(45), LogState(60, 90, OLD), (60, Missed(RETENTION, 50, 60), False, False, False), True,
    ),
    "the tail was cut below what was committed": (
        95, committed(95), LogState(5, 30, OLD), (5, Missed(TRUNCATION, 30, 95), False, True, False), False,
    ),
    # Wrong design: resuming at the last acknowledged offset, although it holds other records now.
    "the tail was cut between what was committed and where it reads": (
        95, committed(45), LogState(5, 50, OLD), (5, None, False, True, False), False,
    ),
    # Wrong design: an invalid position that is not named is taken for one below the log's start.
    "the client does not say where": (
        None, committed(45), LogState(5, 90, OLD), (5, None, False, True, False), False,
    ),
    "nothing was ever acknowledged": (
        95, NOTHING_COMMITTED, LogState(5, 30, OLD), (5, None, False, False, True), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LATER)
def test_where_reading_resumes_after_the_client_found_the_log_changed(case: str) -> None:
    """The same questions under a running member, which has records of the old log pending."""
    position, acknowledged, log, expected, goes_on = LATER[case]
    beginning = decide_again(position, BEGAN, acknowledged, log)
    assert said(beginning) == expected
    assert beginning.goes_on == goes_on


@pytest.mark.parametrize(
    ("before", "now", "another"), [(OLD, NEW, True), (OLD, OLD, False), ("", NEW, False), (OLD, "", False)]
)
def test_a_log_is_another_one_only_where_both_ids_are_known(before: str, now: str, another: bool) -> None:  # noqa: FBT001
    """Wrong design: a broker that gives no id for a moment has everything read again."""
    assert is_another(LogState(0, 0, before), LogState(0, 0, now)) is another


MARKS = [
    NO_MARK,
    OffsetMark(OLD),
    OffsetMark(OLD, 0),
    OffsetMark("", 7),
    OffsetMark(OLD, 2_147_483_647, is_clean=True),
    OffsetMark("", -1, is_clean=True),
    OffsetMark("a-b_c", 12),
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("rest", ["", "1:2;3", "log1:x", "line\nbreak", "~1f"])
def test_a_mark_is_read_as_written_with_the_text_behind_it(mark: OffsetMark, rest: str) -> None:
    """Wrong design: epoch 0 is taken for none, or a separator in the rest cuts it."""
    metadata = encode(mark, rest)
    assert decode(metadata) == mark
    assert rest_of(metadata) == rest
    assert len(metadata) - len(rest) <= MARK_CHARACTERS


@pytest.mark.parametrize(
    "metadata",
    ["", "log1:", "log2:abc:1:c;", "log1:abc:x:;", "log1:ab c:1:;", "log1:abc:1:d;", "1:2;3"],
)
def test_metadata_in_another_form_names_no_log(metadata: str) -> None:
    """Wrong design: a half-read mark of another version binds the commit to a log that does not exist."""
    assert decode(metadata) == NO_MARK
    assert rest_of(metadata) == metadata
