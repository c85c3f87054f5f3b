"""The run itself: broker, sandbox, generator, and the real connector as a process, from the first event to the sum."""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector.demo.events import Generator
from connector.demo.reconcile import Report, compare
from connector.demo.replica import Replica
from connector.demo.view import Moment, View
from connector.sandbox.broker import EmbeddedBroker
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.server import SandboxConfig, SandboxTarget

TOPIC = "profile-changes"
GROUP = "demo"
LOAD_SECONDS = 8.0
"""The events are spread over about so long, so that there is something to watch."""
UNREAD = 20_000
"""Events that may be unread at once: the embedded broker throws its oldest away beyond 5 MiB a partition."""
TICK = 0.1
STALLED_SECONDS = 60.0
CRASH_AT = 0.5
"""With faults: the connector is killed when this share of the events is in."""
FAULTS = ("status=503,p=0.05", "status=429,p=0.02,retry_after=1", "lost_answer,p=0.02", "delay=0.05,p=0.1")
MALFORMED_SHARE = 0.001


class DemoFailed(Exception):
    """The demo could not be run to its end; the message says why and where to look."""


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """What can be asked for."""

    events: int = 20_000
    visitors: int = 2_000
    faults: bool = False
    seed: int = 1


@dataclass(slots=True)
class _Run:
    """The run's own count of what happened."""

    began: float
    produced: int = 0
    malformed: int = 0
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    recent: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=20))


async def demo(config: DemoConfig, folder: Path, view: View) -> Report:
    """Run it; raises DemoFailed when the connector ends or stalls."""
    faults = tuple(parse_fault(text) for text in FAULTS) if config.faults else ()
    target = SandboxTarget(SandboxConfig(client_code="demo", faults=faults, seed=config.seed))
    await target.start()
    broker = EmbeddedBroker()
    broker.start()
    broker.create_topic(TOPIC)
    replica = Replica(_settings(broker, target), folder / "connector.log")
    try:
        view.say(f"embedded broker on {broker.bootstrap}, sandbox Target on {target.url}, log in {replica.log}")
        replica.start()
        run = await _flow(config, broker, target, replica, view)
        code = await replica.stop()
        if code:
            raise DemoFailed(_post_mortem(replica, f"the connector ended with {code} on SIGTERM"))
        return _report(run, broker, target)
    finally:
        replica.kill()
        await target.stop()
        broker.stop()


async def _flow(
    config: DemoConfig, broker: EmbeddedBroker, target: SandboxTarget, replica: Replica, view: View
) -> _Run:
    """Produce, watch, crash once if asked to, until every event is settled."""
    run = _Run(time.monotonic())
    generator = Generator(config.visitors, config.seed, MALFORMED_SHARE if config.faults else 0.0)
    step = max(1, round(config.events / LOAD_SECONDS * TICK))
    ready, crashed, note = False, not config.faults, ""
    moved, progress = time.monotonic(), (-1, -1)
    while True:
        status = await replica.status()
        read, settled = _read(status), _settled(status)
        ready = ready or bool(status and status["partitions"])
        if ready and run.produced - read < UNREAD:
            _produce(run, generator, broker, min(step, config.events - run.produced))
        if status is not None:
            view.show(_moment(run, config, target, status, note))
        if not crashed and run.produced >= config.events * CRASH_AT and settled:
            crashed, note = True, "killed and started again"
            replica.kill()
            view.say("the connector was killed (SIGKILL) in the middle and is started again")
            replica.start()
        elif replica.ended is not None:
            raise DemoFailed(_post_mortem(replica, f"the connector ended by itself with {replica.ended}"))
        if run.produced == config.events and settled == config.events:
            broker.flush()
            return run
        if (run.produced, settled) != progress:
            moved, progress = time.monotonic(), (run.produced, settled)
        elif time.monotonic() - moved > STALLED_SECONDS:
            raise DemoFailed(_post_mortem(replica, f"nothing moved for {STALLED_SECONDS:.0f} s"))
        await asyncio.sleep(TICK)


def _produce(run: _Run, generator: Generator, broker: EmbeddedBroker, count: int) -> None:
    for _ in range(count):
        event = generator.draw()
        broker.produce(TOPIC, event.value, event.key)
        run.produced += 1
        if event.visitor:
            run.expected.setdefault(event.visitor, {}).update(event.expected)
        else:
            run.malformed += 1


def _read(status: dict[str, Any] | None) -> int:
    """How far the connector has read, over all partitions; it outlives a restart, as the offsets do."""
    return sum(max(0, part["position"]) for part in status["partitions"]) if status else 0


def _settled(status: dict[str, Any] | None) -> int:
    """Records below the committable offsets. A partition not read since a restart still counts by its commit."""
    return sum(max(0, part["committable"]) for part in status["partitions"]) if status else 0


def _moment(run: _Run, config: DemoConfig, target: SandboxTarget, status: dict[str, Any], note: str) -> Moment:
    now = time.monotonic()
    updates = target.endpoint.stats()["applied"]
    run.recent.append((now, run.produced, updates))
    (then, events_then, updates_then) = run.recent[0]
    passed = max(now - then, TICK)
    settled = _settled(status)
    return Moment(
        seconds=now - run.began,
        events=run.produced,
        total=config.events,
        settled=settled,
        events_rate=(run.produced - events_then) / passed,
        updates=updates,
        updates_rate=(updates - updates_then) / passed,
        saved=max(0.0, 1 - updates / settled) if settled else 0.0,
        lag=run.produced - settled,
        p99=status["event_age_seconds"]["p99"],
        note=note,
    )


def _report(run: _Run, broker: EmbeddedBroker, target: SandboxTarget) -> Report:
    stats = target.endpoint.stats()
    held = {who.partition(":")[2]: attributes for who, attributes in target.profiles.values(time.time()).items()}
    lost, wrong = compare(run.expected, held)
    letters = set(broker.read_headers(f"{GROUP}.dead-letter", ("partition", "offset")))
    return Report(
        events=run.produced,
        requests=stats["requests"],
        updates=stats["applied"],
        dead_letters=len(letters),
        lost=lost + max(0, run.malformed - len(letters)),
        wrong=wrong,
        violations=sum(stats["violations"].values()) + stats["overlapping_same_client"],
    )


def _settings(broker: EmbeddedBroker, target: SandboxTarget) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "KAFKA_TOPICS": TOPIC,
        "KAFKA_GROUP_ID": GROUP,
        # After the crash the group waits for the dead member until its session ends: the shortest that is allowed.
        "KAFKA_PROPERTIES": json.dumps({"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500}),
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target.url,
        "TARGET_MAX_UPDATES_PER_SECOND": "0",
        "COMMIT_INTERVAL_SECONDS": "1",
    }


def _post_mortem(replica: Replica, what: str) -> str:
    last = replica.log.read_text(errors="replace").splitlines()[-5:]
    return "\n".join([f"{what}; its last lines:", *last])
