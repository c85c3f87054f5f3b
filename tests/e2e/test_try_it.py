"""What docs/try-it.md shows: one event from the command line to the profile, without a cluster or containers."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.kafka.broker import free_ports
from tests.support.process import ColdConnector, Program, request

PAGE = Path(__file__).parents[2] / "docs" / "try-it.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> dict[str, list[str]]:
    """The page's commands of ours, by the command's name, as words; `curl` and `export` are steps too."""
    found = {}
    for block in _BLOCK.findall(PAGE.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            name = words[1] if words[0].endswith("connector") else words[0]
            found[name] = words
    return found


def elsewhere(words: list[str], ports: dict[str, int]) -> list[str]:
    """The same words with free ports: a test must not need the page's own."""
    return [re.sub("|".join(ports), lambda match: str(ports[match[0]]), word) for word in words]


def get(url: str) -> Any:
    """What a GET answers, as JSON."""
    status, body = request(url, "GET", urlsplit(url).path)
    assert status == 200
    return json.loads(body)


def test_every_step_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    """A newcomer types these; the resulting profile is the one that the page shows."""
    page = steps()
    assert list(page) == ["make", "sandbox", "export", "run", "produce", "curl"]
    ports = dict(zip(("8099", "19092", "8080"), map(str, free_ports(3)), strict=True))
    moved = {name: elsewhere(words, {old: int(new) for old, new in ports.items()}) for name, words in page.items()}
    settings = dict(word.split("=", 1) for word in moved["export"][1:])
    with Program(tmp_path, moved["sandbox"][1:], {}) as sandbox:
        sandbox.until(lambda: "embedded Kafka on" in sandbox.stdout, "the sandbox says where its Kafka is")
        with ColdConnector(tmp_path, {**settings, "OPS_PORT": ports["8080"]}) as connector:
            connector.until(connector.ready, "it has its partitions")
            with Program(tmp_path, moved["produce"][1:], settings) as produce:
                assert produce.wait() == 0
                assert produce.stdout.startswith("1 event written to profile-changes (partition ")
            url = moved["curl"][-1]
            profiles = connector.until(lambda: get(url), "the profile is there")
            assert profiles == {"mbox3rdPartyId:123456": {"loyaltyTier": "gold", "points": "120"}}
            assert json.dumps(profiles) in PAGE.read_text()
            assert connector.stop() == 0
        sandbox.interrupt()
        assert sandbox.wait() == 0
        assert "0 broken rules" in sandbox.stdout


def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    """Code 1, and the endpoint's port is free again at once."""
    one, two = free_ports(2)
    with Program(tmp_path, ["sandbox", "--port", str(one), "--kafka-port", str(two)], {}) as first:
        first.until(lambda: "embedded Kafka on" in first.stdout, "it listens")
        with Program(tmp_path, ["sandbox", "--port", "0", "--kafka-port", str(two)], {}) as second:
            assert second.wait() == 1
            assert f"sandbox: cannot listen on 127.0.0.1 port {two}: " in second.stderr
        assert first.stop() == 0
