"""`connector check` against a broker with TLS, a login and rights: each possible fault, one at a time."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from connector.delivery.offset_mark import OffsetMark, encode
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import Kafka
from tests.support.kafka.fetch import Distribution
from tests.support.kafka.logs import delete_before
from tests.support.kafka.secure import PASSWORD, USER, SecureBroker
from tests.support.process import Command, Sandbox, until
from tests.support.shared import started

EVENT = '{"mbox3rdPartyId": "v-4711", "profile": {"a": 1}}'
REFUSED = '{"mbox3rdPartyId": "v-4712", "profile": {"a": [1]}}'
READ, WRITE, DESCRIBE, CREATE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.CREATE
DESCRIBE_CONFIGS = AclOperation.DESCRIBE_CONFIGS


class Said(NamedTuple):
    """A run's result: its exit code, its findings by subject, and its duration."""

    code: int
    state: dict[str, str]
    line: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def secure(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One for all tests of this file; each gives rights on names of its own."""
    broker = SecureBroker(distribution, tmp_path_factory.mktemp("secure"))
    with started(broker, broker.bootstrap):
        yield broker


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A healthy endpoint."""
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


def checked(folder: Path, settings: dict[str, str], *words: str) -> Said:
    """Run the program once."""
    began = time.monotonic()
    with Command(folder, ["check", "--format", "json", *words], settings) as program:
        code = program.wait(120)
        took = time.monotonic() - began
        assert program.stderr == ""
        assert PASSWORD not in program.stdout
        assert "v-471" not in program.stdout
        found = [json.loads(line) for line in program.stdout.splitlines()]
    state = {line["check"]: line["state"] for line in found}
    return Said(code, state, {line["check"]: f"{line['detail']} {line['remedy']}" for line in found}, took)


def settings(secure: SecureBroker, target: str, topic: str, **others: str) -> dict[str, str]:
    """A correct login; the group has the topic's name."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": secure.secure,
        "KAFKA_TOPICS": topic,
        "KAFKA_GROUP_ID": topic,
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CA_LOCATION": str(secure.authority),
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target,
        **others,
    }


def test_with_every_right_all_is_well_and_nothing_has_changed(
    secure: SecureBroker, target: Sandbox, tmp_path: Path
) -> None:
    """A check that committed, joined or created a topic would do damage in production."""
    topic = secure.unique_topic("well", 3)
    records = [(None, EVENT, number % 3) for number in range(40)]
    secure.produce(topic, [*records, (None, None, 0), (None, REFUSED, 1)])
    secure.allow(ResourceType.TOPIC, topic, [READ, DESCRIBE_CONFIGS])
    secure.allow(ResourceType.GROUP, topic, [READ, DESCRIBE_CONFIGS])
    secure.allow(ResourceType.TOPIC, f"{topic}.dead-letter", [WRITE, CREATE])
    secure.allow(ResourceType.TOPIC, f"{topic}.quota", [READ, WRITE, CREATE])
    short = {"TARGET_TIMEOUT_SECONDS": "1"}  # Longer would exceed the session that the test's broker grants.
    before = target.stats()["requests"]
    for protocol in ("classic", "consumer"):

        def run(protocol: str = protocol) -> Said | None:
            # A right takes a moment to come into force.
            said = checked(tmp_path, settings(secure, target.url, topic, **short, KAFKA_GROUP_PROTOCOL=protocol))
            return said if said.code == 0 and f"retention of topic {topic}" not in said.state else None

        said = until(run, 90, "every right is there")
        assert said is not None
        bad = {what: line for what, line in said.line.items() if said.state[what] != "ok"}
        assert bad.keys() == {f"events of {topic}"}
        # Three from each of the three partitions.
        assert "1 of the last 9 are refused: partition 1 offset 13: profile.a must be" in bad[f"events of {topic}"]
        assert "valid until" in said.line[f"kafka {secure.secure} TLS"]
        assert "may make it" in said.line[f"dead-letter topic {topic}.dead-letter"]
        assert said.line[f"topic {topic}"].startswith("partitions: 3")
        assert ("6 s" if protocol == "consumer" else "17 s") in said.line[f"session of group {topic}"]
    assert secure.committed(topic, topic) == {}
    assert not {f"{topic}.dead-letter", f"{topic}.quota"} & secure.topics()
    assert target.stats()["requests"] == before


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_that_no_partition_is_left_for_are_a_warning(
    kafka: Kafka, target: Sandbox, tmp_path: Path, protocol: str
) -> None:
    """Of either kind of group: the brokers report them by different calls."""
    topic = kafka.unique_topic("crowd", 1)
    joins = {"bootstrap.servers": kafka.bootstrap, "group.id": topic, "group.protocol": protocol}
    if protocol == "classic":
        joins["partition.assignment.strategy"] = "cooperative-sticky"
    members = [Consumer(joins) for _ in range(2)]
    for member in members:
        member.subscribe([topic])
    asks = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TOPICS": topic,
        "KAFKA_GROUP_ID": topic,
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target.url,
    }

    def run() -> Said | None:
        for member in members:
            member.poll(0.1)
        said = checked(tmp_path, asks)
        return said if said.state["partitions"] == "warning" else None

    try:
        said = until(run, 60, "both have joined")
    finally:
        for member in members:
            member.close()
    assert said is not None
    assert said.code == 0
    assert said.line["partitions"].startswith("1 in all, and the group has 2 members: 1 of them without work run fewer")


def test_a_quota_topic_that_would_lose_what_counts_is_named_with_the_command(
    secure: SecureBroker, target: Sandbox, tmp_path: Path
) -> None:
    """A ledger with the producers' timestamps, or a retention too short, would break the quota months later."""
    topic = secure.unique_topic("ledger", 1)
    ledger = secure.create_topic(f"{topic}.quota")
    secure.allow(ResourceType.TOPIC, ledger, [READ, WRITE, DESCRIBE_CONFIGS])

    def run() -> Said | None:
        said = checked(tmp_path, settings(secure, target.url, topic))
        return said if said.state[f"rights on quota topic {ledger}"] == "ok" else None

    said = until(run, 90, "the rights are there")
    assert said is not None
    assert said.state[f"set-up of quota topic {ledger}"] == "failed"
    line = said.line[f"set-up of quota topic {ledger}"]
    assert "message.timestamp.type is CreateTime" in line
    assert f"--entity-name {ledger} --add-config" in line
    assert "message.timestamp.type=LogAppendTime" in line
    without = checked(tmp_path, settings(secure, target.url, topic, QUOTA_UPDATES="0"))
    assert without.state["quota topic"] == "warning"


def test_each_missing_right_is_named_with_whom_to_give_it_to(
    secure: SecureBroker, target: Sandbox, tmp_path: Path
) -> None:
    """A bare authorization failure makes the reader guess; which right, on what, for whom is one command."""
    topic = secure.unique_topic("rights")
    none = checked(tmp_path, settings(secure, target.url, topic))
    assert none.code == 1
    assert {what for what, state in none.state.items() if state == "failed"} == {
        f"topic {topic}",
        f"group {topic}",
        f"dead-letter topic {topic}.dead-letter",
        f"quota topic {topic}.quota",
    }
    assert f"allow READ, DESCRIBE on topic {topic} to User:{USER}" in none.line[f"topic {topic}"]

    letters = secure.create_topic(f"{topic}.dead-letter")
    for kind, name in ((ResourceType.TOPIC, topic), (ResourceType.TOPIC, letters), (ResourceType.GROUP, topic)):
        secure.allow(kind, name, [DESCRIBE])

    def seen() -> Said | None:
        said = checked(tmp_path, settings(secure, target.url, topic))
        return said if len({what for what in said.state if what.startswith("rights on ")}) == 3 else None

    some = until(seen, 90, "the rights to describe are there")
    assert some is not None
    assert some.code == 1
    lacking = {f"topic {topic}": "READ", f"dead-letter topic {letters}": "WRITE", f"group {topic}": "READ"}
    assert some.state[f"retention of topic {topic}"] == "warning"
    assert "DESCRIBE_CONFIGS" in some.line[f"retention of topic {topic}"]
    for what, right in lacking.items():
        assert some.state[f"rights on {what}"] == "failed"
        assert f"no {right} " in some.line[f"rights on {what}"]
        assert USER in some.line[f"rights on {what}"]


@pytest.mark.parametrize(
    ("wrong", "step", "words"),
    [
        ({"KAFKA_SASL_PASSWORD": "something-else"}, "login", "KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, "login", "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SSL_CA_LOCATION": None}, "TLS", "KAFKA_SSL_CA_LOCATION"),
        (
            dict.fromkeys(
                (
                    "KAFKA_SECURITY_PROTOCOL",
                    "KAFKA_SASL_MECHANISM",
                    "KAFKA_SASL_USERNAME",
                    "KAFKA_SASL_PASSWORD",
                    "KAFKA_SSL_CA_LOCATION",
                )
            ),
            "login",
            "KAFKA_SECURITY_PROTOCOL",
        ),
    ],
    ids=["password", "mechanism", "authority", "plaintext"],
)
def test_a_listener_that_refuses_names_the_step_and_the_variable(
    secure: SecureBroker, target: Sandbox, tmp_path: Path, wrong: dict[str, str | None], step: str, words: str
) -> None:
    """The client alone says "broker transport failure" to most of these, repeatedly."""
    given = {**settings(secure, target.url, "t"), **wrong}
    said = checked(tmp_path, {name: value for name, value in given.items() if value is not None})
    assert said.code == 1
    assert [what for what, state in said.state.items() if state == "failed"] == [f"kafka {secure.secure} {step}"]
    assert words in said.line[f"kafka {secure.secure} {step}"]
    assert said.state["topics"] == said.state["group"] == said.state["dead-letter topic"] == "skipped"


def test_missing_topics_are_named_and_the_rest_is_still_looked_at(
    kafka: Kafka, target: Sandbox, tmp_path: Path
) -> None:
    """One of two topics misspelt is a common mistake; an empty one is none."""
    topic = kafka.unique_topic("there", 2)
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TOPICS": f"{topic},{topic}-misspelt",
        "KAFKA_GROUP_ID": topic,
        "KAFKA_DEAD_LETTER_TOPIC": "",
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target.url,
    }
    said = checked(tmp_path, given)
    assert said.code == 1
    assert said.state[f"topic {topic}-misspelt"] == "failed"
    assert "does not exist" in said.line[f"topic {topic}-misspelt"]
    assert said.state[f"topic {topic}"] == said.state[f"events of {topic}"] == "ok"
    assert "none yet" in said.line[f"events of {topic}"]
    assert "stops at the first" in said.line["dead-letter topic"]
    assert checked(tmp_path, {**given, "KAFKA_TOPICS": topic}).code == 0


def test_an_unreachable_advertised_address_is_named_as_such(
    distribution: Distribution, target: Sandbox, tmp_path: Path
) -> None:
    """The first connection works, and all others would go elsewhere: a common mistake behind a load balancer."""
    reached, dead = free_ports(2)
    broker = KafkaBroker(
        distribution,
        tmp_path / "kafka",
        properties={
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,OUT:PLAINTEXT",
        },
        listeners={"OUT": f"127.0.0.1:{reached}"},
        advertised={"OUT": f"127.0.0.1:{dead}"},
    )
    try:
        broker.start()
        # There never was a group here: its coordinator is elected at the first request.
        topic = broker.create_topic("fresh")
        plain = {"KAFKA_TOPICS": topic, "TARGET_CLIENT_CODE": "demo", "TARGET_BASE_URL": target.url}
        said = checked(tmp_path, {**plain, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{reached}"})
        assert said.code == 1
        assert said.state[f"kafka 127.0.0.1:{reached} login"] == "ok"
        assert said.state["kafka advertised addresses"] == "failed"
        assert f"127.0.0.1:{dead}" in said.line["kafka advertised addresses"]
        assert "advertised.listeners" in said.line["kafka advertised addresses"]
        assert checked(tmp_path, {**plain, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}).code == 0
        meant = checked(tmp_path, {**plain, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "KAFKA_TOPICS": "frsh"})
        assert "did you mean fresh?" in meant.line["topic frsh"]
    finally:
        broker.stop()


def test_events_behind_an_aborted_tail_and_behind_a_lone_marker_are_seen(
    kafka: Kafka, target: Sandbox, tmp_path: Path
) -> None:
    """A transaction's marker takes an offset and is never delivered; "none yet" would be wrong for a topic in use."""
    topic = kafka.unique_topic("transactions", 3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)

    def transaction(count: int, partition: int, *, commit: bool) -> None:
        producer.begin_transaction()
        for number in range(count):
            producer.produce(topic, EVENT if commit else REFUSED, key=str(number), partition=partition)
        producer.flush(30)
        end = producer.commit_transaction if commit else producer.abort_transaction
        end(30)

    plain = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA_TOPICS": topic, "KAFKA_GROUP_ID": topic}
    plain |= {"TARGET_CLIENT_CODE": "demo", "TARGET_BASE_URL": target.url, "TARGET_TIMEOUT_SECONDS": "1"}
    transaction(30, 2, commit=False)
    said = checked(tmp_path, plain)
    assert said.state[f"events of {topic}"] == "ok"
    assert "aborted transactions or their markers" in said.line[f"events of {topic}"]
    transaction(2, 0, commit=True)
    transaction(500, 0, commit=False)
    transaction(1, 1, commit=True)
    said = checked(tmp_path, plain)
    assert said.line[f"events of {topic}"].startswith("the last 3 are in the right form")


def test_a_committed_offset_that_the_log_does_not_have_any_more_is_named(
    kafka: Kafka, target: Sandbox, tmp_path: Path
) -> None:
    """Reported before `connector run` starts there: afterwards only a counter shows it, and the producer must help."""
    topic = kafka.unique_topic("gone", 3)
    kafka.produce(topic, [(None, EVENT, number % 3) for number in range(60)])
    other = encode(OffsetMark("AAAAAAAAAAAAAAAAAAAAAQ", 0), "")
    client = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})
    try:
        places = [(0, 5, ""), (1, 500, ""), (2, 7, other)]
        client.commit(offsets=[TopicPartition(topic, *place) for place in places], asynchronous=False)
        delete_before(kafka, topic, 15)
    finally:
        client.close()
    plain = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA_TOPICS": topic, "KAFKA_GROUP_ID": topic}
    said = checked(tmp_path, {**plain, "TARGET_CLIENT_CODE": "demo", "TARGET_BASE_URL": target.url})
    line = said.line[f"committed offsets of {topic}"]
    assert said.state[f"committed offsets of {topic}"] == "warning"
    assert "partition 0: committed is 5, and the log begins at 15: 10 records are gone" in line
    assert "partition 1: committed is 500, and the log ends at 20: 480 records are gone" in line
    assert "partition 2: the topic was made again since offset 7 was committed" in line
    assert "retention.ms" in line
    assert "unclean.leader.election.enable=false" in line
    assert "who deleted" in line


def test_another_program_in_the_group_is_found(kafka: Kafka, target: Sandbox, tmp_path: Path) -> None:
    """A consumer with the default assignor of many clients: the connector could never join its group."""
    topic = kafka.unique_topic("ranged")
    member = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": topic, "partition.assignment.strategy": "range"}
    )
    try:
        member.subscribe([topic])
        until(lambda: member.poll(0.1) is None and bool(member.assignment()), 60, "it has its partition")
        plain = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA_TOPICS": topic, "KAFKA_GROUP_ID": topic}
        said = checked(tmp_path, {**plain, "TARGET_CLIENT_CODE": "demo", "TARGET_BASE_URL": target.url})
    finally:
        member.close()
    assert said.code == 1
    assert said.state[f"members of group {topic}"] == "failed"
    assert "range" in said.line[f"members of group {topic}"]


def test_a_server_that_is_down_is_a_warning_while_another_answers(
    kafka: Kafka, target: Sandbox, tmp_path: Path
) -> None:
    """The service starts with one of its servers; an init container must not prevent that."""
    topic = kafka.unique_topic("down")
    (dead,) = free_ports(1)
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{dead},{kafka.bootstrap}",
        "KAFKA_TOPICS": topic,
        "KAFKA_GROUP_ID": topic,
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target.url,
    }
    said = checked(tmp_path, given, "--probe")
    assert said.code == 0
    with Command(tmp_path, ["quota", "--format", "json"], given) as program:
        assert program.wait(120) == 0
        assert json.loads(program.stdout)["used"] == 1
    assert said.state[f"kafka 127.0.0.1:{dead} TCP"] == "warning"
    assert said.state[f"kafka 127.0.0.1:{dead} login"] == "skipped"
    assert said.state["probe of /m2/client/profile/update"] == "ok"


def test_when_everything_hangs_it_still_ends(tmp_path: Path) -> None:
    """An init container that never ends is a rollout that stalls silently."""

    async def main() -> Said:
        def swallow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)

        held: list[asyncio.StreamWriter] = []
        async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            given = {
                "KAFKA_BOOTSTRAP_SERVERS": f"{address},{address}",
                "KAFKA_TOPICS": "t",
                "TARGET_CLIENT_CODE": "demo",
                "TARGET_BASE_URL": f"https://{address}",
            }
            said = await asyncio.to_thread(checked, tmp_path, given, "--probe")
            for writer in held:
                writer.transport.abort()
        return said

    said = asyncio.run(main())
    assert said.code == 1
    assert {what.rpartition(" ")[2] for what, state in said.state.items() if state == "failed"} == {"login", "TLS"}
    assert said.state["probe"] == "skipped"
    assert said.seconds < 60  # The limit is 28; the rest is margin for a machine that stalls.


@pytest.mark.parametrize("words", [["dlq", "list"], ["dlq", "replay", "--yes"], ["plan"]], ids=" ".join)
def test_a_wrong_password_is_named_as_such_by_the_commands_too(
    secure: SecureBroker, target: Sandbox, tmp_path: Path, words: list[str]
) -> None:
    """The failing call only says "broker transport failure", which points to the network."""
    wrong = settings(secure, target.url, secure.unique_topic("login"), KAFKA_SASL_PASSWORD="not-it")
    with Command(tmp_path, words, wrong) as program:
        assert program.wait(120) == 1
        assert "KAFKA_SASL_PASSWORD" in program.stderr
        assert "not-it" not in program.stderr
        assert len(program.stderr.splitlines()) == 1
