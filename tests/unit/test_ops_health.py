"""A wrong liveness answer restarts a healthy replica and rebalances the group: each row is one such decision."""

import pytest

from connector.ops.health import Health, Heartbeats, livez, readyz


def beats(
    *, thread: float = 100.0, loop: float = 100.0, kafka: bool = True, draining: bool = False, started: bool = True
) -> Heartbeats:
    """Healthy at 100 s, but for the given changes."""
    return Heartbeats(thread=thread, loop=loop, kafka_reached=kafka, draining=draining, started=started)


@pytest.mark.parametrize(
    ("known", "now", "reasons"),
    [
        (beats(), 100.0, []),
        (beats(), 159.9, []),
        (beats(thread=40.0), 100.0, ["the consumer thread gave no sign of life for 60 s (limit 60 s)"]),
        (beats(loop=10.0), 100.0, ["the event loop gave no sign of life for 90 s (limit 60 s)"]),
        (beats(kafka=False, draining=True, started=False), 100.0, []),
    ],
)
def test_alive_is_two_heartbeats_and_nothing_else(known: Heartbeats, now: float, reasons: list[str]) -> None:
    """A restart cures neither an outage nor a drain."""
    health = livez(known, now)
    assert list(health.reasons) == reasons
    assert health.ok is not bool(reasons)


def test_both_heartbeats_can_stop_and_the_limit_can_be_another() -> None:
    """Every reason is reported, not only the first."""
    assert len(livez(beats(), 200.0).reasons) == 2
    assert livez(beats(), 102.0, limit=1.5).reasons[0].endswith("(limit 1.5 s)")


@pytest.mark.parametrize(
    ("known", "reasons"),
    [
        (beats(), []),
        (beats(thread=-1e9, loop=-1e9), []),
        (beats(started=False), ["the start is not over"]),
        (beats(kafka=False), ["no Kafka broker has answered yet"]),
        (beats(draining=True), ["the process drains and will end"]),
        (
            beats(started=False, kafka=False, draining=True),
            ["the start is not over", "no Kafka broker has answered yet", "the process drains and will end"],
        ),
    ],
)
def test_ready_is_started_and_kafka_reached_and_not_draining(known: Heartbeats, reasons: list[str]) -> None:
    """Partitions do not count: a replica may rightly have none."""
    assert readyz(known) == Health(tuple(reasons))
    assert readyz(known).ok is not bool(reasons)
