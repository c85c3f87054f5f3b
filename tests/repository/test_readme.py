"""README and docs contain what users type and configure: each command, name and link must exist."""

import argparse
import itertools
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connector.cli import COMMANDS, demo
from connector.cli.verify import textfile
from connector.events import JsonDecoder, Nulls
from connector.ops.metrics import DEFINITIONS
from connector.sandbox.broker import EmbeddedBroker
from connector.service import ledger_topic, quota_policy
from connector.settings import describe, load
from tests.support.process import Connector, Sandbox

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_METRIC = re.compile(r"\btarget_connector_[a-z_]+[a-z]\b")

ELSEWHERE = {
    # Proxy variables that every HTTP client reads.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    # OpenTelemetry's.
    "OTEL_BSP",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    # OpenSSL's, for authorities that the system does not trust.
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    # The tests' own.
    "KAFKA_TEST_CACHE",
    "REGISTRY_TEST_CACHE",
    "CHART_TEST_CACHE",
    "CLUSTER_TEST_CACHE",
    # The Dockerfile's, and one that a Service called kafka would set.
    "BASE_IMAGE",
    "BUILD_OPTIONS",
    # Those of scripts/publish, and a file that it sends, in docs/releasing.md.
    "GH_TOKEN",
    "REGISTRY_TOKEN",
    "REGISTRY_USER",
    "RELEASE_NOTES",
    "PIP_INDEX_URL",
    # pip's, in docs/development.md.
    "PIP_CONSTRAINT",
    "PIP_TARGET",
    "PIP_USER",
    "KAFKA_PORT",
    # Kafka's name of a right, and Kafka Connect's stages, in docs/dead-letters.md.
    "IDEMPOTENT_WRITE",
    "VALUE_CONVERTER",
    "TASK_PUT",
    "CLOCK_BOOTTIME",
    # Kafka's name of a right, in docs/check.md.
    "DESCRIBE_CONFIGS",
    # Fields of other people's events, in docs/mapping.md.
    "CUST_NO",
    "OPT_IN",
    "UPDATED_AT",
    "TIER_GOLD",
    "TIER_SILVER",
    "TIER_UNKNOWN",
}
"""Words in capitals that are no setting of ours; each with its source."""

REQUIRED = [doc.name for doc in describe() if doc.required]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def commands(language: str = "sh") -> list[list[str]]:
    """Every command of the README as its words, continued lines joined."""
    joined = (text.replace("\\\n", " ") for text in blocks(README, language))
    return [shlex.split(line) for text in joined for line in text.splitlines() if line.strip()]


MAKE = [words[1:] for words in commands() if words[0] == "make"]
OURS = [words for words in commands() if words[0] != "make"]


def recipe(words: list[str]) -> list[str]:
    """The command that make would run, as words, without running it."""
    command = ["make", "-n", "--no-print-directory", *words]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return shlex.split(printed.splitlines()[-1])


def test_the_readme_has_the_commands_that_it_is_about() -> None:
    """Otherwise the tests below would pass on a README without a block."""
    assert ["demo"] in MAKE
    assert ["test"] in MAKE
    assert any("ARGS=--faults" in words for words in MAKE)
    assert any("run" in words for words in OURS)


def test_the_readme_is_read_in_a_few_minutes() -> None:
    """At most 900 words, tables and commands included; the rest is a link away."""
    assert len(README.read_text().split()) <= 900
    assert set(_LINK.findall(README.read_text())) >= {"docs/try-it.md", "docs/releasing.md", "CONTRIBUTING.md"}


@pytest.mark.parametrize("words", MAKE, ids=" ".join)
def test_every_make_command_has_a_target_and_options_that_exist(words: list[str]) -> None:
    """Make prints the command; the parser takes the options; tests/e2e/test_demo.py runs the demo."""
    ran = recipe(words)
    if words[0] == "demo":
        assert ran[:2] == [".venv/bin/connector", "demo"]
        parser = argparse.ArgumentParser()
        demo.add_parser(parser.add_subparsers())
        parser.parse_args(ran[1:])
    else:
        assert words == ["test"]
        assert ran[:3] == [".venv/bin/python", "-m", "pytest"]


@pytest.mark.parametrize("words", OURS, ids=lambda words: " ".join(word for word in words if "=" not in word))
def test_every_other_command_is_ours(words: list[str]) -> None:
    """It is run from where `make` installs it, by a name that exists."""
    program, command = [word for word in words if "=" not in word][:2]
    assert program == ".venv/bin/connector"
    assert command in [known.name for known in COMMANDS]


@pytest.mark.parametrize(
    "words", [words for words in OURS if "run" not in words], ids=lambda words: " ".join(words[1:])
)
def test_every_command_that_only_prints_succeeds(words: list[str]) -> None:
    """As typed, without a terminal."""
    done = subprocess.run([sys.executable, "-m", "connector", *words[1:]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.e2e
def test_the_run_command_delivers_the_event_of_the_readme(tmp_path: Path) -> None:
    """Its variables load unchanged; with a sandbox's addresses it runs, delivers and stops."""
    (words,) = [words for words in OURS if "run" in words]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    settings = load(given)
    (example,) = blocks(README, "json")
    event = json.loads(example)
    with EmbeddedBroker() as broker, Sandbox(tmp_path, "--client-code", settings.target_client_code) as sandbox:
        (topic,) = settings.kafka_topics
        broker.create_topic(topic)
        broker.produce(topic, example.encode(), event["mbox3rdPartyId"].encode())
        broker.flush()
        here = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "TARGET_BASE_URL": sandbox.url, "OPS_PORT": "0"}
        here |= {"OPS_HOST": "127.0.0.1", "COALESCE_LINGER_SECONDS": "1"}
        here["QUOTA_UPDATES"] = "0"  # The embedded broker has neither append times nor topic configurations.
        with Connector(tmp_path, {**given, **here}) as connector:
            connector.until(sandbox.profiles, "the event is at Target")
            began = time.monotonic()
            assert connector.stop() == 0
            assert time.monotonic() - began < settings.shutdown_grace_seconds
        assert sandbox.profiles() == {
            f"mbox3rdPartyId:{event['mbox3rdPartyId']}": {"loyaltyTier": "gold", "points": "120", "active": "true"}
        }


def test_the_event_of_the_readme_decodes() -> None:
    """Producers copy it."""
    (example,) = blocks(README, "json")
    change = JsonDecoder(Nulls.REJECT)(example.encode())
    assert change.attributes == {"loyaltyTier": "gold", "points": "120", "active": "true"}
    assert change.occurred_at is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """A dead link loses a reader."""
    links = [link.partition("#")[0] for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_exists(page: Path) -> None:
    """An unknown name ends the service at its start; a removed one must leave the docs too."""
    known = {doc.name for doc in describe()} | ELSEWHERE
    assert set(_VARIABLE.findall(page.read_text())) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_exists(page: Path) -> None:
    """Users copy alerts from docs; one on a missing metric never fires."""
    known = {definition.name for definition in DEFINITIONS} | textfile.METRICS.keys()
    known |= {f"{name}{ending}" for name in known for ending in ("_bucket", "_count", "_sum")}
    assert set(_METRIC.findall(page.read_text())) - known == set()


def test_the_page_of_verify_lists_its_metrics() -> None:
    """They are in a file and not on the ops port, so no other list has them."""
    listed = re.findall(
        r"^\| `(target_connector_verify_\w+)` \|", (ROOT / "docs" / "verify.md").read_text(), re.MULTILINE
    )
    assert listed == list(textfile.METRICS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_ours_in_a_block_exists(page: Path) -> None:
    """Each page is read on its own; a command must exist before a page shows it."""
    known = {command.name for command in COMMANDS}
    text = "\n".join(blocks(page, "sh"))
    assert set(re.findall(r"(?:^|[\s/])connector ([a-z]+)", text)) - known == set()


def test_the_ledger_made_by_hand_is_the_one_that_the_connector_makes() -> None:
    """A ledger with a retention below the counting time is refused at the start."""
    terms = quota_policy(load({name: "a:1" if "SERVERS" in name else "a" for name in REQUIRED}))
    assert terms is not None
    wanted = ledger_topic("target-profile-connector.quota", terms)
    text = "".join(blocks(ROOT / "docs" / "kubernetes.md", "sh")).replace("\\\n", " ")
    (words,) = [shlex.split(line) for line in text.splitlines() if f"--topic {wanted.name} " in line]
    told = dict(after.split("=") for option, after in itertools.pairwise(words) if option == "--config")
    assert told == {**wanted.configs, "min.insync.replicas": "2"}
