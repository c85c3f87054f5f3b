"""The run itself: broker, sandbox, generator, and the real connector as a process, from the first event to the sum."""

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from connector.demo.events import Generator
from connector.demo.reconcile import Report, compare
from connector.demo.replica import Replica
from connector.demo.view import Progress, View
from connector.errors import CommandError
from connector.sandbox.broker import EmbeddedBroker
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.server import SandboxConfig, SandboxTarget

TOPIC = "profile-changes"
GROUP = "demo"
DEAD_LETTERS = f"{GROUP}.dead-letter"
LOAD_SECONDS = 8.0
"""The events are spread over about this time, so that there is something to watch."""
UNREAD = 20_000
"""Events that may be unread at once: the embedded broker throws its oldest away beyond 5 MiB a partition."""
TICK = 0.1
STALLED_SECONDS = 60.0
CRASH_AT = 0.5
"""With faults: the connector is killed when this share of the events is in."""
FAULTS = ("status=503,p=0.05", "status=429,p=0.02,retry_after=1", "lost_answer,p=0.02", "delay=0.05,p=0.1")
MALFORMED_SHARE = 0.001
FEW_MALFORMED = 5
"""With faults: at least this number of events, however short the run; of a handful, half of them."""
LOG_LINES = 5
SESSION_SECONDS = 3
"""Without a heartbeat for this long, a member is dead. A real broker allows no less than 6 by default."""

PAGE_PORT = 8080
"""Of the status page when it is kept, if it is free; the same as the service's default."""

STARTING = "the connector starts"
JOINING = "the consumer group forms: about 3 seconds"
RETURNING = "the group waits until the killed member counts as dead: about 5 seconds"


Watch: TypeAlias = Callable[[Report, str], Awaitable[None]]
"""Gets the sum and the address of the status page while the connector still runs; when it returns, all ends."""


class DemoFailed(CommandError):
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
    done: int = 0
    """The most that ever were: what a killed connector had accepted and not committed is sent again, and stays done."""
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    recent: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=20))
    known: dict[str, Any] | None = None
    """The newest status of a connector that had partitions."""


async def demo(config: DemoConfig, folder: Path, view: View, watch: Watch | None = None) -> Report:
    """Run it; raises DemoFailed when the connector ends or stalls.

    With `watch` the status page is on PAGE_PORT, and the connector runs until `watch` returns.
    """
    faults = tuple(parse_fault(text) for text in FAULTS) if config.faults else ()
    target = SandboxTarget(SandboxConfig(client_code="demo", faults=faults, seed=config.seed))
    broker = EmbeddedBroker()
    async with AsyncExitStack() as cleanup:
        cleanup.callback(broker.stop)
        cleanup.push_async_callback(target.stop)
        await target.start()
        broker.start()
        broker.create_topic(TOPIC)
        broker.create_topic(DEAD_LETTERS)  # A mock cluster cannot be asked to make one.
        port = 0 if watch is None or not _is_free(PAGE_PORT) else PAGE_PORT
        replica = Replica(_settings(broker, target), folder / "connector.log", port)
        cleanup.callback(replica.kill)
        view.say(_opening(config, broker, target, replica))
        if watch is not None and not port:
            view.say(f"port {PAGE_PORT} is taken, so the status page gets a free one")
        replica.start()
        run = await _flow(config, broker, target, replica, view)
        if watch is None:
            view.say("every event is done: the connector is stopped, and each profile compared with its events")
        else:
            view.say("every event is done: each profile is compared with its events")
            report = _report(run, broker, target)
            await watch(report, replica.page)
        code = await replica.stop()
        if code:
            raise DemoFailed(_post_mortem(replica, f"the connector ended with {code} on SIGTERM"))
        return _report(run, broker, target) if watch is None else report


def _is_free(port: int) -> bool:
    """Whether the connector could listen there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _opening(config: DemoConfig, broker: EmbeddedBroker, target: SandboxTarget, replica: Replica) -> str:
    faults = "\nfaults: 503, 429 and lost answers, slow ones, malformed events, one kill -9" if config.faults else ""
    return (
        f"{config.events:,} events for {config.visitors:,} visitors; the broker is embedded, Target is a sandbox, "
        f"the connector is the real one\n"
        f"Kafka {broker.bootstrap}, Target {target.url}{faults}\n"
        f"the connector's log, kept only if something goes wrong: {replica.log}"
    )


async def _flow(
    config: DemoConfig, broker: EmbeddedBroker, target: SandboxTarget, replica: Replica, view: View
) -> _Run:
    """Produce, watch, crash once if asked to, until every event is settled."""
    run = _Run(time.monotonic())
    generator = Generator(config.visitors, config.seed, malformed_share(config))
    step = max(1, round(config.events / LOAD_SECONDS * TICK))
    ready, killed = False, False
    moved, progress = time.monotonic(), (-1, -1, -1)
    page = ""
    while True:
        status = await replica.status()
        if status is not None and page != replica.page:
            view.say(f"{'its page is now' if page else 'watch it in a browser, while it runs:'} {replica.page}")
            page = replica.page
        if status is not None and status["partitions"]:
            ready, run.known, run.done = True, status, max(run.done, done(status))
        settled = _settled(status)
        if ready and run.produced - _read(status) < UNREAD:
            _produce(run, generator, broker, min(step, config.events - run.produced))
        view.show(_moment(run, config, target, _note(status, killed=killed)))
        if replica.ended is not None:
            raise DemoFailed(_post_mortem(replica, f"the connector ended by itself with {replica.ended}"))
        if config.faults and not killed and run.produced >= config.events * CRASH_AT and settled:
            killed, settled = True, 0
            replica.kill()
            view.say("the connector is killed (SIGKILL) in the middle of its work, and started again")
            replica.start()
        if run.produced == config.events and settled == config.events:
            broker.flush()
            return run
        if (run.produced, run.done, settled) != progress:
            moved, progress = time.monotonic(), (run.produced, run.done, settled)
        elif time.monotonic() - moved > STALLED_SECONDS:
            raise DemoFailed(_post_mortem(replica, f"nothing moved for {STALLED_SECONDS:.0f} s"))
        await asyncio.sleep(TICK)


def malformed_share(config: DemoConfig) -> float:
    """Of the events."""
    return max(MALFORMED_SHARE, min(FEW_MALFORMED / config.events, 0.5)) if config.faults else 0.0


def _note(status: dict[str, Any] | None, *, killed: bool) -> str:
    """What a person waits for; empty while the connector has partitions, and so moves."""
    if status is None:
        return STARTING
    if status["partitions"]:
        return ""
    return RETURNING if killed else JOINING


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


def done(status: dict[str, Any]) -> int:
    """Events accepted, skipped or dead-lettered, as its page counts them, with those below where this life began.

    Offsets alone would say far less: one update that is tried again holds back all that was accepted above it.
    """
    return _read(status) - int(status["events"]["pending"])


def _settled(status: dict[str, Any] | None) -> int:
    """Records below the committable offsets. A partition not read since a restart still counts by its commit."""
    return sum(max(0, part["committable"]) for part in status["partitions"]) if status else 0


def _moment(run: _Run, config: DemoConfig, target: SandboxTarget, note: str) -> Progress:
    now = time.monotonic()
    updates = target.endpoint.stats()["applied"]
    run.recent.append((now, run.produced, updates))
    (then, events_then, updates_then) = run.recent[0]
    passed = max(now - then, TICK)
    return Progress(
        seconds=now - run.began,
        events=run.produced,
        total=config.events,
        done=run.done,
        events_rate=(run.produced - events_then) / passed,
        updates=updates,
        updates_rate=(updates - updates_then) / passed,
        saved=max(0.0, 1 - updates / run.done) if run.done else 0.0,
        p99=run.known["event_age_seconds"]["p99"] if run.known else None,
        note=note,
    )


def _report(run: _Run, broker: EmbeddedBroker, target: SandboxTarget) -> Report:
    stats = target.endpoint.stats()
    held = {who.partition(":")[2]: attributes for who, attributes in target.profiles.values(time.time()).items()}
    lost, wrong = compare(run.expected, held)
    letters = set(broker.read_headers(DEAD_LETTERS, ("partition", "offset")))
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
        "KAFKA_PROPERTIES": json.dumps({"session.timeout.ms": SESSION_SECONDS * 1_000, "heartbeat.interval.ms": 500}),
        "TARGET_CLIENT_CODE": "demo",
        "TARGET_BASE_URL": target.url,
        "TARGET_MAX_UPDATES_PER_SECOND": "0",
        "QUOTA_UPDATES": "0",
        "COMMIT_INTERVAL_SECONDS": "1",
    }


def _post_mortem(replica: Replica, what: str) -> str:
    last = replica.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"{what}; its last lines:", *last])
