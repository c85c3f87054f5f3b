"""One replica: every edge opened, the pipeline run, signals heard, everything closed."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import structlog

from connector import __version__
from connector.errors import Fatal, UnusableSetting
from connector.kafka.consumer import ConsumerThread
from connector.kafka.dead_letter_producer import DeadLetterProducer
from connector.kafka.quota_log import KafkaQuotaLog
from connector.kafka.retention import TopicRetention
from connector.ops.health import Heartbeats, livez, readyz
from connector.ops.logs import learn
from connector.ops.metrics import Metrics
from connector.ops.server import OpsServer
from connector.ops.snapshot import Snapshot
from connector.ops.throttled_log import ThrottledLogger
from connector.ops.tracing import tracing
from connector.ops.update_log import UpdateLog
from connector.pipeline import Pipeline
from connector.pipeline.ports import Clocks, Observer, Ports
from connector.registry.client import RegistryClient
from connector.service.factories import (
    boottime,
    kafka_config,
    ledger_topic,
    pipeline_config,
    quota_policy,
    statuses,
    token_source,
)
from connector.service.reading import event_mapping, reader, registry_config, tell_mapping
from connector.service.schemas import schema_store
from connector.service.status import snapshot, status
from connector.settings import BadSettings, Settings, masked
from connector.target.endpoint import endpoint
from connector.target.proxy import proxy_for
from connector.target.render import Method, Renderer
from connector.target.sender import HttpSender, SenderConfig

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BAD_SETTINGS = "settings_refused"
BEAT_SECONDS = 1.0
"""How often the loop shows that it comes round."""


class Service:
    """One replica: the pipeline with its edges, and the ops port beside it."""

    def __init__(self, settings: Settings) -> None:
        """Join everything; nothing is opened yet.

        Raises Fatal when a file, a token, an address or a proxy cannot be used, BadSettings for a refused property.
        """
        self._settings = settings
        kafka = kafka_config(settings, files=True)
        self._mapping = event_mapping(settings)
        try:
            where = endpoint(settings.target_base_url, settings.target_update_path, settings.target_client_code)
            proxy = proxy_for(where.origin)
            registry = registry_config(settings)
        except UnusableSetting as error:
            wrong = error.failure
            raise Fatal(BAD_SETTINGS, wrong.reason, f"correct {wrong.setting}", setting=wrong.setting) from error
        if proxy is not None and (password := urlsplit(proxy).password):
            learn(unquote(password), lasting=True)
        self._spans = tracing(os.environ, __version__)
        observers: list[Observer] = [UpdateLog()] if settings.log_level == "debug" else []
        if self._spans is not None:
            observers.append(self._spans)
        self._source = ConsumerThread(kafka)
        self._say = ThrottledLogger(time.monotonic)
        self._retention = TopicRetention(kafka)
        self._dead_letters = DeadLetterProducer(kafka, self._say_delayed)
        self._registry = None if registry is None else RegistryClient(registry)
        schemas = None
        if self._registry is not None:
            schemas = schema_store(self._registry, settings.schema_registry_cache_max_schemas)
        self._schemas = schemas
        events = reader(settings, self._mapping, schemas)
        terms = quota_policy(settings)
        self._token = token_source(settings)
        self._sender = HttpSender(
            SenderConfig(
                origin=where.origin,
                user_agent=f"target-profile-connector/{__version__}",
                timeout_seconds=settings.target_timeout_seconds,
                max_connections=settings.target_max_in_flight,
                token=self._token,
                proxy=proxy,
                statuses=statuses(settings),
            )
        )
        self.pipeline = Pipeline(
            pipeline_config(settings, events.rules),
            Ports(
                self._source,
                self._sender,
                self._dead_letters,
                None if terms is None else KafkaQuotaLog(kafka, ledger_topic(settings.ledger_topic, terms)),
                schemas,
            ),
            reader=events,
            render=Renderer(where.path, Method(settings.target_method)),
            rng=random.Random(),
            clocks=Clocks(boottime),
            observers=observers,
        )
        if schemas is not None:
            schemas.listen(self.pipeline.schemas_changed)
        self.ops = OpsServer(
            settings.ops_host,
            settings.ops_port,
            livez=lambda: livez(self._beats(), time.monotonic()),
            readyz=lambda: readyz(self._beats()),
            metrics=Metrics(self.snapshot).render,
            status=self.status,
        )
        self._loop_beat = time.monotonic()
        self._started = False
        self._started_at = time.time()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set and the drain is over; raises Fatal when continuing would lose something."""
        log.info("connector_started", version=__version__, settings=masked(self._settings))
        tell_mapping(self._settings, self._mapping)
        beating = asyncio.create_task(self._beat())
        await self.ops.start()
        try:
            async with self._sender, self._reading():
                beside = [
                    asyncio.create_task(self._prepare_dead_letters()),
                    asyncio.create_task(self._retention.keep()),
                ]
                self._started = True
                try:
                    await self.pipeline.run(stop)
                finally:
                    for task in beside:
                        task.cancel()
        finally:
            await self._dead_letters.close()
            await self.ops.stop()
            beating.cancel()
            if self._spans is not None:
                self._spans.close()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """The Schema Registry, while records are read. Raises Fatal when its files of keys cannot be used."""
        if self._registry is None or self._schemas is None:
            yield
            return
        try:
            await self._registry.start()
        except UnusableSetting as error:
            wrong = error.failure
            raise Fatal(BAD_SETTINGS, wrong.reason, f"correct {wrong.setting}", setting=wrong.setting) from error
        try:
            yield
        finally:
            await self._schemas.close()
            await self._registry.close()

    async def _prepare_dead_letters(self) -> None:
        """Say early that there is no topic for dead letters; it matters only when there is a letter."""
        wrong = await self._dead_letters.prepare()
        if wrong is not None:
            log.warning("dead_letter_topic_unavailable", topic=self._settings.dead_letter_topic, reason=str(wrong))

    def _say_delayed(self, reason: str) -> None:
        self._say("dead_letter_delayed", about=reason, topic=self._settings.dead_letter_topic, reason=reason)

    def snapshot(self) -> Snapshot:
        """What the metrics show."""
        ends = None if self._token is None else self._token.ends()
        return snapshot(self.pipeline, self._settings, self._started_at, self._retention.seconds, ends)

    def status(self) -> Mapping[str, object]:
        """What the status page shows."""
        return status(self.pipeline, self._settings, self.snapshot(), self._beats())

    async def _beat(self) -> None:
        while True:
            self._loop_beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _beats(self) -> Heartbeats:
        return Heartbeats(
            thread=self._source.last_beat,
            loop=self._loop_beat,
            kafka_reached=self._source.reached,
            draining=self.pipeline.state.draining,
            started=self._started,
        )


async def serve(settings: Settings) -> int:
    """Run one replica until a signal; returns the exit code. A second signal ends the drain at once, still safely."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task: asyncio.Task[None] | None = None

    def told() -> None:
        nonlocal task
        if not stop.is_set():
            stop.set()
        elif task is not None:
            task.cancel()
            task = None  # A third signal must not interrupt the last commit.

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    try:
        running = task = asyncio.ensure_future(Service(settings).run(stop))
        await running
    except BadSettings as bad:
        for mistake in bad.mistakes:
            log.error(BAD_SETTINGS, setting=mistake.setting, remedy=mistake.remedy)  # noqa: TRY400 - as below
        log.error("connector_stopped", reason=BAD_SETTINGS, exit_code=2)  # noqa: TRY400
        return 2
    except Fatal as fatal:
        # Without the traceback: the failure says it all, and the reader is an operator.
        event = fatal.failure.event
        log.error(event, **fatal.failure.fields())  # noqa: TRY400
        code = 2 if event == BAD_SETTINGS else 1
        log.error("connector_stopped", reason=event, exit_code=code)  # noqa: TRY400
        return code
    except asyncio.CancelledError:
        log.warning("connector_stopped", reason="second signal", exit_code=1)
        return 1
    except Exception:
        log.exception("connector_stopped", reason="unexpected error", exit_code=1)
        return 1
    log.info("connector_stopped", reason="signal", exit_code=0)
    return 0
