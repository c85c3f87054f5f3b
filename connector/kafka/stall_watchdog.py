"""Notices a client that has no broker left to try: it would wait for ever, and say nothing.

While librdkafka (2.10 and later) is connected to no broker it tries one each second. But a broker that answers with an
empty list, as one does that was cut off from its controller, makes it let go of all that it knows, and it can fail to
begin again from `bootstrap.servers`: nothing is tried any more, until the process ends
(https://github.com/confluentinc/librdkafka/issues/5301).
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from connector.errors import Fatal
from connector.kafka.config import Property
from connector.kafka.errors import START_AGAIN

EVERY_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 80.0
"""Counted in statistics: a process that was stopped for long gets one, not all that it missed."""
_IDLE: Final = frozenset({"INIT", "DOWN"})
"""States of a broker that nothing is under way to. A connection may take half a minute, a first token for longer."""
_NOWHERE: Final = _IDLE | {"TRY_CONNECT"}
"""The same of the group's coordinator, which tries again without an address while there is none."""


class StallWatchdog:
    """The `stats_cb` of one client; says once that it is abandoned."""

    def __init__(self, ended: Callable[[Fatal], None], *, idle: int) -> None:
        """`idle`: idle statistics in a row that are the end. `ended` is called in the thread that polls the client."""
        self._ended = ended
        self._most = idle
        self._idle = 0

    def __call__(self, statistics: str) -> None:
        """Take what librdkafka publishes each `EVERY_SECONDS`."""
        self._idle = self._idle + 1 if is_idle(statistics) else 0
        if self._idle == self._most:
            reason = f"librdkafka is connected to no broker and has tried none for {self._idle * EVERY_SECONDS:.0f} s"
            self._ended(Fatal("kafka_fatal", f"{reason}, and never will again", START_AGAIN))


def is_idle(statistics: str) -> bool:
    """Whether no broker is connected to or tried, and none was for `EVERY_SECONDS`; by librdkafka's STATISTICS.md.

    Its count of attempts does not tell: each new beginning from `bootstrap.servers` makes the brokers anew.
    """
    brokers: Collection[Mapping[str, Any]] = json.loads(statistics)["brokers"].values()
    if any(broker["state"] not in (_NOWHERE if broker["source"] == "logical" else _IDLE) for broker in brokers):
        return False
    ages = (broker["stateage"] for broker in brokers if broker["source"] != "logical")
    return min(ages, default=math.inf) >= EVERY_SECONDS * 1e6


def with_watchdog(made: Mapping[str, Property], ended: Callable[[Fatal], None]) -> dict[str, Any]:
    """A client's configuration, with the watch in it; who is told to wait longer between attempts has longer."""
    seconds = max(IDLE_SECONDS, 2 * float(made["reconnect.backoff.max.ms"]) / 1_000)
    watch = StallWatchdog(ended, idle=round(seconds / EVERY_SECONDS))
    return {**made, "statistics.interval.ms": int(EVERY_SECONDS * 1_000), "stats_cb": watch}
