"""When a client counts as abandoned by librdkafka: in no outage, however long; always when nothing is tried."""

import json
import time
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.errors import Fatal
from connector.kafka.stall_watchdog import EVERY_SECONDS, IDLE_SECONDS, StallWatchdog, is_idle, with_watchdog

ENOUGH = round(IDLE_SECONDS / EVERY_SECONDS)
LATER = EVERY_SECONDS + 1


def statistics(*brokers: tuple[str, str, float]) -> str:
    """Statistics as librdkafka publishes them: brokers by source, state, and seconds since the state changed."""
    return json.dumps(
        {
            "brokers": {
                f"b{number}": {"source": source, "state": state, "stateage": int(age * 1e6), "connects": 0}
                for number, (source, state, age) in enumerate(brokers)
            }
        }
    )


COORDINATOR = ("logical", "TRY_CONNECT", 0.0)
"""Assigned to no broker while there is no coordinator; its own attempts are useless, so they do not count."""
ABANDONED = [
    statistics(("learned", "INIT", LATER), COORDINATOR),
    statistics(("learned", "DOWN", LATER), ("configured", "INIT", LATER)),
    statistics(COORDINATOR),
    statistics(),
]
BUSY = [
    statistics(("learned", "UP", 9e9)),
    statistics(("learned", "INIT", LATER), ("logical", "UP", LATER)),
    statistics(("configured", "INIT", 0.4), COORDINATOR),
    statistics(("configured", "CONNECT", LATER)),
    statistics(("configured", "TRY_CONNECT", 9e9), COORDINATOR),
    statistics(("configured", "INIT", LATER), ("configured", "DOWN", 3.0)),
]
"""Connected; connected to the coordinator; an outage, when each attempt makes the broker anew; no answer to a SYN; no
token yet to log in with; an outage of more than one."""


def told(*published: str) -> list[Fatal]:
    """What the watchdog reports for these statistics."""
    ends: list[Fatal] = []
    watch = StallWatchdog(ends.append, idle=ENOUGH)
    for one in published:
        watch(one)
    return ends


@pytest.mark.parametrize("one", ABANDONED)
def test_a_client_without_attempts_ends_the_process_once(one: str) -> None:
    """Else a replica that is live and Ready would consume nothing until somebody checks the lag."""
    assert told(*[one] * (ENOUGH - 1)) == []
    (fatal,) = told(*[one] * 10 * ENOUGH)
    assert fatal.failure.event == "kafka_fatal"
    assert "start the connector again" in str(fatal)


@pytest.mark.parametrize("one", BUSY)
def test_an_outage_ends_no_process(one: str) -> None:
    """A process that ends while all brokers are down comes back later than they do."""
    assert told(*[one] * 1_000) == []
    assert told(*[*[ABANDONED[0]] * (ENOUGH - 1), one] * 10) == []


def test_a_process_that_was_frozen_gets_time() -> None:
    """After a freeze every state looks old, once."""
    frozen = statistics(("learned", "DOWN", 3_600.0))
    assert told(BUSY[0], frozen, BUSY[2], frozen, BUSY[0]) == []


@pytest.mark.parametrize(("longest", "enough"), [(5_000, 4), ("100000", 10), (1, 4)])
def test_a_long_reconnect_backoff_is_allowed(longest: int | str, enough: int) -> None:
    """The user sets `reconnect.backoff.max.ms`: no attempt for that time proves nothing."""
    ends: list[Fatal] = []
    made = with_watchdog({"reconnect.backoff.max.ms": longest}, ends.append)
    for _ in range(enough - 1):
        made["stats_cb"](ABANDONED[0])
    assert ends == []
    made["stats_cb"](ABANDONED[0])
    assert len(ends) == 1


def test_real_statistics_have_the_fields_that_are_read() -> None:
    """A name that librdkafka does not know would make every client look abandoned, or none."""
    published: list[str] = []
    asked: dict[str, Any] = {
        "bootstrap.servers": "127.0.0.1:9",
        "log_level": 0,
        "statistics.interval.ms": 10,
        "stats_cb": published.append,
    }
    client = Producer(asked)
    deadline = time.monotonic() + 30
    while not published and time.monotonic() < deadline:
        client.poll(0.1)
    assert published
    assert not is_idle(published[0])
