"""A token that ends in the middle of a load, and the CronJob's command beside it: time is lost, and nothing else."""

import json
import random
import re
import shlex
from pathlib import Path

from tests.support.oracle import differences, fold, plain_events
from tests.support.process import Connector, Program, Sandbox, environment, request

LIFE = 8
"""Seconds that a token of this sandbox is good: renewed four seconds ahead, it is another one every four."""
AHEAD = ("--renew-before", "4")
AT_ONCE = ("--renew-before", "1000")
EVENTS, A_SECOND = 2_000, 120
DONE = 'target_connector_events_done_total{{outcome="{}"}}'.format


def variables(line: str) -> dict[str, str]:
    """The settings that a line of the sandbox shows."""
    return dict(word.split("=", 1) for word in shlex.split(line) if re.match("[A-Z_]+=", word))


def test_tokens_that_end_under_a_load_lose_nothing_dead_letter_nothing_and_restart_nothing(tmp_path: Path) -> None:
    """The first token ends by itself before anyone renews it, and each later one is ended by the POST for the next."""
    file = tmp_path / "secret" / "token"
    file.parent.mkdir()
    events = plain_events(random.Random(15), EVENTS, EVENTS)
    with Sandbox(tmp_path, "--token-life", str(LIFE), "--kafka-port", "0") as sandbox:
        sandbox.until(lambda: "embedded Kafka on" in sandbox.stdout, "the sandbox says where its Kafka is")
        _, tokens, kafka = sandbox.stdout.splitlines()
        cronjob = variables(tokens)
        printed = []

        def renew(*options: str) -> dict[str, object]:
            with Program(tmp_path, ["token", "--file", str(file), "--format", "json", *options], cronjob) as command:
                assert command.wait() == 0, command.stderr
                printed.append(command.stdout + command.stderr)
                told: dict[str, object] = json.loads(command.stdout)
                return told

        def asked() -> dict[str, float]:
            counts: dict[str, float] = json.loads(request(sandbox.url, "GET", "/sandbox/token-service")[1])
            return counts

        assert renew(*AHEAD)["made"]
        settings = environment(
            variables(kafka)["KAFKA_BOOTSTRAP_SERVERS"],
            "profile-changes",
            sandbox.url,
            KAFKA_GROUP_ID="target-profile-connector",
            TARGET_AUTH_TOKEN_FILE=str(file),
            TARGET_MAX_UPDATES_PER_SECOND=A_SECOND,
        )
        with Connector(tmp_path, settings) as connector:
            connector.until(connector.ready, "it has its partitions")
            assert renew(*AT_ONCE)["made"]
            words = ["produce", "--topic", "profile-changes", *(event.value.decode() for event in events)]
            with Program(tmp_path, words, settings) as produce:
                assert produce.wait() == 0
            connector.until(lambda: connector.metrics()[DONE("accepted")] > 0, "the load goes")
            assert connector.metrics()["target_connector_token_expires_seconds"] <= LIFE
            connector.until(lambda: connector.metrics()["target_connector_token_expires_seconds"] < 0, "it has ended")
            connector.until_said("target_unauthorized")
            middle = connector.metrics()
            assert 0 < middle[DONE("accepted")] < EVENTS
            posts = asked()["post"]
            while connector.metrics()[DONE("accepted")] < EVENTS:
                renew(*AHEAD)
                assert connector.exit_code is None
            # The first of them when the token had ended, and at least one that ended a good one.
            assert asked()["post"] >= posts + 2
            assert len(connector.said("token_reloaded")) >= 3
            assert connector.metrics()[DONE("dead_lettered")] == 0
            assert connector.metrics()["target_connector_events_pending"] == 0
            assert connector.stop() == 0
            said = connector.stdout
        assert differences(fold(event.value for event in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
        assert sandbox.stats()["by_status"]["401"] > 0
    secret, token = cronjob["TARGET_TOKEN_CLIENT_SECRET"], file.read_text().strip()
    assert not any(word in text for text in (said, *printed) for word in (secret, token))
