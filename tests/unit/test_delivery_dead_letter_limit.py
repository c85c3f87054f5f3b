"""The limit on dead letters, at its bounds: too high empties a topic, too low stops a healthy process."""

from connector.delivery.dead_letter_limit import RECENT, DeadLetterLimit


def test_more_in_a_row_than_allowed_stop() -> None:
    """The limit itself is allowed and one more is not, as the setting's description says."""
    guard = DeadLetterLimit(5, 0)
    assert [guard.failed() is None for _ in range(6)] == [True] * 5 + [False]


def test_a_success_ends_the_streak() -> None:
    """Only an unbroken streak counts; a plain counter would stop every long-running process in the end."""
    guard = DeadLetterLimit(5, 0)
    for _ in range(100):
        for _ in range(5):
            assert guard.failed() is None
        guard.passed(1)


def test_zero_successes_end_no_streak() -> None:
    """Zero accepted records are no success; ending the streak for them disables the limit silently."""
    guard = DeadLetterLimit(5, 0)
    verdicts = []
    for _ in range(6):
        guard.passed(0)
        verdicts.append(guard.failed() is None)
    assert verdicts == [True] * 5 + [False]


def test_a_share_is_judged_only_after_a_thousand_records() -> None:
    """Ten bad records at the start are no share of anything; an early check would stop a replay at once."""
    guard = DeadLetterLimit(0, 0.5)
    verdicts = [guard.failed() is None for _ in range(RECENT)]
    assert verdicts == [True] * (RECENT - 1) + [False]


def test_a_share_above_the_limit_stops_and_the_limit_itself_does_not() -> None:
    """Exactly half is allowed, more is not; operators set the boundary."""
    guard = DeadLetterLimit(0, 0.5)
    for _ in range(RECENT // 2):
        guard.passed(1)
        assert guard.failed() is None
    assert guard.failed() is not None


def test_what_is_older_than_the_last_thousand_is_forgotten() -> None:
    """The share is of the last 1,000 records, not of all time: yesterday's failures must not count today."""
    guard = DeadLetterLimit(0, 0.5)
    for _ in range(900):
        guard.failed()
    guard.passed(RECENT)
    for _ in range(RECENT // 2):
        assert guard.failed() is None
    assert guard.failed() is not None


def test_zero_turns_either_limit_off() -> None:
    """0 means off and not "none allowed"; the other reading would stop at the first dead letter."""
    guard = DeadLetterLimit(0, 0)
    for _ in range(3_000):
        assert guard.failed() is None


def test_the_reason_names_the_setting() -> None:
    """The last line of the log names the setting."""
    row, share = DeadLetterLimit(1, 0), DeadLetterLimit(0, 0.1)
    row.failed()
    share.passed(RECENT)
    assert "DEAD_LETTER_MAX_CONSECUTIVE" in (row.failed() or "")
    assert "DEAD_LETTER_MAX_RATIO" in ([share.failed() for _ in range(101)][-1] or "")
