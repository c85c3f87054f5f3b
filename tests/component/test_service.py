"""The composition root: its numbers must add up, and a start that cannot succeed must end with a remedy."""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from gzip import decompress as gunzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from confluent_kafka import Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connector import __version__
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.errors import Fatal
from connector.kafka import admin, log_inspector
from connector.sandbox.broker import EmbeddedBroker
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.server import SandboxConfig, SandboxTarget
from connector.service.service import Service, serve
from connector.service.status import MOST_PARTITIONS
from connector.settings import Settings, load
from connector.target.token_expiry import expiry_path, write_expiry
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeRecord, event
from tests.support.loopback import own_address
from tests.support.process import request

NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded broker never reports a group's session or a topic's id: that cost five seconds of each test."""
    monkeypatch.setattr(admin, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(log_inspector, "ANSWER_SECONDS", 0.5)


def settings(bootstrap: str = NOWHERE, target: str = f"http://{NOWHERE}", **others: str) -> Settings:
    """Short times, and a group that forms at once: with the newer protocol the embedded broker does not delay joins."""
    return load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPICS": "events",
            "KAFKA_GROUP_PROTOCOL": "consumer",
            "TARGET_CLIENT_CODE": "demo",
            "TARGET_BASE_URL": target,
            "QUOTA_UPDATES": "0",
            "COALESCE_LINGER_SECONDS": "0.2",
            "COMMIT_INTERVAL_SECONDS": "0.2",
            "OPS_HOST": "127.0.0.1",
            "OPS_PORT": "0",
            **others,
        }
    )


@asynccontextmanager
async def parts(*faults: str) -> AsyncIterator[tuple[EmbeddedBroker, SandboxTarget]]:
    """A broker with the topic, and a Target with these faults."""
    target = SandboxTarget(SandboxConfig(own_address(), client_code="demo", faults=tuple(map(parse_fault, faults))))
    await target.start()
    try:
        with EmbeddedBroker() as broker:
            broker.create_topic("events")
            broker.create_topic("target-profile-connector.dead-letter")  # It cannot be asked to make one.
            yield broker, target
    finally:
        await target.stop()


async def until(condition: Callable[[], object]) -> None:
    """Poll for at most 30 seconds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def produce(broker: EmbeddedBroker, count: int, visitors: int) -> None:
    """Events for the visitors in turn, and one of each kind that is no update."""
    for number in range(count):
        value = {"mbox3rdPartyId": f"v{number % visitors}", "profile": {"n": number}}
        broker.produce("events", json.dumps(value).encode(), str(number % visitors).encode())
    broker.produce("events", b"not JSON", b"x")
    broker.produce("events", None, b"tombstone")
    broker.flush()


def ask(service: Service, path: str) -> tuple[int, Any]:
    """What the ops port answers."""
    status, body = request(f"http://127.0.0.1:{service.ops.port}", "GET", path)
    return status, json.loads(body) if path == "/status" else body


def test_the_numbers_add_up_at_every_moment_and_at_the_end() -> None:
    """Consumed = done + pending is the promise of the metrics; operators reconcile with it in an incident."""

    async def scenario() -> None:
        async with parts("delay=0.05") as (broker, target):
            service = Service(settings(broker.bootstrap, target.url))
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            produce(broker, 500, 50)
            looks = 0

            def finished() -> bool:
                nonlocal looks
                looks += 1
                now = service.snapshot()
                assert now.tally.events_consumed == sum(now.tally.events_done.values()) + now.events_pending
                assert not running.done(), running.exception()
                return sum(now.tally.events_done.values()) == 502

            await until(finished)
            assert looks > 3
            done = service.snapshot().tally.events_done
            assert done[Done.DEAD_LETTERED] == 1
            assert done[Done.SKIPPED] == 1
            await until(lambda: all(p["committed"] == p["committable"] for p in partitions(service)))
            await until(lambda: len(service.snapshot().consumer_lag) == 4)
            code, told = await asyncio.to_thread(ask, service, "/status")
            assert code == 200
            ends = {**dict.fromkeys(map(str, Done), 0), "accepted": 500, "dead_lettered": 1, "skipped": 1}
            assert told["events"] == {"consumed": 502, "pending": 0, **ends}
            assert told["records_missed"] == {"retention": 0, "truncation": 0}
            assert told["updates"]["accepted"] == told["requests"]["accepted"] == target.endpoint.stats()["applied"]
            assert 50 <= told["updates"]["accepted"] < 500
            assert told["updates"]["pending"] == told["updates"]["in_flight"] == 0
            assert 0 < told["event_age_seconds"]["p50"] <= told["event_age_seconds"]["p99"]
            assert sum(p["position"] for p in told["partitions"] if p["position"] > 0) == 502
            assert {p["lag"] for p in told["partitions"]} <= {0, None}
            assert told["circuit"] == {"open": False, "reason": "", "open_seconds": None}
            assert (await asyncio.to_thread(ask, service, "/readyz"))[0] == 200
            assert (await asyncio.to_thread(ask, service, "/livez"))[0] == 200
            _, text = await asyncio.to_thread(ask, service, "/metrics")
            assert b'target_connector_events_done_total{outcome="accepted"} 500' in text
            stop.set()
            await running

    asyncio.run(scenario())


def test_what_waits_for_its_turn_and_the_age_of_the_last_commit_are_shown() -> None:
    """The alerts for "nothing moves" rest on these two; a constant 0 would keep them from firing."""

    async def scenario() -> None:
        async with parts() as (broker, target):
            service = Service(settings(broker.bootstrap, target.url, TARGET_MAX_UPDATES_PER_SECOND="1"))
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            produce(broker, 5, 5)
            await until(lambda: service.snapshot().overdue_seconds > 1.0)
            now = service.snapshot()
            assert now.bytes_pending > 0
            assert now.slots > 0
            # The lease asks the group every few seconds, also when there is nothing to commit.
            await until(lambda: 0.0 < service.snapshot().commit_age_seconds < 30)
            stop.set()
            await running

    asyncio.run(scenario())


def partitions(service: Service) -> list[dict[str, int]]:
    """The partitions as the status shows them."""
    found = service.status()["partitions"]
    assert isinstance(found, list)
    return found


def test_before_the_start_everything_is_zero_and_nothing_is_ready() -> None:
    """A scrape may come at any time; the settings shown are masked."""

    async def scenario() -> None:
        service = Service(settings(TARGET_AUTH_TOKEN="very-hush-hush"))
        now = service.snapshot()
        assert (now.events_pending, now.updates_pending, now.updates_in_flight, now.partitions_assigned) == (0, 0, 0, 0)
        assert (now.circuit_open, now.paused, now.consumer_lag) == (False, False, {})
        assert (now.overdue_seconds, now.commit_age_seconds, now.bytes_pending) == (0.0, 0.0, 0)
        assert now.version == __version__
        assert abs(now.start_time_seconds - time.time()) < 60
        told = json.dumps(service.status())
        assert "very-hush-hush" not in told
        assert json.loads(told)["event_age_seconds"] == {"p50": None, "p95": None, "p99": None}

    asyncio.run(scenario())


def test_the_status_stays_small_with_many_partitions() -> None:
    """It is fetched every two seconds by each open page: it names those that are furthest behind, and counts all."""

    async def scenario() -> None:
        service = Service(settings())
        names = [TopicPartition(f"{'t' * 240}-{number % 3}", number) for number in range(5_000)]
        with captured_logs(level="warning"):
            service.pipeline.assigned(dict.fromkeys(names, Start.at(OffsetAndMetadata(10**12))))
            service.pipeline.ends({name: 10**12 + name.partition for name in names[1:]})
            told: Any = service.status()
        shown = told["partitions"]
        assert (told["partitions_assigned"], told["lag"]) == (5_000, sum(range(1, 5_000)))
        assert len(shown) == MOST_PARTITIONS
        assert shown == sorted(shown, key=lambda each: (each["topic"], each["partition"]))
        behind = [each["lag"] for each in shown if each["lag"] is not None]
        # An unknown lag may be the worst.
        assert sorted(behind) == list(range(5_000 - MOST_PARTITIONS + 1, 5_000))
        assert len(msgspec.json.encode(told)) < 128 * 1024

    asyncio.run(scenario())


def test_behind_markers_there_is_no_lag_and_what_waits_has_an_age() -> None:
    """Lag by the last record never becomes 0 behind an aborted tail; an age of settled records is a false alarm."""

    async def scenario() -> None:
        service = Service(settings(KAFKA_TOPICS="events,others"))
        name = TopicPartition("events", 0)
        with captured_logs(level="warning"):
            service.pipeline.assigned({name: Start.at(OffsetAndMetadata(10))})
            service.pipeline.ends({name: 27})
            assert service.snapshot().consumer_lag == {("events", 0): 17}
            service.pipeline.advanced({name: 27})
            assert service.snapshot().consumer_lag == {("events", 0): 0}
            assert service.snapshot().oldest_pending == {"events": 0.0, "others": 0.0}
            old = int((time.time() - 3_600) * 1_000)  # Rounded up, it would be an hour old a moment later.
            written = (old, old + 60_000, -1)
            service.pipeline.records(
                [
                    FakeRecord(event(f"v{at}", a=1), 27 + at, topic="events", timestamp_ms=ms)
                    for at, ms in enumerate(written)
                ]
            )
            age = service.snapshot().oldest_pending
        assert 3_600 <= age["events"] < 3_660
        assert age["others"] == 0.0
        assert service.snapshot().consumer_lag == {("events", 0): 0}

    asyncio.run(scenario())


def test_the_status_holds_only_what_json_can_hold() -> None:
    """Before the first contact the lease is infinite, and so is a rate without a limit; a browser would refuse both."""

    async def scenario() -> None:
        service = Service(settings(TARGET_MAX_UPDATES_PER_SECOND="0"))
        service.pipeline.counted({"events": 1})
        with captured_logs(level="warning"):
            service.pipeline.assigned({TopicPartition("events", 0): Start(-1)})
        told = service.status()
        assert json.loads(json.dumps(told, allow_nan=False))["version"] == told["version"]
        assert (told["rate_per_second"], told["lease_seconds"], told["lag"], told["quota"]) == (None, None, None, None)
        assert told["health"] == {
            "livez": (), "readyz": ("the start is not over", "no Kafka broker has answered yet")
        }  # fmt: skip

    asyncio.run(scenario())


def test_an_outage_shows_since_when_and_among_the_problems() -> None:
    """The first two questions of an operator: since when, and with which message."""

    async def scenario() -> None:
        async with parts("status=502") as (broker, target):
            with captured_logs():
                service = Service(settings(broker.bootstrap, target.url, TARGET_AUTH_TOKEN="very-hush-hush"))
                stop = asyncio.Event()
                running = asyncio.create_task(service.run(stop))
                began = time.monotonic()
                produce(broker, 40, 20)
                await until(lambda: service.snapshot().circuit_open)
                _, told = await asyncio.to_thread(ask, service, "/status")
                assert told["circuit"]["reason"] == "unavailable"
                assert 0 <= told["circuit"]["open_seconds"] <= time.monotonic() - began
                assert abs(told["time"] - time.time()) < 30
                problems = {problem["event"]: problem for problem in told["problems"]}
                assert "502" in problems["circuit_opened"]["reason"]
                assert problems["event_refused"]["place"].startswith("events/")
                stop.set()
                await running

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [None, b"", b"Bearer hush", b"\xff\xfe"])
def test_a_token_that_cannot_be_used_is_fatal_with_the_remedy(tmp_path: Path, content: bytes | None) -> None:
    """A start without it would mean a 401 a request; the message must not hold the file's content."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Fatal) as caught:
        Service(settings(TARGET_AUTH_TOKEN_FILE=str(file)))
    assert caught.value.failure.event == "token_unreadable"
    assert "TARGET_AUTH_TOKEN" in str(caught.value)
    assert str(file) in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_fatal_start_is_exit_code_1_and_two_lines(tmp_path: Path) -> None:
    """The remedy, and then that it stopped: without a traceback, which would hide both."""
    with captured_logs(level="info") as logs:
        code = asyncio.run(serve(settings(TARGET_AUTH_TOKEN_FILE=str(tmp_path / "nothing"))))
        said = logs.lines
    assert code == 1
    assert [line["event"] for line in said] == ["token_unreadable", "connector_stopped"]
    assert said[-1]["exit_code"] == 1
    assert "exception" not in said[0]


def test_a_file_of_certificates_that_is_missing_is_exit_code_1_and_nothing_is_tried(tmp_path: Path) -> None:
    """A mounted file may exist at the next start, so it is not code 2; and no topic is blamed for it."""
    tls = {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_CA_LOCATION": str(tmp_path / "nothing")}
    with captured_logs(level="info") as logs:
        code = asyncio.run(serve(settings(**tls)))
        said = logs.lines
    assert code == 1
    assert [line["event"] for line in said] == ["kafka_fatal", "connector_stopped"]
    assert "KAFKA_SSL_CA_LOCATION" in said[0]["reason"]


@pytest.mark.parametrize(("signals", "code", "reason"), [(1, 0, "signal"), (2, 1, "second signal")])
def test_a_signal_drains_and_a_second_one_ends_it_at_once(signals: int, code: int, reason: str) -> None:
    """What is not done is not committed in either case; the exit code tells a supervisor that the drain was cut."""

    async def scenario() -> int:
        async with parts("hang=60" if signals > 1 else "delay=0.1") as (broker, target):
            produce(broker, 20, 5)
            serving = asyncio.create_task(serve(settings(broker.bootstrap, target.url, TARGET_TIMEOUT_SECONDS="60")))
            await until(lambda: target.endpoint.stats()["requests"])
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0.3)
            return await asyncio.wait_for(serving, 15)

    with captured_logs() as logs:
        assert asyncio.run(scenario()) == code
        last = logs.lines[-1]
    assert (last["event"], last["reason"], last["exit_code"]) == ("connector_stopped", reason, code)


def test_a_missing_dead_letter_topic_is_logged_at_the_start_and_is_no_reason_to_stop() -> None:
    """Kafka may be slow to answer, and there may never be a dead letter."""

    async def scenario() -> list[dict[str, Any]]:
        with captured_logs() as logs:
            stop = asyncio.Event()
            running = asyncio.create_task(Service(settings()).run(stop))
            await until(lambda: [line for line in logs.lines if line["event"] == "dead_letter_topic_unavailable"])
            assert not running.done()
            stop.set()
            await running
            return logs.lines

    (line,) = [line for line in asyncio.run(scenario()) if line["event"] == "dead_letter_topic_unavailable"]
    assert line["topic"] == "target-profile-connector.dead-letter"
    assert line["reason"]


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 0)])
def test_an_updates_log_is_written_at_debug_level_alone(level: str, expected: int) -> None:
    """It is several lines an event: off by default, complete at debug level."""

    async def scenario() -> None:
        async with parts() as (broker, target):
            service = Service(settings(broker.bootstrap, target.url, LOG_LEVEL=level))
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            produce(broker, 4, 2)
            await until(lambda: service.snapshot().tally.events_done[Done.ACCEPTED] == 4)
            stop.set()
            await running

    with captured_logs() as logs:
        asyncio.run(scenario())
        assert sum(line["event"] == "event_taken" for line in logs.lines) == expected


def test_traces_go_from_kafkas_headers_to_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """End to end: a real client's headers, the real exporter, configured by the standard's variables alone."""
    got: list[ExportTraceServiceRequest] = []

    async def export(asked: web.Request) -> web.Response:
        body = await asked.read()
        got.append(ExportTraceServiceRequest.FromString(gunzip(body) if body[:2] == b"\x1f\x8b" else body))
        return web.Response()

    async def scenario() -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", export)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        async with parts() as (broker, target):
            service = Service(settings(broker.bootstrap, target.url))
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            producer = Producer({"bootstrap.servers": broker.bootstrap})
            for number in (1, 2):
                value = json.dumps({"mbox3rdPartyId": "v", "profile": {f"a{number}": 1}}).encode()
                traced: list[tuple[str, str | bytes | None]] = [("traceparent", f"00-{number:032x}-{number:016x}-01")]
                producer.produce("events", value, b"v", 0, headers=traced)
            producer.flush(30)
            await until(lambda: service.snapshot().tally.events_done[Done.ACCEPTED] == 2)
            await until(lambda: got)
            stop.set()
            await running
        await runner.cleanup()

    asyncio.run(scenario())
    (sent,) = list(got[0].resource_spans)
    named = {each.key: each.value.string_value for each in sent.resource.attributes}
    assert named["service.name"] == "target-profile-connector"
    links = {link.trace_id for span in sent.scope_spans[0].spans for link in span.links}
    assert links == {(1).to_bytes(16, "big"), (2).to_bytes(16, "big")}


def test_a_proxys_password_is_in_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a variable that is not ours, so the settings do not mark it as a secret."""
    monkeypatch.setenv("HTTP_PROXY", "http://someone:very%2Fhush@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def scenario() -> None:
        Service(settings(target="http://target.example"))
        logging.getLogger("lib").error("refused: very/hush")

    with captured_logs() as logs:
        asyncio.run(scenario())
        assert logs.lines[-1]["message"] == "refused: [secret]"


def test_a_replaced_token_is_logged_without_a_character_of_it(tmp_path: Path) -> None:
    """The log shows that the new token is in use, and reports a broken one before it is needed."""
    file = tmp_path / "token"
    file.write_text("first-hush")

    async def scenario() -> None:
        async with parts() as (broker, target):
            target.endpoint.set_token("second-hush")
            service = Service(settings(broker.bootstrap, target.url, TARGET_AUTH_TOKEN_FILE=str(file)))
            logging.getLogger("lib").error("the header was first-hush")
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            produce(broker, 5, 5)
            await until(lambda: target.endpoint.stats()["requests"])
            file.write_text("not one word hush")
            await until(lambda: "token_unreadable" in logs.text)
            assert service.snapshot().token_expires_seconds is None
            expiry_path(file).write_bytes(write_expiry("second-hush", time.time() + 1_000))
            file.write_text("second-hush")
            await until(lambda: service.snapshot().tally.updates_accepted == 5)
            logging.getLogger("lib").error("the header was second-hush")
            assert service.status()["token_expires_seconds"] == pytest.approx(1_000, abs=30)
            stop.set()
            await running

    with captured_logs() as logs:
        asyncio.run(scenario())
        events = [line["event"] for line in logs.lines]
        assert logs.text.count("the header was [secret]") == 2
        assert "hush" not in logs.text
    assert events.count("token_unreadable") == 1
    assert events.count("token_reloaded") == 1
