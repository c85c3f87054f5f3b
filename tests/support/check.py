"""`connector check` as a person runs it, with settings under which nothing can be reached."""

from collections.abc import Mapping

import pytest

from connector.cli import main

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "KAFKA_TOPICS": "t",
    "TARGET_CLIENT_CODE": "demo",
    "TARGET_BASE_URL": "http://127.0.0.1:9",
}
SECRET = "do-not-print-me"


def checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Mapping[str, str], *words: str
) -> tuple[int, list[str]]:
    """Exit code and lines of a run with these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    code = main(["check", *words])
    said = capsys.readouterr()
    assert said.err == ""
    return code, said.out.splitlines()
