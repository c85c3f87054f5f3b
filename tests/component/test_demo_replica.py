"""The demo's connector is a real process: it must be found, killed and stopped, whatever an earlier log holds."""

import asyncio
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from connector.demo.replica import Replica


def nowhere() -> str:
    """An address where nothing listens: the connector runs and waits for its broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def settings(**others: str) -> dict[str, str]:
    """Just enough for a start."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": nowhere(),
        "KAFKA_TOPICS": "t",
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": f"http://{nowhere()}",
        **others,
    }


async def answered(replica: Replica) -> dict[str, Any]:
    """Poll until it answers."""
    deadline = time.monotonic() + 30
    while (status := await replica.status()) is None:
        assert replica.ended is None, replica.log.read_text()
        assert time.monotonic() < deadline, replica.log.read_text()
        await asyncio.sleep(0.05)
    return status


def ports(log: Path) -> list[int]:
    """The addresses it logged, one for each start."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["port"] for line in lines if line["event"] == "ops_listening"]


def test_it_is_found_at_each_start_killed_and_stopped(tmp_path: Path) -> None:
    """The log continues over a restart: the port of the dead process must not be asked."""

    async def scenario() -> None:
        replica = Replica(settings(), tmp_path / "log")
        assert await replica.stop() == 0
        replica.start()
        try:
            assert (await answered(replica))["partitions"] == []
            replica.kill()
            assert replica.ended == -9
            assert await replica.status() is None
            assert replica.page == f"http://127.0.0.1:{ports(replica.log)[0]}/"
            replica.start()
            assert replica.page == ""
            # Until the new process has logged its port there is none to ask, though the log has an old one.
            assert await replica.status() is None
            assert (await answered(replica))["uptime_seconds"] < 30
            assert len(ports(replica.log)) == 2
            assert await replica.stop() == 0
            assert replica.ended == 0
        finally:
            replica.kill()

    asyncio.run(scenario())


def test_what_the_user_has_set_for_the_real_service_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token for production must not go to the sandbox, and a misspelt variable must not stop the demo."""
    for name, value in {
        "KAFKA_SASL_PASSWORD": "for production",
        "TARGET_AUTH_TOKEN": "for-production",
        "TARGET_MAX_UPDATES_PER_SECOND": "11.57",
        "COALESCE_LINGERS": "5",
        "EVENT_FORMAT": "avro",
        "RETRY_MAX_SECONDS": "0",
        "DEAD_LETTER_MAX_RATIO": "9",
        "QUOTA_UPDATES": "5",
        "COMMIT_INTERVAL_SECONDS": "-1",
        "SHUTDOWN_GRACE_SECONDS": "x",
        "OPS_PORT": "1",
        "OPS_HOST": "192.0.2.1",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "loud",
    }.items():
        monkeypatch.setenv(name, value)

    async def scenario() -> dict[str, Any]:
        replica = Replica(settings(), tmp_path / "log")
        replica.start()
        try:
            return await answered(replica)
        finally:
            await replica.stop()

    told = asyncio.run(scenario())["settings"]
    assert told["TARGET_MAX_UPDATES_PER_SECOND"] == 200
    assert not told["TARGET_AUTH_TOKEN"]
    assert "KAFKA_SASL_PASSWORD" in os.environ


def test_one_that_cannot_start_says_so(tmp_path: Path) -> None:
    """The demo shows the end of this log instead of waiting for a process that never starts."""

    async def scenario() -> None:
        replica = Replica({"KAFKA_TOPICS": "t"}, tmp_path / "log")
        replica.start()
        deadline = time.monotonic() + 30
        while replica.ended is None and time.monotonic() < deadline:
            assert await replica.status() is None
            await asyncio.sleep(0.05)
        assert replica.ended == 2
        assert "TARGET_CLIENT_CODE: missing" in replica.log.read_text()

    asyncio.run(scenario())
