"""`connector demo --keep`: after the sum the connector and its page stay up until Ctrl-C."""

import json
import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from connector.demo.run import PAGE_PORT
from tests.conftest import survivors
from tests.support.process import Demo, Program, request

SMALL = ("demo", "--events", "1000", "--visitors", "100", "--keep")
MARK = "DEMO_KEEP_RUN"


def taken(port: int) -> socket.socket | None:
    """Bind the port; None if another program has it."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def page(demo: Program) -> str:
    """The URL of the kept page, once the sum was printed."""
    found = demo.until(
        lambda: re.search(r"its status page is (http://\S+/); Ctrl-C ends it", demo.stdout), "it is kept"
    )
    assert found is not None
    return found[1]


def test_the_page_stays_on_its_port_until_ctrl_c(tmp_path: Path) -> None:
    """The sum comes first; the connector still works; the exit code is the reconciliation's, not the interrupt's."""
    free = taken(PAGE_PORT)
    if free is None:
        pytest.skip(f"NOT RUN, port {PAGE_PORT} is in use on this machine")
    free.close()
    with Program(tmp_path, SMALL, {MARK: str(tmp_path)}) as demo:
        url = page(demo)
        assert url == f"http://127.0.0.1:{PAGE_PORT}/"
        assert demo.stdout.index("It reconciles.") < demo.stdout.index(url + ";")
        assert demo.stdout.count("It reconciles.") == 1
        assert request(url, "GET", "/readyz")[0] == 200
        assert b"<html" in request(url, "GET", "/")[1]
        demo.interrupt()
        assert demo.wait() == 0
        assert demo.stderr == ""
    assert survivors(f"{MARK}={tmp_path}") == []


def test_with_its_port_taken_the_page_is_on_a_free_one(tmp_path: Path) -> None:
    """Reported, not a failure: other programs use 8080 too."""
    with ExitStack() as until_the_end:
        if (socket_there := taken(PAGE_PORT)) is not None:
            until_the_end.enter_context(socket_there)
        with Demo(tmp_path, SMALL, {}) as demo:
            url = page(demo)
            assert f"port {PAGE_PORT} is taken, so the status page gets a free one" in demo.stdout
            assert url != f"http://127.0.0.1:{PAGE_PORT}/"
            assert request(url, "GET", "/status")[0] == 200
            demo.interrupt()
            assert demo.wait() == 0


def test_what_does_not_reconcile_is_code_1_after_ctrl_c_too(tmp_path: Path) -> None:
    """A value at Target that no event asked for: the sum says so, and so does the exit code."""
    with Demo(tmp_path, SMALL, {}) as demo:
        found = demo.until(lambda: re.search(r"Target (http://\S+)$", demo.stdout, re.MULTILINE), "the sandbox is up")
        assert found is not None
        stranger = "/m2/client/profile/update?mbox3rdPartyId=stranger&profile.a=1"
        assert request(found[1], "GET", stranger)[0] == 200
        page(demo)
        assert "IT DOES NOT RECONCILE." in demo.stdout
        demo.interrupt()
        assert demo.wait() == 1
        assert "it does not reconcile: 0 values lost, 1 wrong" in demo.stderr
        log = Path(demo.stderr.split()[-1])
    (log / "connector.log").unlink()
    log.rmdir()


def test_for_programs_the_sum_is_one_line_at_once(tmp_path: Path) -> None:
    """A script reads it and fetches the page, or ends it."""
    with Demo(tmp_path, [*SMALL, "--format", "json"], {}) as demo:
        line = demo.until(lambda: demo.stdout, "the sum is printed")
        assert json.loads(line)["lost"] == 0
        assert demo.exit_code is None
        demo.interrupt()
        assert demo.wait() == 0
        assert demo.stdout == line
