"""One real registry in a process of its own: Apicurio, by Confluent's REST API, with its storage in memory."""

import subprocess
import time
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.java import log_tail
from tests.support.kafka.broker import free_ports
from tests.support.kafka.config import die_with_parent
from tests.support.registry.fetch import Distribution

READY_SECONDS: Final = 300.0
"""A start takes two to three seconds; on a machine busy with other work, many times that."""
STOP_SECONDS: Final = 20.0

_JVM: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # A quarter of the start: what the checksum vouches for need not be verified class by class.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
)


class Registry:
    """A registry that runs, in whichever process it was started."""

    def __init__(self, url: str, log: Path) -> None:
        """`url` is the base of its API; `log`, the file that its process writes to."""
        self.url = url
        self.log = log


class Apicurio(Registry):
    """Ports stay the same over `stop` and `start`; what was registered does not survive that."""

    def __init__(self, distribution: Distribution, folder: Path) -> None:
        port, management = free_ports(2)
        super().__init__(f"http://127.0.0.1:{port}/apis/ccompat/v7", folder / "registry.log")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        # Without the two settings of the management port it listens on all interfaces.
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": management,
            "quarkus.log.level": "WARN",
        }
        settings = [f"-D{name}={value}" for name, value in options.items()]
        self._command = [distribution.java, *_JVM, *settings, "-jar", str(distribution.jar)]

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError with the end of its log when it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for pytest, which then stops the registry.
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        ended = self._process.poll()
        self.stop()
        what = "was not ready in time" if ended is None else f"ended with {ended}"
        msg = f"the registry {what}; the end of its log:\n{log_tail(self.log)}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """End it; what is stopped already stays so."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=5.0) as answer:  # noqa: S310 - an address written above
                return bool(answer.status == 200)
        except (URLError, HTTPException, OSError):
            return False
