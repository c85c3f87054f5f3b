"""One real broker that a test can start, write to, read, freeze and kill."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from confluent_kafka import KafkaException

from tests.support.java import log_tail
from tests.support.kafka.client import Kafka
from tests.support.kafka.config import CLUSTER_ID, JVM, LOGGING, PROPERTIES, die_with_parent
from tests.support.kafka.fetch import Distribution

READY_SECONDS = 120.0
"""A start takes one to two seconds; ten times that on a busy machine."""

STOP_SECONDS = 20.0


class KafkaBroker(Kafka):
    """A single KRaft node in a process of its own. Ports and data stay the same over `kill9`, `stop` and `start`."""

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        advertised: Mapping[str, str] | None = None,
        jvm: Iterable[str] = (),
    ) -> None:
        """`folder` is new, or one that a broker left; `properties` are added to `PROPERTIES` or replace those.

        `listeners` are further ones, by name to host:port; `advertised` says where else clients are sent for these.
        """
        port, controller = free_ports(2)
        super().__init__(f"127.0.0.1:{port}", folder / "broker.log")
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        further = "".join(f",{name}://{address}" for name, address in (listeners or {}).items())
        named = {**(listeners or {}), **(advertised or {})}
        elsewhere = "".join(f",{name}://{address}" for name, address in named.items())
        self._settings = {
            **PROPERTIES,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}{further}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}{elsewhere}",
            **(properties or {}),
        }
        archive = distribution.folder / "classes.jsa"
        shared = (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto") if archive.exists() else ()
        class_path = ":".join(map(str, distribution.jars))
        self._java = (distribution.java, *JVM, *shared, *jvm, "-cp", class_path)
        self._template = distribution.folder / "template"

    # Life cycle

    @property
    def is_running(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError with the end of its log when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOGGING)
        lines = [f"{name}={value}\n" for name, value in self._settings.items()]
        (self.folder / "server.properties").write_text("".join(lines))
        if not (self.folder / "data").exists():
            self._format()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", "server.properties"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for pytest, which then stops the broker.
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
            )
        self._await_ready()

    def stop(self) -> None:
        """Stop it in order; a stopped one stays stopped."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill9(self) -> None:
        """Kill it as a crash does."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        process = self._running()
        os.kill(process.pid, signal.SIGSTOP)
        # On a busy machine its threads run on for a while, and answer.
        os.waitpid(process.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Resume it."""
        os.kill(self._running().pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in order and start it on the same ports and data."""
        self.stop()
        self.start()

    # Internals

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            msg = "the broker is not running"
            raise RuntimeError(msg)
        return self._process

    def _format(self) -> None:
        """Copy the formatted storage that `prepare` created; without it, run Kafka's tool."""
        if self._template.exists():
            shutil.copytree(self._template, self.folder / "data")
            return
        command = [*self._java, "kafka.tools.StorageTool", "format", f"--cluster-id={CLUSTER_ID}"]
        done = subprocess.run(
            [*command, "-c", "server.properties"], cwd=self.folder, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            msg = f"the storage could not be formatted:\n{done.stdout}{done.stderr}"
            raise RuntimeError(msg)

    def _await_ready(self) -> None:
        process = self._running()
        deadline = time.monotonic() + READY_SECONDS
        admin = self.admin()
        while time.monotonic() < deadline and process.poll() is None:
            try:
                # Brokers are listed once the controller lets them serve.
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                continue
        ended = process.poll()
        self.kill9()
        what = "was not ready in time" if ended is None else f"ended with {ended}"
        msg = f"the broker {what}; the end of its log:\n{log_tail(self.log)}"
        raise RuntimeError(msg)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, below the range of ephemeral ports.

    A client that keeps trying a killed broker's port could otherwise be given that very port, connect to itself, and
    keep the broker from coming back.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
