"""`connector sandbox` is the first endpoint of a new user: it must start, say how to try it, and end cleanly."""

import http.client
import re
import signal
import socket
import subprocess
import sys

import pytest

from connector.cli import main
from connector.settings import load

COMMAND = [sys.executable, "-m", "connector", "sandbox"]


def test_it_serves_until_it_is_interrupted_and_sums_up() -> None:
    """Port 0 picks one, the first line has the URL and a curl line, SIGINT ends it with code 0 and a summary."""
    options = ["--port", "0", "--token", "secret", "--quota", "1/60", "--path", "code", "--client-code", "acme"]
    options += ["--log-limit", "1", "--expire-after", "60", "--fault", "delay=0.01", "--consecutive", "override"]
    options += ["--session", "1800", "--empty-values", "ignore", "--value-limit", "256", "--time-offset=-04:00"]
    options += ["--fetch-quota", "10/60", "--unknown-visitor", "not_found", "--wrong-path", "success"]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
            assert found is not None, first
            assert "/m2/acme/profile/update?mbox3rdPartyId=123&profile.loyaltyTier=gold" in first
            assert "secret" not in first
            statuses = []
            for token in ("secret", "secret"):
                connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
                target = "/m2/acme/profile/update?mboxPC=1&profile.a=1"
                connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
                statuses.append(connection.getresponse().status)
                connection.close()
            assert statuses == [200, 429]
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")
    assert out == "sandbox: 2 requests, 1 applied, 1 visitors, 0 broken rules, 0 of them two in flight\n"


def test_a_taken_port_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """One line with host and port instead of a traceback, and code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["sandbox", "--port", port]) == 1
    assert f"cannot listen on 127.0.0.1 port {port}: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "statu=503"], "fault 'statu=503': 'statu' is no kind of fault"),
        (["--quota", "ten"], "write quota=1000/60"),
        (["--port", "70000"], "'70000' is no port"),
        (["--port", "x"], "'x' is no port"),
        (["--log-limit", "-1"], "'-1' is no whole number"),
        (["--log-limit", "x"], "'x' is no whole number"),
        (["--port", "9" * 5_000], "9…' is no port (0 to 65535)"),
        (["--seed", "x"], "'x' is no whole number"),
        (["--expire-after", "0"], "'0' is no number of seconds above 0"),
        (["--expire-after", "x"], "'x' is no number of seconds above 0"),
        (["--path", "other"], "invalid choice"),
        (["--value-limit", "0"], "'0' is no number of characters, 1 or more"),
        (["--session", "0"], "'0' is no number of seconds above 0"),
        (["--time-offset", "4"], "'4' is no offset from UTC, such as -04:00 or 05:30"),
        (["--time-offset=-24:00"], "is no offset from UTC"),
        (["--fetch-quota", "ten"], "write quota=1000/60"),
        (["--kafka-port", "x"], "'x' is no port (0 to 65535)"),
        (["--kafka-topics", "a,"], "argument --kafka-topics: a name is empty"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2 and a message that names what was wrong."""
    assert main(["sandbox", *options]) == 2
    assert words in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """With the faults, whose syntax cannot be guessed."""
    assert main(["sandbox", "--help"]) == 0
    out = capsys.readouterr().out
    assert "connector sandbox --port 8099 --fault status=503,p=0.1,retry_after=1" in out
    assert "unauthorized_after=30" in out


def test_the_example_of_a_connector_beside_it_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the variables of Target alone `connector run` ends at once: Kafka's are missing."""
    assert main(["sandbox", "--help"]) == 0
    (line,) = re.findall(r"^  (.+) connector run$", capsys.readouterr().out.replace("\\\n", ""), re.MULTILINE)
    settings = load(dict(word.split("=", 1) for word in line.split()))
    assert (settings.target_base_url, settings.target_client_code) == ("http://127.0.0.1:8099", "demo")
