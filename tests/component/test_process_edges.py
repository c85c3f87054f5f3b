"""The real process while its surroundings block: a name look-up that hangs, and a log that nobody reads."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connector.sandbox.broker import EmbeddedBroker
from tests.support.process import ColdConnector, Sandbox, environment, unmeasured, until

_HANGS = """
import socket, time
real = socket.getaddrinfo

def hangs(host, *args, **kwargs):
    if host == "hanging.test":
        time.sleep(60)
    return real(host, *args, **kwargs)

socket.getaddrinfo = hangs
"""


def _fill(broker: EmbeddedBroker, events: int) -> None:
    broker.create_topic("events")
    broker.create_topic("target-profile-connector.dead-letter")
    for number in range(events):
        broker.produce("events", json.dumps({"mbox3rdPartyId": f"v{number}", "profile": {"n": number}}).encode(), b"k")
    broker.flush()


def test_sigterm_while_a_name_look_up_hangs_ends_within_the_grace(tmp_path: Path) -> None:
    """It took as long as the look-up: asyncio, and then the interpreter, waited for the hanging thread."""
    (tmp_path / "sitecustomize.py").write_text(_HANGS)
    with EmbeddedBroker() as broker:
        _fill(broker, 5)
        settings = environment(
            broker.bootstrap,
            "events",
            "http://hanging.test",
            KAFKA_GROUP_PROTOCOL="consumer",
            SHUTDOWN_GRACE_SECONDS=2,
            TARGET_TIMEOUT_SECONDS=20,
            LOG_LEVEL="debug",
        )
        paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        with ColdConnector(tmp_path, {**settings, "PYTHONPATH": paths}) as connector:
            connector.until_said("update_sent")
            began = time.monotonic()
            connector.stop(20)
            assert time.monotonic() - began < 2 + 15
            assert connector.said("connector_stopped")


@pytest.mark.parametrize("reads", [False, True])
def test_an_unread_log_does_not_stop_the_delivery(tmp_path: Path, *, reads: bool) -> None:
    """A pipe holds 64 KiB; a write to a full one blocks, and blocked the event loop too."""
    events = 1_000
    with EmbeddedBroker() as broker, Sandbox(tmp_path) as sandbox:
        _fill(broker, events)
        quick = {"KAFKA_GROUP_PROTOCOL": "consumer", "TARGET_MAX_UPDATES_PER_SECOND": "2000", "LOG_LEVEL": "debug"}
        settings = environment(broker.bootstrap, "events", sandbox.url, **quick)
        with subprocess.Popen(
            [sys.executable, "-m", "connector", "run"], env={**unmeasured(), **settings}, stdout=subprocess.PIPE
        ) as process:
            try:
                assert process.stdout is not None
                until(lambda: sandbox.stats()["applied"] >= events, 60, "all is delivered")
                began = time.monotonic()
                process.terminate()
                said = process.stdout.read() if reads else b""
                assert process.wait(20) == 0
                assert time.monotonic() - began < 15
            finally:
                process.kill()
        lines = [json.loads(line) for line in said.splitlines()]
        assert not reads or lines[-1]["event"] == "connector_stopped"
