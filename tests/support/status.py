"""A made-up status in the connector's form, and a real ops server that answers with it."""

import asyncio
import copy
import math
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from connector.ops.health import Health
from connector.ops.server import OpsServer

NOON: Final = 1_795_867_200.0
"""The time of the made-up statuses."""
PROBLEM: Final[Mapping[str, Any]] = {
    "event": "circuit_opened",
    "level": "warning",
    "first": "2026-11-28T11:58:00Z",
    "last": "2026-11-28T11:59:30Z",
    "count": 3,
    "reason": "503: overloaded",
    "remedy": "",
    "place": "",
}

_QUIET: Final[Mapping[str, Any]] = {
    "version": "0.1.0",
    "replica": "connector-0",
    "time": NOON,
    "uptime_seconds": 7_200,
    "health": {"livez": [], "readyz": []},
    "draining": False,
    "events": {
        "consumed": 1_000_000, "pending": 0, "accepted": 999_000, "dead_lettered": 900, "skipped": 100,
        "unchanged": 0, "expired": 0, "already_done": 0, "handed_over": 0
    },
    "records_missed": {"retention": 0, "truncation": 0},
    "updates": {"accepted": 333_000, "dead_lettered": 7, "pending": 0, "in_flight": 0, "unknown_visitor": 0},
    "calls_saved": {"merging": 666_000, "unchanged": 0},
    "waiting": {
        name: {"visitors": 0, "overdue_seconds": 0.0, "held_back": False} for name in ("high", "normal", "low")
    },
    "requests": {
        "accepted": 333_000, "rejected": 7, "unauthorized": 0, "throttled": 12, "unavailable": 3, "timeout": 1,
        "unconfirmed": 0,
    },
    "event_age_seconds": {"p50": 1.0, "p95": 2.5, "p99": 5.0},
    "circuit": {"open": False, "reason": "", "open_seconds": None},
    "token_expires_seconds": None,
    "slots": 16,
    "rate_per_second": 200.0,
    "lease_seconds": 30.0,
    "paused": False,
    "quota": None,
    "verified": None,
    "events_skipped": [],
    "schema_waits": [],
    "lag": 0,
    "partitions_assigned": 2,
    "partitions": [
        {"topic": "profile-changes", "partition": number, "position": 500_000, "committable": 500_000,
         "committed": 500_000, "lag": 0}
        for number in range(2)
    ],
    "problems": [],
    "settings": {
        "KAFKA_TOPICS": "profile-changes", "TARGET_AUTH_TOKEN": "***", "TARGET_MAX_IN_FLIGHT": 64,
        "COALESCE_LINGER_SECONDS": 1.0, "KAFKA_GROUP_INSTANCE_ID": None, "KAFKA_DEAD_LETTER_TOPIC": "",
    },
}  # fmt: skip


def status(**changes: Any) -> dict[str, Any]:
    """A replica that has caught up, but for the given changes; an inner mapping changes only its own names."""
    made = copy.deepcopy(dict(_QUIET))
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(made[name], dict):
            made[name].update(value)
        else:
            made[name] = value
    return made


def quota(used: int = 400_000, **changes: Any) -> dict[str, Any]:
    """A day's window of a million, used by day more than by night; each use becomes free a window later."""
    waves = [1.25 - math.cos((index + 24) * math.pi / 24) + 0.2 * math.sin(index * 2.4) for index in range(48)]
    history = [round(used * wave / sum(waves)) for wave in waves]
    history[-1] += used - sum(history)
    return {
        "read": True, "limit": 1_000_000, "used": used, "free": 1_000_000 - used, "window_seconds": 86_400.0,
        "in_hand": 250, "pace_per_second": 83.3, "next_free_seconds": 754.0, "next_free_updates": 1_200,
        "horizon_seconds": 3_600.0, "group_pace_per_second": 166.7, "rate_per_second": 50.0, "slowed_seconds": None,
        "used_up_seconds": 11_400.0, "used_forecast": [min(1_000_000, used + 90_000 * part) for part in range(1, 49)],
        "history": history, "releases": history, **changes,
    }  # fmt: skip


class Served:
    """An ops server in a thread of its own; `answer` is the body of `/status`, and may raise."""

    def __init__(self, answer: Callable[[], Mapping[str, Any]]) -> None:
        self.answer = answer
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: OpsServer | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen, on the previous port if there was one."""
        self._server = OpsServer(
            "127.0.0.1",
            self.port,
            livez=lambda: Health(()),
            readyz=lambda: Health(()),
            metrics=lambda accept: (accept.encode(), "text/plain"),
            status=lambda: {**self.answer()},
        )
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        self.port = self._server.port

    def stop(self) -> None:
        """Free the port, as a process that ended does."""
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
            self._server = None
