"""The program in a process of its own, observed only from outside.

`Program` starts it as users do, by `python -m connector`. What tests start by the hundred is forked from a process that
has loaded it (`warm.py`), unless the start itself is under test.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

from connector.ops.events import COMMON_FIELDS, EVENTS
from connector.settings.load import PREFIXES
from tests.support.kafka.config import die_with_parent
from tests.support.loopback import own_address
from tests.support.warm import Process, warm

T = TypeVar("T")

POLL_SECONDS = 0.05
MOST_POLL_SECONDS = 1.0
SHARE = 3
"""A question pauses for this many times of what it took: else the asking, with clients of its own and pages of JSON,
takes the cores from the program that is waited for."""
START_SECONDS = 90.0
"""A start takes a second; ten times that on a busy machine."""
STOP_SECONDS = 60.0
HTTP_SECONDS = 10.0
BAD_SETTINGS = 2
"""The exit code of a process that ended before it had a log."""

_SAMPLE = re.compile(r"^(target_connector_\S+) (\S+)$", re.MULTILINE)


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Poll until the answer is true; returns it. Fails with `what` when it never is."""
    asked = time.monotonic()
    deadline = asked + seconds
    while not (answer := condition()):
        now = time.monotonic()
        assert now < deadline, f"not within {seconds:.0f} s: {what}; at last: {str(answer)[:2_000]}"
        time.sleep(min(MOST_POLL_SECONDS, max(POLL_SECONDS, SHARE * (now - asked))))
        asked = time.monotonic()
    return answer


class Program:
    """One run of `python -m connector` with a command. As a context manager it leaves no process behind."""

    IS_MEASURED = True
    """Whether it takes part in the coverage of the run, if there is one."""
    IS_WARM = False
    """Whether it is a fork of the process that has loaded the program, which saves most of a start's time."""

    def __init__(self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; its output goes to files of `folder`. It gets none of this process's settings."""
        name = f"{arguments[0]}-{time.monotonic_ns()}"
        self._out = folder / f"{name}.out"
        self._err = folder / f"{name}.err"
        around = {**_plain(os.environ if self.IS_MEASURED else unmeasured()), **environment}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process: Process = (
                warm().start(arguments, around, self._out, self._err)
                if self.IS_WARM
                else self._start(self.command(arguments, environment), around, out, err)
            )

    def _start(self, command: Sequence[str], environment: Mapping[str, str], out: BinaryIO, err: BinaryIO) -> Process:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill9()
        if error is not None:
            error.add_note(f"the end of its output:\n{self.stdout[-4_000:]}{self.stderr[-4_000:]}")

    def command(self, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """The command line; a container gets its environment here too."""
        del environment
        return [sys.executable, "-m", "connector", *arguments]

    @property
    def stdout(self) -> str:
        """Its stdout so far."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """Its stderr so far."""
        return self._err.read_text()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its own end; returns the exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            msg = f"still running after {seconds:.0f} s:\n{self.stdout[-4_000:]}{self.stderr[-4_000:]}"
            raise AssertionError(msg) from late

    def terminate(self) -> None:
        """Send SIGTERM, as an orchestrator does."""
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Stop it and wait for its end; returns the exit code."""
        self.terminate()
        return self.wait(seconds)

    def kill9(self) -> None:
        """Kill it as a crash does: no handler runs."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Freeze it, as a paused machine does; it keeps its connections and does not notice."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        self._process.send_signal(signal.SIGCONT)

    def until(self, condition: Callable[[], T], what: str, seconds: float = START_SECONDS) -> T:
        """As the function, but a process that ended meanwhile is a failure at once."""

        def ask() -> T:
            answer = condition()
            assert answer or self.exit_code is None, f"it ended with {self.exit_code}, before this came true: {what}"
            return answer

        return until(ask, seconds, what)


class Connector(Program):
    """`connector run`, its log, and its ops port. Leaving the context also checks its log against the contract."""

    IS_MEASURED = False  # The tests of the service and of the pipeline measure it, without a start of a second each.
    IS_WARM = True

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, ["run"], environment)
        self._port = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            self.assert_log_is_sound()

    def assert_log_is_sound(self) -> None:
        """Each line is one object: a known event, at a level, with a time and no unknown field."""
        if self.exit_code != BAD_SETTINGS:
            assert self.stderr == ""
        for line in self.lines():
            event = EVENTS[line["event"]]
            assert line["timestamp"].endswith(("Z", "+00:00")), line
            assert line["level"] in ("debug", "info", "warning", "error"), line
            known = {"timestamp", "level", "event", *event.fields, *COMMON_FIELDS}
            assert line.keys() <= known, f"{sorted(line.keys() - known)} in {line}"

    def lines(self) -> list[dict[str, Any]]:
        """The log so far, each line an object; an unfinished line is left out."""
        return [json.loads(line) for line in self.stdout.split("\n")[:-1]]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines() if line["event"] == event]

    def until_said(self, event: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Wait for an event in the log; returns its first line."""
        return self.until(lambda: self.said(event), f"the log says {event}", seconds)[0]

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask the ops port; returns status and body."""
        if not self._port:
            self._port = self.until_said("ops_listening")["port"]
        return request(f"http://127.0.0.1:{self._port}", "GET", path)

    def metrics(self) -> dict[str, float]:
        """Every sample of the contract's metrics in one scrape, by its name with labels as written."""
        status, body = self.get("/metrics")
        assert status == 200
        return samples(body)

    def status(self) -> dict[str, Any]:
        """The JSON of `/status`."""
        status, body = self.get("/status")
        assert status == 200
        answer: dict[str, Any] = json.loads(body)
        return answer

    def ready(self) -> bool:
        """Whether the readiness probe succeeds."""
        return self.get("/readyz")[0] == 200


class ColdConnector(Connector):
    """The same, started as users start it."""

    IS_WARM = False


class Demo(Program):
    """`connector demo`, started as users start it."""

    IS_MEASURED = False  # A few of its runs are, as `Program`: that doubles their time.


class Command(Program):
    """One of the commands that tests run often."""

    IS_WARM = True


class Sandbox(Program):
    """`connector sandbox` on a free port, and its own API: the endpoint, and the check of every request."""

    IS_MEASURED = False  # Its own tests measure it; here it answers each request of a load.
    IS_WARM = True

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, ["sandbox", "--host", own_address(), "--port", "0", *options], {})
        found = self.until(lambda: re.findall(r"(http://[^ ]+) - try", self.stdout), "the sandbox says where it is")
        self.url: str = found[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop() if error is None else None
        super().__exit__(kind, error, trace)
        assert not code

    def profiles(self) -> dict[str, dict[str, str]]:
        """Kind and id of the visitor to its attributes."""
        profiles: dict[str, dict[str, str]] = self._ask("GET", "/sandbox/profiles")
        return profiles

    def stats(self) -> dict[str, Any]:
        """The counters."""
        stats: dict[str, Any] = self._ask("GET", "/sandbox/stats")
        return stats

    def log(self) -> list[dict[str, Any]]:
        """Every request, in order of its end; `start` is by the sandbox's monotonic clock."""
        status, answer = request(self.url, "GET", "/sandbox/log")
        assert status == 200, answer
        return [json.loads(line) for line in answer.splitlines()]

    def set_faults(self, *faults: str) -> None:
        """Replace the plan of faults; none: healthy."""
        self._ask("PUT", "/sandbox/faults", list(faults))

    def set_token(self, token: str) -> None:
        """Require another bearer token from now on."""
        self._ask("PUT", "/sandbox/token", {"token": token})

    def assert_no_rule_was_broken(self) -> None:
        """No request broke a documented rule, and no visitor ever had two at once."""
        stats = self.stats()
        assert stats["violations"] == {}, stats["violation_samples"][:10]
        assert stats["overlapping"] == 0

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        status, answer = request(self.url, method, path, None if body is None else json.dumps(body).encode())
        assert status in (200, 204), answer
        return json.loads(answer) if answer else None


def unmeasured() -> dict[str, str]:
    """The environment of the tests, without what makes a new Python take part in the coverage."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Without settings."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIXES)}


def environment(bootstrap: str, topic: str, target: str, **others: str | float) -> dict[str, str]:
    """Settings of `connector run`, with short times; the group has the topic's name, so it is unique.

    A killed member holds its partitions until its session ends: six seconds, not the usual 45. Shorter sessions
    expire on a busy machine, and the lease on sending with them.
    """
    usual: dict[str, str | float] = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA_TOPICS": topic,
        "KAFKA_GROUP_ID": topic,
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target,
        "TARGET_MAX_UPDATES_PER_SECOND": 0,
        "TARGET_TIMEOUT_SECONDS": 2,
        "QUOTA_UPDATES": 0,
        "COALESCE_LINGER_SECONDS": 0.1,
        "COMMIT_INTERVAL_SECONDS": 0.5,
        "OPS_HOST": "127.0.0.1",
        "OPS_PORT": 0,
    }
    if others.get("KAFKA_GROUP_PROTOCOL", "classic") == "classic":
        usual["KAFKA_PROPERTIES"] = '{"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}'
    return {name: str(value) for name, value in {**usual, **others}.items()}


def samples(body: bytes) -> dict[str, float]:
    """Every sample of the contract's metrics in a scrape's answer."""
    return {name: float(number) for name, number in _SAMPLE.findall(body.decode())}


def request(base: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One HTTP request of the standard library's client; returns status and body."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=HTTP_SECONDS)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
