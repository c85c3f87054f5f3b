"""examples/compose.yaml without containers: its commands, variables and Kafka configuration, on free ports here."""

import re
from pathlib import Path
from typing import Any

import yaml

from connector.settings import describe
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.fetch import Distribution
from tests.support.process import ColdConnector, Program, Sandbox

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "compose.yaml").read_text())["services"]
OURS = ("sandbox", "connector", "producer")
PAGE_PORT = "8080"


class ComposeBroker(KafkaBroker):
    """The broker as the example configures it; the first port is that of its inner listener."""

    def __init__(self, distribution: Distribution, folder: Path, ports: dict[str, int]) -> None:
        given = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): here(text, ports)
            for name, text in SERVICES["kafka"]["environment"].items()
        }
        super().__init__(distribution, folder, properties=given)
        self.bootstrap = f"127.0.0.1:{ports['9092']}"


def here(text: str, ports: dict[str, int]) -> str:
    """The same with this machine's address and free ports."""
    text = re.sub(r"\b(kafka|sandbox):", "127.0.0.1:", text).replace("://:", "://127.0.0.1:")
    return re.sub(r"(?<=:)\d{4,5}\b", lambda port: str(ports.get(port[0], port[0])), text)


def test_every_variable_is_a_setting_and_every_port_is_listened_on() -> None:
    """A misspelt variable ends a connector; a port that nothing listens on looks like a firewall."""
    known = {doc.name: doc for doc in describe()}
    for name in OURS:
        assert SERVICES[name].get("environment", {}).keys() <= known.keys()
        assert SERVICES[name]["build"] == {"context": ".."}
    listeners = SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"]
    asked = [pair.rpartition(":")[2] for pair in SERVICES["kafka"]["ports"]]
    assert set(asked) <= set(re.findall(r":(\d+)", listeners))
    command = SERVICES["sandbox"]["command"]
    assert command[command.index("--port") + 1] == SERVICES["sandbox"]["ports"][0].rpartition(":")[2]
    assert SERVICES["connector"]["ports"][0].rpartition(":")[2] == PAGE_PORT
    assert known["OPS_PORT"].default == PAGE_PORT
    published = [pair for service in SERVICES.values() for pair in service.get("ports", [])]
    assert all(pair.startswith("127.0.0.1:") for pair in published), "an example is for this machine alone"


def test_every_image_of_others_is_pinned() -> None:
    """`latest` changes over time."""
    others = {service["image"] for service in SERVICES.values() if "build" not in service}
    assert others
    assert all(re.fullmatch(r"apache/kafka:\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", image) for image in others)


def test_the_producers_event_becomes_a_profile(distribution: Distribution, tmp_path: Path) -> None:
    """The whole example: topics, sandbox, connector with its quota, one event, the profile."""
    ports = dict(zip(("9092", "9093", "19092", "8099", PAGE_PORT), free_ports(5), strict=True))
    broker = ComposeBroker(distribution, tmp_path / "kafka", ports)
    try:
        broker.start()
        (script,) = SERVICES["topics"]["command"]
        (names,) = re.findall(r"for topic in (.+); do", script)
        (partitions,) = re.findall(r"--partitions (\d+)", script)
        for name in names.split():
            broker.create_topic(name, int(partitions))
        with Sandbox(tmp_path, *sandbox_options(ports)) as sandbox:
            settings = environment("connector", ports) | {"OPS_PORT": str(ports[PAGE_PORT])}
            with ColdConnector(tmp_path, settings) as connector:
                connector.until(connector.ready, "the health check of the example passes")
                words = SERVICES["producer"]["command"]
                with Program(tmp_path, words, environment("producer", ports)) as producer:
                    assert producer.wait() == 0, producer.stderr
                connector.until(sandbox.profiles, "the event is at Target")
                assert connector.stop() == 0
            assert sandbox.profiles() == {"mbox3rdPartyId:123456": {"loyaltyTier": "gold", "points": "120"}}
            sandbox.assert_no_rule_was_broken()
    finally:
        broker.stop()


def environment(service: str, ports: dict[str, int]) -> dict[str, str]:
    """The variables of a service."""
    return {name: here(text, ports) for name, text in SERVICES[service]["environment"].items()}


def sandbox_options(ports: dict[str, int]) -> list[str]:
    """Variables of the example behind the port that the helper gives; the last one counts."""
    first, *options = SERVICES["sandbox"]["command"]
    assert first == "sandbox"
    return [here(f":{word}", ports)[1:] for word in options]
