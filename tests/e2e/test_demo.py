"""The demo is a new user's first command: it must reconcile, say what it is, and clean up at any end."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
import uuid
from pathlib import Path

import pytest

from tests.conftest import survivors
from tests.support.process import Demo, Program, unmeasured, until

SMALL = ("demo", "--events", "3000", "--visitors", "300")
KEYS = ["events", "requests", "updates", "dead_letters", "lost", "wrong"]

# What a shell may have set for the real service, or for a company's proxy.
AROUND = {
    "KAFKA_TOPIC": "a misspelling",
    "KAFKA_BOOTSTRAP_SERVERS": "production:9092",
    "TARGET_AUTH_TOKEN": "for-production",
    "TARGET_MAX_UPDATES_PER_SECOND": "0.1",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "FORCE_COLOR": "1",
}


@pytest.mark.parametrize("faults", [(), ("--faults",)])
def test_it_reconciles_and_ends_with_one_json_line(tmp_path: Path, faults: tuple[str, ...]) -> None:
    """The contract: exactly these keys, nothing lost, nothing wrong, whatever the environment."""
    with Program(tmp_path, [*SMALL, *faults, "--format", "json"], AROUND) as demo:
        assert demo.wait(90) == 0
        assert demo.stderr == ""
        (line,) = demo.stdout.splitlines()
    report = json.loads(line)
    assert list(report) == KEYS
    assert report["events"] == 3_000
    assert report["lost"] == report["wrong"] == 0
    assert 0 < report["updates"] < 3_000
    if faults:
        assert report["requests"] > report["updates"]
        assert report["dead_letters"] >= 4
    else:
        assert report["requests"] == report["updates"]
        assert report["dead_letters"] == 0


def test_off_a_terminal_it_reports_in_plain_lines(tmp_path: Path) -> None:
    """With the defaults: what is real, what is waited for, the sum, what to change."""
    with Demo(tmp_path, ["demo"], AROUND) as demo:
        demo.until(lambda: "the connector starts" in demo.stdout, "it says at once what it waits for")
        assert demo.wait(120) == 0
        said = demo.stdout
        assert demo.stderr == ""
    assert "\x1b" not in said
    assert said.startswith("20,000 events for 2,000 visitors; the broker is embedded, Target is a sandbox")
    assert "consumer group forms" in said
    assert re.search(
        r" of 20,000 events done, [\d,]+ events/s in, [\d,]+ updates/s out, \d+% of calls saved, [\d,]+ waiting", said
    )
    assert re.search(r"lost +0\n", said)
    assert re.search(r"wrong values +0\n", said)
    story, end = said.split("It reconciles.")
    assert "calls saved" in story
    for word in ("embedded", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPICS", "TARGET_CLIENT_CODE", "connector run"):
        assert word in end
    assert not folder_of(said).exists()


def test_what_is_done_stays_done_when_the_connector_is_killed(tmp_path: Path) -> None:
    """The next process counts from zero, and from older offsets: unadjusted, the numbers would fall and jump."""
    with Demo(tmp_path, [*SMALL, "--faults"], AROUND) as demo:
        assert demo.wait(120) == 0
        said = demo.stdout
    assert "the connector is killed" in said
    assert said.count("watch it in a browser") == said.count("its page is now") == 1
    told = [int(number.replace(",", "")) for number in re.findall(r"s  ([\d,]+) of 3,000 events done", said)]
    assert told == sorted(told)
    assert told[-1] > 0


def test_on_a_terminal_it_draws_a_board() -> None:
    """For a person: bar, rates and savings update in place, and the sum stays at the end."""
    code, drawn = on_a_terminal("xterm-256color")
    assert code == 0
    assert "\x1b[1A" in drawn
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn)
    for word in ("the connector starts", "consumer group forms", "━", "events/s", "calls saved", "waiting", "within"):
        assert word in plain, word
    assert "1,000 of 1,000 events done" in plain
    assert "It reconciles." in plain
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l")


def test_on_a_terminal_that_cannot_draw_it_prints_lines_until_ctrl_c() -> None:
    """Redrawing is impossible there, so lines show the progress; and Ctrl-C must reach us, not the child."""
    code, drawn = on_a_terminal("dumb", interrupt_at=" of 1,000 events done, ")
    assert code == 130
    assert "\x1b" not in drawn
    assert "Traceback" not in drawn
    assert "It reconciles." not in drawn


def on_a_terminal(kind: str, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a small demo on a pseudo-terminal, and press Ctrl-C there; returns its exit code and its output."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", "demo", "--events", "1000", "--visitors", "100"],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**unmeasured(), "TERM": kind},
        start_new_session=True,
        preexec_fn=_on_this_terminal,  # noqa: PLW1509 - two system calls
    )
    os.close(its)
    drawn = b""
    try:
        while piece := _read(ours):
            drawn += piece
            if interrupt_at is not None and interrupt_at.encode() in drawn:
                os.write(ours, b"\x03")
                interrupt_at = None
        return process.wait(20), drawn.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux raises it when the other end is closed.
        return b""


def _on_this_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _as_from_a_shell()


def _as_from_a_shell() -> None:
    """A suite that runs in the background ignores SIGINT, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


DEAD_AT_START = """
import os, sys
if sys.orig_argv[-2:] == ["connector", "run"]:
    print("no luck today", flush=True)
    os._exit(7)
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_connector_that_dies_at_its_start_is_shown_with_its_last_lines(tmp_path: Path, form: str) -> None:
    """Code 1, at once, the reason on the screen, and the log kept: a new user must not search for it."""
    (tmp_path / "sitecustomize.py").write_text(DEAD_AT_START)
    with Demo(tmp_path, [*SMALL, "--format", form], {"PYTHONPATH": str(tmp_path)}) as demo:
        assert demo.wait() == 1
        said = demo.stderr
    assert "the connector ended by itself with 7" in said
    assert "\nno luck today\n" in said
    assert "Traceback" not in said
    kept = Path(said.splitlines()[-1].split()[-1])
    assert (kept / "connector.log").read_text() == "no luck today\n"
    (kept / "connector.log").unlink()
    kept.rmdir()


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [
        (signal.SIGINT, 130, "the connector starts"),
        (signal.SIGTERM, 143, "consumer group forms"),
        (signal.SIGHUP, 143, "events done"),
    ],
)
def test_an_end_from_outside_is_quick_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int, moment: str
) -> None:
    """Ctrl-C, a supervisor, a closed window: no process, no folder, no traceback remains."""
    mark = uuid.uuid4().hex
    environment = {**unmeasured(), "DEMO_RUN": mark}
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", *SMALL],
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,
            preexec_fn=_as_from_a_shell,  # noqa: PLW1509 - one system call
        )
    try:
        until(lambda: moment in out.read_text(), 90, f"it says {moment}")
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(20) == code
        assert time.monotonic() - began < 20
    finally:
        process.kill()
        process.wait()
    said = out.read_text()
    assert "Traceback" not in said
    assert not folder_of(said).exists()
    if sys.platform == "linux":
        assert survivors(f"DEMO_RUN={mark}") == []


def folder_of(said: str) -> Path:
    """Where the connector's log was."""
    found = re.search(r"log, kept only if something goes wrong: (\S+)$", said, re.MULTILINE)
    assert found, said
    return Path(found[1]).parent


def test_a_single_event_with_faults_reconciles_too(tmp_path: Path) -> None:
    """The crash in the middle must not coincide with the end."""
    with Demo(tmp_path, ["demo", "--events", "1", "--visitors", "1", "--faults", "--format", "json"], {}) as demo:
        assert demo.wait(90) == 0
        assert json.loads(demo.stdout)["events"] == 1
