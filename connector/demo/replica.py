"""`connector run` as a process of its own, which the demo can kill as a crash does and ask as a person would."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.settings.load import PREFIXES

STOP_SECONDS = 20.0


class Replica:
    """One process; its log goes to a file, its port is read from there."""

    def __init__(self, settings: Mapping[str, str], log: Path, port: int = 0) -> None:
        """`settings` replace all of the connector's variables: what the user has set is for the real service.

        `port` is that of its status page, 0 for a free one.
        """
        self.log = log
        around = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PREFIXES) and not name.lower().endswith("_proxy")
        }
        # All of the demo is on this machine, where a company's proxy does not lead. The star is for macOS, which has
        # proxies outside of the environment too.
        direct = {"no_proxy": "*", "NO_PROXY": "*"}
        ops = {"OPS_HOST": "127.0.0.1", "OPS_PORT": str(port), "LOG_FORMAT": "json"}
        self._environment = {**around, **direct, **settings, **ops}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._read_from = 0

    def start(self) -> None:
        """Start it; returns at once."""
        self._port = 0
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "connector", "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash does, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        process = self._process
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    @property
    def ended(self) -> int | None:
        """The exit code, if it ended by itself."""
        return self._process.poll() if self._process is not None else None

    async def status(self) -> dict[str, Any] | None:
        """What `/status` says; None while it does not answer."""
        if not self._port:
            self._port = self._find_port()
        return await asyncio.to_thread(_get, f"{self.page}status") if self.page else None

    @property
    def page(self) -> str:
        """Where its status page is; empty until it was asked for its status and could be."""
        return f"http://127.0.0.1:{self._port}/" if self._port else ""

    def _find_port(self) -> int:
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            for line in log:
                if b'"ops_listening"' in line and line.endswith(b"\n"):
                    return int(json.loads(line)["port"])
        return 0


def _get(url: str) -> dict[str, Any] | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # Loopback never goes by a proxy.
    try:
        with direct.open(url, timeout=2) as answer:
            status: dict[str, Any] = json.load(answer)
            return status
    except (urllib.error.URLError, OSError, ValueError):
        return None
