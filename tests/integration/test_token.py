"""An expired token must cost time and nothing else: no restart, no dead letter, no part of it in the output."""

import random
from pathlib import Path

from tests.support.kafka.client import Kafka
from tests.support.oracle import caught_up, differences, event, fold, plain_events
from tests.support.process import Connector, Sandbox, environment


def test_an_expired_token_holds_everything_back_until_the_file_changes(kafka: Kafka, tmp_path: Path) -> None:
    """Discarding updates on 401 would lose data at each expiry."""
    topic = kafka.unique_topic("token", 2)
    events = plain_events(random.Random(4), 600, 200)
    token = tmp_path / "token"
    token.write_text("first-token\n")
    with Sandbox(tmp_path, "--token", "first-token") as sandbox:
        settings = environment(kafka.bootstrap, topic, sandbox.url, TARGET_AUTH_TOKEN_FILE=str(token))
        with Connector(tmp_path, settings) as connector:
            kafka.produce(topic, [(key, value, None) for key, value in events[:300]])
            connector.until(lambda: caught_up(kafka, topic), "the first half is committed")
            sandbox.set_token("second-token")
            committed = [where.offset for where in kafka.committed(topic, topic).values()]
            kafka.produce(topic, [(key, value, None) for key, value in events[300:]])
            line = connector.until_said("target_unauthorized")
            assert "TARGET_AUTH_TOKEN" in line["remedy"]
            connector.until(
                lambda: connector.metrics()['target_connector_requests_total{outcome="unauthorized"}'] >= 3,
                "it keeps probing",
            )
            assert [where.offset for where in kafka.committed(topic, topic).values()] == committed
            token.write_text("second-token\n")
            connector.until(lambda: caught_up(kafka, topic), "the second half is committed")
            assert connector.metrics()['target_connector_events_done_total{outcome="dead_lettered"}'] == 0
            assert connector.stop() == 0
            assert "-token" not in connector.stdout.replace(str(token), "")
        assert differences(fold(value for _, value in events), sandbox.profiles()) == []
        sandbox.assert_no_rule_was_broken()
    assert kafka.read_all(f"{topic}.dead-letter") == []


def test_no_secret_no_visitor_and_no_value_reaches_the_output(kafka: Kafka, tmp_path: Path) -> None:
    """Readers of logs, metrics and status may see none of these: at the most verbose level, for every fault."""
    topic = kafka.unique_topic("secret", 2)
    visitors = [f"visitor-{number}@example.com" for number in range(30)]
    events = [event(visitor, email=f"payload-{visitor}") for visitor in visitors]
    malformed = [
        (b"visitor-key", b'{"mbox3rdPartyId": "visitor-x", "profile": {"a": ["payload-x"]}}', 0),
        (b"visitor-key", b'{"mbox3rdPartyId": "visitor-y", "pcId": "visitor-y", "profile": {"a": "payload-y"}}', 0),
        (b"visitor-key", b'{"mbox3rdPartyId": "visitor-z", "profile": {"a": "payload-z"', 0),
    ]
    kafka.produce(topic, [*((key, value, None) for key, value in events), *malformed])
    faults = ("false", "status=500", "drop", "html=502", "redirect", "status=400", "empty", "status=403")
    options = [word for fault in faults for word in ("--fault", f"{fault},limit=2")]
    with Sandbox(tmp_path, "--token", "hush-hush", *options) as sandbox:
        settings = environment(
            kafka.bootstrap,
            topic,
            sandbox.url,
            LOG_LEVEL="debug",
            TARGET_AUTH_TOKEN="hush-hush",
            RETRY_INITIAL_SECONDS=0.05,
            RETRY_MAX_SECONDS=0.2,
        )
        with Connector(tmp_path, settings) as connector:
            connector.until(lambda: caught_up(kafka, topic), "all is committed")
            asked = b"".join(
                connector.get(path)[1] for path in ("/", "/livez", "/readyz", "/metrics", "/status")
            ).decode()
            assert set(sandbox.stats()["faults"].values()) == {2}
            assert connector.said("update_retried")
            assert connector.said("update_rejected")
            assert connector.said("event_refused")
            assert connector.stop() == 0
            for secret in ("hush-hush", "visitor-", "payload-", "example.com"):
                assert secret not in connector.stdout
                assert secret not in asked
