"""One side of one comparison, in a process of its own so that its CPU time is its alone; prints one JSON line."""

import asyncio
import gc
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
import uvloop
from confluent_kafka import Consumer
from yarl import URL

from benchmarks.events import one_each
from connector.decoding import EventReader
from connector.delivery.answer import Answer, Verdict
from connector.delivery.dead_letter import DeadLetter
from connector.delivery.retry import RetryPolicy
from connector.events import JsonDecoder
from connector.events.change import Visitor
from connector.kafka.config import KafkaConfig
from connector.kafka.consumer import ConsumerThread
from connector.pipeline import Pipeline, PipelineConfig
from connector.pipeline.ports import Clocks, Ports
from connector.service.service import Service
from connector.settings import load
from connector.target.render import Method, Renderer, Request


class _Event(msgspec.Struct, rename="camel"):
    """The fields of an event, without a rule about them."""

    mbox3rd_party_id: str
    profile: dict[str, Any]
    event_id: str | None = None
    occurred_at: datetime | None = None


def bare_intake(bootstrap: str, topic: str, events: int) -> int:
    """Consume, decode, merge to the text that is to be sent: the simplest loop.

    It refuses nothing, has one kind of id, knows no partitions and no offsets, and runs on one thread.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bare-{time.time_ns()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.min.messages": 10_000,
        }
    )
    consumer.subscribe([topic])
    decode = msgspec.json.Decoder(_Event, float_hook=str).decode
    merged: dict[str, dict[str, str]] = {}
    left = events
    while left:
        for message in consumer.consume(1_000, 0.1):
            if message.error() is not None or (value := message.value()) is None:
                continue
            event = decode(value)
            profile = event.profile
            for name, item in profile.items():
                if type(item) is bool:
                    profile[name] = "true" if item else "false"
                elif type(item) is not str:
                    profile[name] = str(item)
            merged.setdefault(event.mbox3rd_party_id, {}).update(profile)
            left -= 1
    consumer.close()
    return len(merged)


class _Nowhere:
    """Neither an endpoint nor a dead-letter topic: intake alone is measured."""

    async def send(self, request: Request | DeadLetter) -> Any:
        """Not reached: the linger is longer than the run."""
        del request
        return Answer(Verdict.UNAVAILABLE)

    def bound(self, seconds: float) -> None:
        """Nothing is kept."""

    def renew(self) -> None:
        """There is no connection."""


QUIET = PipelineConfig(RetryPolicy(0.5, 60.0, 10), linger=3_600.0, shutdown_grace=0.0)
"""Nothing is sent before the run is over."""


async def intake(bootstrap: str, topic: str, events: int, spending: PipelineConfig | None = None) -> int:
    """The product's consumer thread, decoder and coalescer, with a linger that outlasts the run.

    `spending`: settings that leave calls out.
    """
    source = ConsumerThread(KafkaConfig(bootstrap, (topic,), f"ours-{time.time_ns()}"))
    pipeline = Pipeline(
        spending or QUIET,
        Ports(source, _Nowhere(), _Nowhere()),
        reader=EventReader(JsonDecoder(), {}, ""),
        render=Renderer("/m2/client/profile/update", Method.AUTO),
        rng=random.Random(1),
        clocks=Clocks(time.monotonic),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(pipeline.run(stop))
    while pipeline.state.counters.events_consumed < events:  # noqa: ASYNC110 - an event would be a test-only part of the product
        await asyncio.sleep(0.02)
    visitors = pipeline.state.coalescer.waiting
    stop.set()
    await running
    return visitors


async def bare_wire(endpoint: str, requests: int) -> int:
    """64 tasks that send prebuilt requests by aiohttp and read the answers, and nothing else."""
    render = Renderer("/m2/client/profile/update", Method.AUTO)
    urls = []
    for _, value in one_each(requests, seed=1):
        event = msgspec.json.decode(value)
        attributes = {name: str(attribute) for name, attribute in event["profile"].items()}
        made = render(Visitor("mbox3rdPartyId", event["mbox3rdPartyId"]), attributes)
        urls.append(URL(endpoint + made.requests[0].target, encoded=True))
    _reset()
    todo = iter(urls)
    sent = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=64), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def work() -> None:
            nonlocal sent
            for url in todo:
                async with session.get(url) as response:
                    await response.read()
                    sent += response.status == 200

        await asyncio.gather(*(work() for _ in range(64)))
    return sent


async def wire(bootstrap: str, topic: str, endpoint: str, requests: int) -> int:
    """The whole service: consume, decode, coalesce, send, commit; one event a visitor, no limits."""
    settings = load(
        {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPICS": topic,
            "KAFKA_GROUP_ID": f"ours-{time.time_ns()}",
            "TARGET_CLIENT_CODE": "bench",
            "TARGET_BASE_URL": endpoint,
            "TARGET_MAX_UPDATES_PER_SECOND": "0",
            "COALESCE_LINGER_SECONDS": "0",
            "QUOTA_UPDATES": "1000000000",
            "OPS_PORT": "0",
        }
    )
    service = Service(settings)
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    while service.pipeline.state.counters.updates_accepted < requests:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.05)
    stop.set()
    await running
    return sum(service.pipeline.state.counters.requests.values())


_started = 0.0


def _reset() -> None:
    """Begin to count here: the preparation is not measured."""
    global _started  # noqa: PLW0603 - one number of one short process
    _started = _cpu()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def main(words: list[str]) -> None:
    """`SIDE name=value …`: run it and print CPU seconds and how much was done."""
    side, given = words[0], dict(word.split("=", 1) for word in words[1:])
    _reset()
    done = _SIDES[side](given)
    print(json.dumps({"cpu_seconds": _cpu() - _started, "done": done}))


_SIDES: Mapping[str, Callable[[dict[str, str]], int]] = {
    "bare-intake": lambda a: bare_intake(a["bootstrap"], a["topic"], int(a["count"])),
    "intake": lambda a: _run(lambda: intake(a["bootstrap"], a["topic"], int(a["count"]))),
    "intake-unchanged": lambda a: _run(
        lambda: intake(a["bootstrap"], a["topic"], int(a["count"]), replace(QUIET, unchanged_seconds=86_400.0))
    ),
    "intake-age": lambda a: _run(
        lambda: intake(a["bootstrap"], a["topic"], int(a["count"]), replace(QUIET, max_event_age=1e9))
    ),
    "bare-wire": lambda a: _run(lambda: bare_wire(a["endpoint"], int(a["count"]))),
    "wire": lambda a: _run(lambda: wire(a["bootstrap"], a["topic"], a["endpoint"], int(a["count"]))),
}

if __name__ == "__main__":
    main(sys.argv[1:])
