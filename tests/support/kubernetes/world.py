"""What the Pods need around them: a broker with TLS and a login, the sandbox Target, load, and the final checks."""

import json
import random
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trustme
import yaml
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from connector.ops.events import EVENTS
from tests.support.chart_tools import CHART
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import ANSWER_SECONDS
from tests.support.kafka.fetch import VERSION as KAFKA
from tests.support.kafka.fetch import Distribution
from tests.support.kafka.secure import key_store
from tests.support.kubernetes.node import PORT, Node
from tests.support.kubernetes.room import HOST, NODE
from tests.support.oracle import Event, caught_up, differences, event, fold
from tests.support.process import Sandbox, request, until

RELEASE: Final = "profiles"
NAMESPACE: Final = "profiles"
NAME: Final = f"{RELEASE}-target-profile-connector"
EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
PODS: Final = "app.kubernetes.io/component=connector"
VISITORS: Final = 300
BATCH: Final = 60
PAUSE_SECONDS: Final = 0.4
LINK_SECONDS: Final = 0.2
PARTITIONS: Final = 6
SETTLE_SECONDS: Final = 240.0
RENEWING: Final = "renewing"
"""The group of the release whose token is renewed."""
TOKEN_SECONDS: Final = 86_400

Manifest = dict[str, Any]


class World:
    """Everything beside the cluster, and the events so far. It lives for all steps."""

    def __init__(self, node: Node, helm: str, distribution: Distribution, folder: Path) -> None:
        """Nothing runs before it is entered."""
        self.node = node
        self._helm = helm
        self._folder = folder
        self._base: Manifest = yaml.safe_load(EVERYTHING.read_text())
        self.group: str = self._base["kafka"]["groupId"]
        self.topics: list[str] = self._base["kafka"]["topics"]
        self.events: list[Event] = []
        (self._port,) = free_ports(1)
        authority = trustme.CA()
        self._authority = authority.cert_pem.bytes().decode()
        (folder / "kafka").mkdir(parents=True)
        self.kafka = KafkaBroker(
            distribution,
            folder / "kafka",
            properties={
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(key_store(authority, folder / "kafka", HOST, "kafka-1")),
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
            },
            listeners={"SASL_SSL": f"{HOST}:{self._port}"},
        )
        self.sandbox: Sandbox
        self._kept = folder / "kept"
        self._kept.mkdir()

    @contextmanager
    def running(self) -> Iterator["World"]:
        """From the broker's start to its end."""
        try:
            self.kafka.start()
            self._create_user()
            for topic in self.topics:
                self.kafka.create_topic(topic, PARTITIONS)
            token = self._object("target-token")["stringData"]["token"]
            account = self._base["target"]["clientCode"]
            options = ("--host", HOST, "--client-code", account, "--token", token)
            with Sandbox(self._folder, *options) as self.sandbox, repeating(self._keep_logs, LINK_SECONDS):
                yield self
        finally:
            self.kafka.stop()

    # Helm and the cluster

    def values(self) -> str:
        """Values that differ from the chart's own example: addresses, and shorter times."""
        self._object("kafka-cluster-ca-cert")["stringData"]["ca.crt"] = self._authority
        different = {
            "kafka": {"bootstrapServers": [f"kafka-1:{self._port}"]},
            "hostAliases": [{"ip": HOST, "hostnames": ["kafka-1"]}],
            "target": {"baseUrl": self.sandbox.url, "maxUpdatesPerSecond": 200},
            "coalesce": {"lingerSeconds": 0.5},
            "logging": {"level": "info"},
            "networkPolicy": {"kafkaPorts": [self._port]},
            # A third of three would be rounded up to two.
            "podDisruptionBudget": {"maxUnavailable": 1},
            "extraObjects": self._base["extraObjects"],
        }
        path = self._folder / "values.json"
        path.write_text(json.dumps(different))
        return str(path)

    @contextmanager
    def renewing(self, folder: Path) -> Iterator[tuple[Sandbox, str]]:
        """Another Target, with token services and a group of its own; and the values that differ for it."""
        account = self._base["target"]["clientCode"]
        options = ("--host", HOST, "--client-code", account, "--token-life", str(TOKEN_SECONDS))
        with Sandbox(folder, *options) as target:
            target.until(lambda: "token services" in target.stdout, "it says where its token services are")
            words = shlex.split(target.stdout.splitlines()[1])
            told = dict(word.split("=", 1) for word in words if word.startswith("TARGET_"))
            different = {
                "kafka": {"groupId": RENEWING},
                "keda": {"enabled": False},
                "target": {
                    "baseUrl": target.url,
                    "authTokenFile": None,
                    "tenant": told["TARGET_TENANT"],
                    "tokenClientId": told["TARGET_TOKEN_CLIENT_ID"],
                    "tokenClientSecret": told["TARGET_TOKEN_CLIENT_SECRET"],
                    "tokenImsUrl": told["TARGET_TOKEN_IMS_URL"],
                    "tokenUrl": told["TARGET_TOKEN_URL"],
                },
                "token": {"schedule": "17 3 * * *", "renewBeforeSeconds": 10 * TOKEN_SECONDS},
                # The address of the Service `kubernetes` leads nowhere: nothing here routes Services.
                "extraEnv": [
                    {"name": "KUBERNETES_SERVICE_HOST", "value": NODE},
                    {"name": "KUBERNETES_SERVICE_PORT", "value": str(PORT)},
                ],
            }
            path = folder / "renewing.json"
            path.write_text(json.dumps(different))
            yield target, str(path)

    def helm(self, *arguments: str) -> str:
        """Run it against the release; returns its output. A failure shows that, and the Pods."""
        done = subprocess.run(
            [self._helm, *arguments, f"--namespace={NAMESPACE}"],
            env=self.node.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}\n{self.picture()}"
        return done.stdout

    def kubectl(self, *arguments: str) -> str:
        """Run it in the release's namespace."""
        return self.node.kubectl(f"--namespace={NAMESPACE}", *arguments)

    def get(self, *what: str) -> Manifest:
        """An object, or a list of them."""
        found: Manifest = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def pods(self, *, ready: bool = False) -> dict[str, Manifest]:
        """The connector's Pods by name, without terminating ones."""
        found: Iterable[Manifest] = self.get("pods", "--selector", PODS)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and (not ready or is_ready(pod))
        }

    def status(self, pod: Manifest) -> Manifest:
        """The status of the connector in it."""
        code, body = request(f"http://{pod['status']['podIP']}:{self._base['ops']['port']}", "GET", "/status")
        assert code == 200
        answer: Manifest = json.loads(body)
        return answer

    def picture(self) -> str:
        """State of the cluster for the report of a failure."""
        asked = (
            ("get", "all"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "--selector", PODS, "--all-containers", "--prefix", "--tail=15"),
        )
        return "\n".join(self.node.try_kubectl(f"--namespace={NAMESPACE}", *one).stdout[-5_000:] for one in asked)

    def lines(self) -> dict[str, list[Manifest]]:
        """The log of each connector that ever ran, by Pod; each line must be one of the known events."""
        logs: dict[str, list[Manifest]] = {}
        for path in sorted(self._kept.iterdir()):
            # Each line has a time, the stream, and F for a full line before it.
            texts = [line.split(" ", 3)[3] for line in path.read_text().split("\n")[:-1]]
            logs[path.name] = [json.loads(text) for text in texts]
        assert {line["event"] for lines in logs.values() for line in lines} <= EVENTS.keys()
        return logs

    def versions(self) -> str:
        """Logs of all parts."""
        node: Manifest = self.get("node", "node")["status"]["nodeInfo"]
        named = {
            "Kubernetes": node["kubeletVersion"],
            "containerd": node["containerRuntimeVersion"].rpartition("/")[2],
            "runc": version("runc", "--version"),
            "etcd": version("etcd", "--version"),
            "Helm": version(self._helm, "version", "--short"),
            "Apache Kafka": KAFKA,
            "Linux": node["kernelVersion"],
        }
        return ", ".join(f"{name} {number}" for name, number in named.items())

    # Load and checks

    @contextmanager
    def flow(self) -> Iterator[None]:
        """Produce events without an end while this is entered."""
        rng = random.Random(len(self.events))
        with repeating(lambda: self.produce(BATCH, rng), PAUSE_SECONDS):
            yield

    def produce(self, count: int, rng: random.Random) -> None:
        """Append this many events; a visitor's are all in one topic, and each has a higher number than all before."""
        batch: dict[str, list[Event]] = {topic: [] for topic in self.topics}
        for number in range(len(self.events), len(self.events) + count):
            who = rng.randrange(VISITORS)
            batch[self.topics[who % len(self.topics)]].append(event(f"visitor-{who}", seq=number))
        for topic, events in batch.items():
            self.kafka.produce(topic, [(one.key, one.value, None) for one in events])
            self.events += events

    def settle(self) -> None:
        """Wait until all is committed, and check: nothing lost, nothing stale, nothing sent again, no rule broken."""
        until(
            lambda: all(caught_up(self.kafka, topic, self.group) for topic in self.topics),
            SETTLE_SECONDS,
            "all events are committed",
        )
        assert differences(fold(one.value for one in self.events), self.sandbox.profiles()) == []
        again = sent_again(self.sandbox.log())
        assert again == [], f"{again}\n{self.endings()}"
        self.sandbox.assert_no_rule_was_broken()

    def endings(self) -> str:
        """The last lines of each connector's log, for the report of a failure."""
        return "\n".join(f"--- {pod}\n{json.dumps(lines[-12:], indent=1)}" for pod, lines in self.lines().items())

    # Internals

    def _keep_logs(self) -> None:
        """The kubelet deletes a Pod's logs with the Pod; a hard link keeps them, and they grow while it lives."""
        for path in self.node.pod_logs.glob(f"{NAMESPACE}_*/connector/*.log"):
            kept = self._kept / f"{path.parts[-3].split('_')[1]}.{path.stem}"
            if not kept.exists():
                kept.hardlink_to(path)

    def _object(self, name: str) -> Manifest:
        """One of the further objects in the example's values."""
        objects: Iterable[Manifest] = (one for one in self._base["extraObjects"] if isinstance(one, dict))
        (found,) = [one for one in objects if one["metadata"]["name"] == name]
        return found

    def _create_user(self) -> None:
        kafka = self._base["kafka"]
        credentials = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(kafka["saslUsername"], credentials, kafka["saslPassword"].encode())
        admin = self.kafka.admin()
        for done in admin.alter_user_scram_credentials([change]).values():
            done.result(ANSWER_SECONDS)


@contextmanager
def repeating(deed: Callable[[], None], seconds: float) -> Iterator[None]:
    """Repeat it with a pause until the context ends; its failure is raised at the end."""
    ending = threading.Event()
    failures: list[BaseException] = []

    def repeat() -> None:
        try:
            while not ending.wait(seconds):
                deed()
        except BaseException as failure:  # noqa: BLE001 - told below, by the thread that waits
            failures.append(failure)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
    assert not failures, failures


def version(*command: str) -> str:
    """The first version number in a program's output."""
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    assert found, said
    return found[0]


def is_ready(pod: Manifest) -> bool:
    """Whether all its containers are ready, as the kubelet says."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def sent_again(log: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Accepted requests that brought nothing newer than an accepted one before them: events only count up."""
    held: dict[str, int] = {}
    found = []
    for one in sorted((one for one in log if one["applied"]), key=lambda one: float(one["start"])):
        number = int(one["attributes"]["seq"])
        if held.get(one["visitor"], -1) >= number:
            found.append(one)
        held[one["visitor"]] = max(number, held.get(one["visitor"], -1))
    return found
