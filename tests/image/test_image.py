"""The image as a cluster runs it: without rights, on a read-only root, against the real broker."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image import VERSION, Container, Image, build, discard
from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, fold, plain_events
from tests.support.process import Sandbox, environment

SEED = 20_261_122
NOBODY = 65_532


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this tree, built once."""
    missing = [tool for tool in ("buildah", "runc", "debootstrap") if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        message = f"NOT RUN, building the image needs {', '.join(missing)}"
        if os.environ.get("CI"):
            raise RuntimeError(message)
        pytest.skip(message)
    try:
        yield build(tmp_path_factory.mktemp("image"))
    finally:
        discard()


def test_events_flow_and_the_sums_are_right(image: Image, kafka: Kafka, tmp_path: Path) -> None:
    """A start that writes to its root, needs a right, or needs a package of the build alone fails here."""
    topic = kafka.unique_topic("image", 4)
    events = plain_events(random.Random(SEED), 5_000, 500)
    kafka.produce(topic, [(event.key, event.value, None) for event in events])
    with Sandbox(tmp_path) as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url)
        with Container(image, tmp_path, settings) as connector:
            connector.until(connector.ready, "it is ready")
            assert rights(connector.pid()) == {"Uid": f"{NOBODY}", "CapEff": "0000000000000000", "NoNewPrivs": "1"}
            assert root_options(connector.pid()).startswith("ro,")
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            metrics = connector.metrics()
            began = time.monotonic()
            assert connector.stop() == 0
            assert time.monotonic() - began < 25
        done = {name: value for name, value in metrics.items() if name.startswith("target_connector_events_done")}
        assert metrics["target_connector_events_consumed_total"] == len(events)
        assert sum(done.values()) == len(events)
        assert done['target_connector_events_done_total{outcome="accepted"}'] == len(events)
        assert differences(fold(event.value for event in events), sandbox.profiles()) == []
        assert sandbox.stats()["applied"] == metrics['target_connector_updates_total{outcome="accepted"}']
        sandbox.assert_no_rule_was_broken()


def test_the_check_of_the_init_container_passes(image: Image, kafka: Kafka, tmp_path: Path) -> None:
    """It has no more rights than the connector, and must not fail where the connector would run."""
    topic = kafka.unique_topic("image-check", 2)
    with Sandbox(tmp_path) as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, KAFKA_DEAD_LETTER_TOPIC=f"{topic}-letters")
        kafka.create_topic(f"{topic}-letters", 1)
        with Container(image, tmp_path, settings, "check") as check:
            assert check.wait() == 0, check.stdout
            assert sandbox.stats()["requests"] == 0


def test_bad_settings_end_it_with_the_code_that_says_so(image: Image, tmp_path: Path) -> None:
    """The entry point is the program itself, in exec form: the cluster sees its exit code and its line."""
    with Container(image, tmp_path, {"KAFKA_TOPICS": "a"}) as connector:
        assert connector.wait() == 2
        assert "KAFKA_BOOTSTRAP_SERVERS" in connector.stdout + connector.stderr


def test_other_commands_take_the_place_of_run(image: Image, tmp_path: Path) -> None:
    """The chart's checks are arguments to the same entry point."""
    with Container(image, tmp_path, {}, "--help") as connector:
        assert connector.wait() == 0
        assert "connector run" in connector.stdout


def test_it_says_what_it_is_and_for_whom(image: Image) -> None:
    """`runAsNonRoot` needs a numeric user; scanners need labels."""
    config = image.config
    assert config["User"] == f"{NOBODY}:{NOBODY}"
    assert config["Entrypoint"] == ["/opt/connector/bin/connector"]
    assert config["Cmd"] == ["run"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"title", "description", "revision"} <= {name.rpartition(".")[2] for name in labels}
    assert not [entry for entry in config["Env"] if entry.startswith("PIP_")]


def test_nothing_is_inside_that_only_a_build_needs(image: Image) -> None:
    """What is absent cannot be exploited, and needs no patch."""
    installed = {path.name.partition("-")[0].lower() for path in image.root.glob("opt/connector/lib/*/site-packages/*")}
    assert {"connector", "confluent_kafka", "aiohttp"} <= installed
    assert not installed & {"pip", "setuptools", "hatchling", "editables", "pytest", "tests"}
    for unwanted in ("source", "build", "wheel", "wheels/*", "usr/bin/gcc", "usr/local/bin/pip*"):
        assert not list(image.root.glob(unwanted)), unwanted


def test_its_user_can_change_nothing_of_it(image: Image) -> None:
    """Also on a root that is writable."""
    for path in (image.root / "opt/connector").rglob("*"):
        status = path.lstat()
        assert status.st_uid == 0, path
        assert path.is_symlink() or not status.st_mode & 0o022, path


def rights(pid: int) -> dict[str, str]:
    """The capabilities of this process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: text.split()[0] for name, _, text in (line.partition(":") for line in lines) if text.strip()}
    return {name: fields[name] for name in ("Uid", "CapEff", "NoNewPrivs")}


def root_options(pid: int) -> str:
    """The mount options of its root."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    (options,) = [fields[5] for fields in mounts if fields[4] == "/"]
    return options
