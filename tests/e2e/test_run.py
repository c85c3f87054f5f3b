"""The service as its users run it: a process on a real broker, killed without warning, judged by the outcome."""

import random
import socket
import time
from pathlib import Path

import pytest

from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, event, fold, hostile_events, plain_events
from tests.support.process import ColdConnector, Sandbox, environment, until

SEED = 20_261_122


@pytest.mark.parametrize(
    ("protocol", "kills", "count", "visitors"), [("classic", 2, 8_000, 800), ("consumer", 1, 4_000, 400)]
)
def test_kill_9_at_random_moments_loses_nothing_and_leaves_nothing_stale(
    kafka: Kafka, tmp_path: Path, protocol: str, kills: int, count: int, visitors: int
) -> None:
    """The promise of the product: nothing lost, the last value of each attribute wins, no rule of the API broken."""
    rng = random.Random(SEED)
    topic = kafka.unique_topic("killed", 4)
    events = hostile_events(rng, count, visitors)
    kafka.produce(topic, [(event.key, event.value, None) for event in events])
    with Sandbox(tmp_path, "--fault", "delay=0.02") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, KAFKA_GROUP_PROTOCOL=protocol)
        for _ in range(kills):
            least = sandbox.stats()["applied"] + rng.randrange(20, visitors // 4)
            with ColdConnector(tmp_path, settings) as victim:
                victim.until(lambda: sandbox.stats()["applied"] >= least, "it sends")  # noqa: B023 - called in this round
                victim.kill9()
        with ColdConnector(tmp_path, settings) as last:
            last.until(lambda: caught_up(kafka, topic), "all is committed", 150)
            began = time.monotonic()
            assert last.stop() == 0
            assert time.monotonic() - began < 25 + 10
        assert differences(fold(event.value for event in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()


def test_sigterm_while_the_endpoint_hangs_ends_within_the_grace_time(kafka: Kafka, tmp_path: Path) -> None:
    """An orchestrator kills what is late; requests in flight are not done, so the next process sends them again."""
    topic = kafka.unique_topic("hanging", 4)
    events = plain_events(random.Random(SEED), 200, 50)
    kafka.produce(topic, [(event.key, event.value, None) for event in events])
    with Sandbox(tmp_path, "--fault", "hang=60") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, SHUTDOWN_GRACE_SECONDS=8, TARGET_TIMEOUT_SECONDS=60)
        with ColdConnector(tmp_path, settings) as held_up:
            held_up.until(lambda: sandbox.stats()["in_flight"] > 0, "a request hangs")
            began = time.monotonic()
            assert held_up.stop() == 0
            assert time.monotonic() - began < 8 + 12
            assert held_up.said("drain_started")
            assert held_up.lines()[-1]["event"] == "connector_stopped"
        sandbox.set_faults()
        with ColdConnector(tmp_path, settings) as healthy:
            healthy.until(lambda: caught_up(kafka, topic), "all is committed")
            assert healthy.stop() == 0
        assert differences(fold(event.value for event in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()


def test_a_second_sigterm_ends_it_at_once(kafka: Kafka, tmp_path: Path) -> None:
    """A second Ctrl-C skips the drain; nothing is lost by it."""
    topic = kafka.unique_topic("twice", 4)
    kafka.produce(topic, [(*event("somebody", a=1), None)])
    with Sandbox(tmp_path, "--fault", "hang=60") as sandbox:
        settings = environment(
            kafka.bootstrap, topic, sandbox.url, SHUTDOWN_GRACE_SECONDS=60, TARGET_TIMEOUT_SECONDS=60
        )
        with ColdConnector(tmp_path, settings) as connector:
            connector.until(lambda: sandbox.stats()["in_flight"] > 0, "a request hangs")
            connector.terminate()
            connector.until_said("drain_started")
            began = time.monotonic()
            connector.terminate()
            assert connector.wait() == 1
            assert time.monotonic() - began < 15
            assert connector.lines()[-1]["event"] == "connector_stopped"
    assert not any(where.offset for where in kafka.committed(topic, topic).values())


def test_bad_settings_are_reported_one_by_one_before_anything_is_started(tmp_path: Path) -> None:
    """One correction must suffice: exit code 2 and a line for each mistake, no secret among them."""
    settings = {
        "KAFKA_TOPIC": "profile-changes",
        "KAFKA_BOOTSTRAP_SERVERS": "localhost",
        "TARGET_CLIENT_CODE": "acmeinc",
        "TARGET_AUTH_TOKEN": "hush hush",
        "TARGET_MAX_IN_FLIGHT": "many",
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me",
    }
    with ColdConnector(tmp_path, settings) as connector:
        assert connector.wait() == 2
        lines = connector.stderr.splitlines()
        *refused, last = connector.lines()
        assert [f"{line['setting']}: {line['remedy']}" for line in refused] == lines
        assert {line["event"] for line in refused} == {"settings_refused"}
        assert (last["event"], last["exit_code"]) == ("connector_stopped", 2)
        named = {line.split(":")[0] for line in lines}
        assert named == {
            "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPICS", "KAFKA_TOPIC", "TARGET_AUTH_TOKEN", "TARGET_MAX_IN_FLIGHT",
            "KAFKA_SASL_PASSWORD",
        }  # fmt: skip
        assert len(lines) == len(named)
        assert any("KAFKA_TOPICS" in line for line in lines if line.startswith("KAFKA_TOPIC:"))
        assert "hush" not in connector.stderr + connector.stdout


def test_a_fatal_error_ends_it_with_1_and_says_what_to_do(kafka: Kafka, tmp_path: Path) -> None:
    """The end of the log names the cause."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        topic = kafka.unique_topic("fatal")
        settings = environment(kafka.bootstrap, topic, "http://127.0.0.1:9", OPS_PORT=port)
        with ColdConnector(tmp_path, settings) as connector:
            assert connector.wait() == 1
            *_, said, last = connector.lines()
            assert (said["event"], said["level"]) == ("ops_unavailable", "error")
            assert "OPS_PORT" in said["remedy"]
            assert (last["event"], last["reason"], last["exit_code"]) == ("connector_stopped", "ops_unavailable", 1)


def test_a_missing_token_file_is_fatal_and_named(kafka: Kafka, tmp_path: Path) -> None:
    """A start without the token would mean a 401 for each request."""
    settings = environment(kafka.bootstrap, "t", "http://127.0.0.1:9", TARGET_AUTH_TOKEN_FILE=str(tmp_path / "nothing"))
    with ColdConnector(tmp_path, settings) as connector:
        assert connector.wait() == 1
        *_, said, last = connector.lines()
        assert said["event"] == "token_unreadable"
        assert "TARGET_AUTH_TOKEN" in said["remedy"]
        assert last["exit_code"] == 1


def test_an_unreachable_broker_is_logged_once_and_waited_for(tmp_path: Path) -> None:
    """A wrong address is a common mistake: alive, not ready, one line that says what to check, no flood."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    with ColdConnector(tmp_path, environment(address, "t", "http://127.0.0.1:9")) as connector:
        line = connector.until_said("kafka_unreachable")
        assert "KAFKA_BOOTSTRAP_SERVERS" in line["remedy"]
        assert connector.get("/livez")[0] == 200
        assert connector.get("/readyz")[0] == 503
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 4, 10, "some reconnects later")
        loud = [line for line in connector.lines() if line["level"] != "info"]
        assert len(loud) <= 8, f"{len(loud)} lines"
        assert connector.stop() == 0
