"""The tests do not depend on the caller's environment: `make test-quick ARGS="-x"` tests what it does without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import neutralise

ROOT = Path(__file__).parents[2]

HOSTILE = {
    "ARGS": "-x",
    "MAKEFLAGS": "w -- ARGS=-x SEEDS=7 PYTHON=nothing",
    "MAKELEVEL": "3",
    "MINUTES": "many",
    "PYTHON": "/nowhere/python",
    "SEEDS": "none",
    "COLUMNS": "30",
    "FORCE_COLOR": "1",
    "LINES": "5",
    "NO_COLOR": "1",
    "COALESCE_LINGER_SECONDS": "nonsense",
    "KAFKA_BOOTSTRAP_SERVERS": "nowhere:1",
    "KAFKA_PORT": "tcp://10.0.0.1:9092",
    "LOG_LEVEL": "nonsense",
    "LOG_FORMAT": "console",
    "OPS_PORT": "1",
    "QUOTA_UPDATES": "0",
    "SCHEMA_REGISTRY_URL": "nowhere",
    "TARGET_BASE_URL": "https://nowhere.invalid",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "latin-1",
    "TZ": "Pacific/Kiritimati",
    "XDG_CACHE_HOME": "/nowhere",
    "XDG_CONFIG_HOME": "/nowhere",
}
"""Variables that a developer, a CI job or a Pod may have set."""

AFFECTED = (
    "tests/repository/test_readme.py",
    "tests/unit/test_cli_quota.py",
    "tests/unit/test_settings_describe.py",
    "tests/unit/test_settings_load.py",
    "tests/unit/test_target_proxy.py",
)
"""Tests that start make or the program, read settings, or check output; the quick ones of them."""


def test_no_variable_of_the_caller_decides_a_test() -> None:
    """The fault: ARGS of the caller reached the `make -n` of a test, which then checked another command."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not e2e", *AFFECTED]
    around = {**os.environ, **HOSTILE}
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:]


def test_an_interrupt_that_the_caller_ignores_reaches_what_the_tests_start() -> None:
    """The fault: a shell ignores SIGINT for a run in the background, and each command under test inherited that."""
    program = "import signal; raise SystemExit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)"
    look = (
        "import subprocess, sys; from tests.support.environment import restore_interrupt; restore_interrupt(); "
        f"raise SystemExit(subprocess.call([sys.executable, '-c', {program!r}]))"
    )
    words = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", look]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0


def test_what_the_tests_need_of_the_caller_stays() -> None:
    """Tools, their caches, and the switch that makes a missing tool a failure."""
    kept = {"PATH": "/bin", "CI": "true", "HOME": "/root", "KAFKA_TEST_CACHE": "/cache", "PYTHONPATH": "."}
    environ = {**kept, **HOSTILE}
    neutralise(environ)
    assert environ == {**kept, "XDG_CACHE_HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"}


@pytest.mark.parametrize("name", ["ARGS", "SEEDS", "MINUTES", "PYTHON"])
def test_every_variable_of_the_makefile_is_taken_away(name: str) -> None:
    """A new one must be added to tests/support/environment.py too."""
    makefile = (ROOT / "Makefile").read_text()
    assert f"\n{name} ?=" in makefile
    assert makefile.count(" ?=") == 4
