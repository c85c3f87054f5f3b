"""`connector verify` as a person runs it, on the embedded broker and the sandbox, whose fates are known."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connector.sandbox.broker import EmbeddedBroker
from tests.support.process import Program, Sandbox, environment, request

TOPIC = "verify"
HOUR_MS = 3_600_000
LONG = "long " * 60
VISITORS = ("good-one", "lost-one", "cut-one", "overwritten-one", "rejected-one", "open-one")
"""By what becomes of their events. A fetch takes its time, so they are few."""
SENT = VISITORS[:4]
OPTIONS = (
    "--update-only",
    "--value-limit",
    "256",
    "--time-offset=-04:00",
    "--path",
    "either",
    "--fault",
    "lost,visitors=lost-one",
)


class Scene:
    """What the service would have left behind: events, updates, dead letters and a committed offset."""

    def __init__(self, broker: EmbeddedBroker, sandbox: Sandbox) -> None:
        self.environ = environment(broker.bootstrap, TOPIC, sandbox.url)
        self.environ["KAFKA_DEAD_LETTER_TOPIC"] = f"{TOPIC}.dead"
        self.sandbox = sandbox
        for topic in (TOPIC, f"{TOPIC}.dead"):
            broker.create_topic(topic)
        self.ask("POST", "/sandbox/visitors", [f"mbox3rdPartyId:{name}" for name in VISITORS])
        self._produce(broker)
        for name in SENT:
            query = f"mbox3rdPartyId={name}&profile.a={LONG if name == 'cut-one' else 'new'}".replace(" ", "%20")
            assert request(sandbox.url, "GET", f"/m2/client/profile/update?{query}")[0] == 200
        self.ask("POST", "/sandbox/visitors", [{"visitor": f"mbox3rdPartyId:{SENT[-1]}", "attributes": {"a": "page"}}])

    def ask(self, method: str, path: str, body: object = None) -> Any:
        status, answer = request(self.sandbox.url, method, path, json.dumps(body).encode())
        assert status in (200, 204), answer
        return json.loads(answer) if answer else None

    def _produce(self, broker: EmbeddedBroker) -> None:
        """All but the last are settled, and older than Target takes at most."""
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        now = int(time.time() * 1_000)
        for name in VISITORS:
            value = {"mbox3rdPartyId": name, "profile": {"a": LONG if name == "cut-one" else "new"}}
            when = now if name == "open-one" else now - 30 * HOUR_MS
            producer.produce(TOPIC, json.dumps(value).encode(), name, 0, timestamp=when)
            if name == "rejected-one":
                producer.produce(f"{TOPIC}.dead", json.dumps(value).encode(), name, 0)
        assert producer.flush(10) == 0
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": TOPIC})
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, len(VISITORS) - 1)], asynchronous=False)
        consumer.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One for all tests, which only read."""
    folder = tmp_path_factory.mktemp("verify")
    with EmbeddedBroker() as broker, Sandbox(folder, *OPTIONS) as sandbox:
        yield Scene(broker, sandbox)


def ran(scene: Scene, folder: Path, *words: str, **settings: str) -> Program:
    """The command, run to its end."""
    with Program(folder, ["verify", *words], {**scene.environ, **settings}) as program:
        program.wait(120)
    return program


def test_each_visitor_is_judged_by_what_became_of_the_events(scene: Scene, tmp_path: Path) -> None:
    """The counts are the sandbox's own; no id is shown, no update sent, nothing joined."""
    before = scene.sandbox.stats()["requests"]
    file = tmp_path / "verify.prom"
    done = ran(scene, tmp_path, "--format", "json", "--textfile", str(file))
    assert done.exit_code == 1, done.stderr
    report = json.loads(done.stdout)
    told = {verdict: count for verdict, count in report["attributes"].items() if count}
    assert told == dict.fromkeys(["match", "lost", "overwritten", "cut", "dead_lettered"], 1)
    assert report["visitors"] == {
        "distinct": 5,
        "drawn": 5,
        "fetched": 5,
        "failed": 0,
        "unknown": 0,
        "judged": 3,
        "harmed": 2,
    }
    assert report["records"] == 5
    assert scene.ask("GET", "/sandbox/fates") == {"stands": 1, "lost": 1, "cut": 1, "overwritten": 1}
    assert scene.sandbox.stats()["requests"] == before
    metrics = file.read_text()
    assert 'target_connector_verify_attributes{verdict="lost"} 1.0' in metrics
    assert "target_connector_verify_exit_code 1.0" in metrics
    (line,) = [json.loads(each) for each in done.stderr.splitlines() if "profiles_verified" in each]
    assert (line["conclusion"], line["verdicts"]["cut"]) == ("harmed", 1)
    assert not any(name in done.stdout + done.stderr + metrics for name in VISITORS)


def test_one_visitor_is_judged_alone(scene: Scene, tmp_path: Path) -> None:
    """In words, with the bound that one visitor gives."""
    good = ran(scene, tmp_path, "--visitor", "good-one")
    assert good.exit_code == 0, good.stdout + good.stderr
    assert "0 of 1 visitors that could be judged have a lost, replaced or cut value" in good.stdout
    assert "good-one" not in good.stdout + good.stderr


def test_a_round_trip_says_which_form_of_the_path_arrived(scene: Scene, tmp_path: Path) -> None:
    """Here both do; the one that is set is sent last."""
    done = ran(scene, tmp_path, "--round-trip", "mbox3rdPartyId:good-one", "--wait", "1", "--format", "json")
    assert done.exit_code == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert [(form["path"], form["answer"]) for form in report["forms"]] == [
        ("/m2/demo/profile/update", "accepted"),
        ("/m2/client/profile/update", "accepted"),
    ]
    assert report["proved"] == "configured"
