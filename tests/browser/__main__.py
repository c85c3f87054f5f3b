"""Draws the pictures of the status page in `docs/` from a made-up incident: `python -m tests.browser docs`."""

import math
import sys
from pathlib import Path
from typing import Any

from tests.support.browser import chromium
from tests.support.status import NOON, PROBLEM, Served, quota, status

MOMENTS = 150
STEP = 2.0


def busy(moment: int) -> dict[str, Any]:
    """A replica that works off a backlog: a dip of the endpoint two minutes ago, and half of the quota used."""
    time = NOON - (MOMENTS - moment) * STEP
    consumed = accepted = updates = throttled = 0
    for index in range(moment):
        dip = 70 <= index < 84
        consumed += round((620 + 90 * math.sin(index / 9) + 25 * math.sin(index * 1.7)) * STEP)
        sent = round((40 if dip else 236 + 9 * math.sin(index / 5) + 6 * math.sin(index * 2.3)) * STEP)
        updates += sent
        accepted += round(sent * 2.9)
        throttled += 9 if dip else 0
    pending = 5_210
    counts = {"consumed": 48_112_034 + consumed, "accepted": 48_098_732 + consumed - pending, "pending": pending,
              "dead_lettered": 12, "skipped": 13_290, "unchanged": 0, "expired": 0,
              "already_done": 0, "handed_over": 0}  # fmt: skip
    lag = 120_500 + 640 * 2 * moment - round(accepted)
    parts = [
        {"topic": "profile-changes", "partition": number, "position": 4_010_000 + number * 7_129 + moment * 40,
         "committable": 4_009_000, "committed": 4_009_000 + number * 7_129 + moment * 39, "lag": round(lag * share)}
        for number, share in enumerate((0.31, 0.09, 0.17, 0.05, 0.22, 0.16))
    ]  # fmt: skip
    return status(
        time=time,
        replica="profile-connector-2",
        uptime_seconds=312_400 + round(moment * STEP),
        events=counts,
        updates={"accepted": 16_402_118 + updates, "dead_lettered": 12, "pending": 4_377, "in_flight": 21},
        calls_saved={"merging": counts["accepted"] - 16_402_118 - updates},
        requests={"accepted": 16_402_118 + updates, "rejected": 9, "throttled": 1_204 + throttled, "unavailable": 311,
                  "timeout": 18},
        slots=24,
        rate_per_second=400.0,
        lag=sum(part["lag"] for part in parts),
        partitions_assigned=len(parts),
        partitions=parts,
        quota=quota(used=412_600, used_up_seconds=38_400.0, pace_per_second=245.0),
        problems=[
            {**PROBLEM, "event": "event_refused", "last": "2026-11-28T11:58:41Z", "first": "2026-11-28T03:12:09Z",
             "count": 12, "reason": "profile.visits: arrays are not supported", "place": "profile-changes/4@4037112"},
            {**PROBLEM, "event": "circuit_opened", "last": "2026-11-28T11:57:20Z", "first": "2026-11-27T22:40:51Z",
             "count": 3, "reason": "429: too many requests", "place": ""},
            {**PROBLEM, "event": "kafka_unreachable", "last": "2026-11-27T22:39:02Z", "first": "2026-11-27T22:39:02Z",
             "count": 1, "reason": "_TRANSPORT: broker-1.kafka:9093: Disconnected",
             "remedy": "check KAFKA_BOOTSTRAP_SERVERS, the network, and that the brokers run; the connector goes on "
             "trying"},
        ],
    )  # fmt: skip


def main(folder: Path) -> None:
    """Draw both."""
    moment = 0

    def answer() -> dict[str, Any]:
        nonlocal moment
        moment = min(moment + 1, MOMENTS)
        return busy(moment)

    with Served(answer) as served, chromium() as browser:
        for name, size in (("status.png", (1024, 800, 980)), ("status-phone.png", (360, 740, 1480))):
            width, height, shown = size
            moment = 0
            browser.open(served.url, width=width, height=height, mobile=width < 500)
            for _ in range(MOMENTS):
                browser.ask_again()
            (folder / name).write_bytes(browser.screenshot(shown))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
