"""What the demo counts as done, beside the numbers of the product's own page."""

from typing import Any

from connector.demo.run import done


def status(positions: list[int], committable: list[int], **events: int) -> dict[str, Any]:
    """As in `/status`."""
    partitions = [
        {"position": position, "committable": offset} for position, offset in zip(positions, committable, strict=True)
    ]
    return {"partitions": partitions, "events": events}


def test_accepted_updates_count_though_an_older_update_holds_the_watermark() -> None:
    """By watermarks the demo said 31 of 20,000 while the page said 2,776; it looked stuck."""
    seen = status([4_000, 750], [30, 1], pending=1_974, accepted=2_770, dead_lettered=5, skipped=1)
    assert done(seen) == 2_770 + 5 + 1


def test_what_was_done_before_a_restart_still_counts() -> None:
    """A new process counts from zero, and its positions begin at the last commits."""
    assert done(status([1_000, 500], [1_000, 500], pending=0, accepted=0)) == 1_500
    assert done(status([1_200, 500], [1_000, 500], pending=150, accepted=50)) == 1_550


def test_a_partition_without_a_position_counts_nothing() -> None:
    """Before its first offset is known it is less than 0."""
    assert done(status([-1, 10], [-1, 10], pending=0)) == 10
