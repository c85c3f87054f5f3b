"""The composition root: from settings to a running connector; nothing else joins the rooms."""

import asyncio
import heapq
import math
import os
import random
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog

from connector import __version__
from connector.delivery.coalescer import Order
from connector.delivery.retry import RetryPolicy
from connector.errors import Fatal
from connector.events import RULES, JsonDecoder, Nulls
from connector.kafka.config import KafkaConfig
from connector.kafka.consumer import ConsumerThread
from connector.kafka.dead_letters import KafkaDeadLetters
from connector.kafka.ledger import KafkaLedger
from connector.kafka.ledger_topic import LedgerTopic
from connector.ops.health import Beats, livez, readyz
from connector.ops.logs import learn
from connector.ops.metrics import Metrics, Snapshot
from connector.ops.problems import RECENT
from connector.ops.server import OpsServer
from connector.ops.tracing import tracing
from connector.pipeline import Pipeline, PipelineConfig
from connector.pipeline.edges import Observer
from connector.pipeline.life import Life
from connector.pipeline.say import Say
from connector.quota.terms import Terms
from connector.settings import Settings, masked
from connector.target.endpoint import EndpointError, endpoint
from connector.target.proxy import ProxyError, proxy_for
from connector.target.render import Method, Renderer
from connector.target.sender import HttpSender, SenderConfig
from connector.target.token import FileToken, FixedToken, Reload, TokenError, TokenSource

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BAD_SETTINGS = "settings_refused"
BEAT_SECONDS = 1.0
"""How often the loop shows that it comes round."""
MOST_PARTITIONS = 200
"""Partitions that the status names: it is fetched every few seconds, and one replica may own thousands."""


class Service:
    """One replica: the pipeline with its edges, and the ops port beside it."""

    def __init__(self, settings: Settings) -> None:
        """Join everything; nothing is opened yet. Raises Fatal when a token, an address or a proxy cannot be used."""
        self._settings = settings
        kafka = kafka_config(settings)
        try:
            where = endpoint(settings.target_base_url, settings.target_update_path, settings.target_client_code)
            proxy = proxy_for(where.origin)
        except (EndpointError, ProxyError) as error:
            raise Fatal(BAD_SETTINGS, str(error)) from error
        if proxy is not None and (password := urlsplit(proxy).password):
            learn(unquote(password), lasting=True)
        self._spans = tracing(os.environ, __version__)
        observers: list[Observer] = [Life()] if settings.log_level == "debug" else []
        if self._spans is not None:
            observers.append(self._spans)
        self._source = ConsumerThread(kafka)
        self._say = Say(time.monotonic)
        self._dead_letters = KafkaDeadLetters(kafka, self._say_delayed)
        terms = quota_terms(settings)
        self._sender = HttpSender(
            SenderConfig(
                origin=where.origin,
                user_agent=f"target-profile-connector/{__version__}",
                timeout_seconds=settings.target_timeout_seconds,
                max_connections=settings.target_max_in_flight,
                token=token_source(settings),
                proxy=proxy,
            )
        )
        self.pipeline = Pipeline(
            _pipeline(settings),
            decode=JsonDecoder(Nulls(settings.event_nulls)),
            render=Renderer(where.path, Method(settings.target_method)),
            source=self._source,
            sender=self._sender,
            dead_letters=self._dead_letters,
            rng=random.Random(),
            awake=_awake,
            ledger=None if terms is None else KafkaLedger(kafka, ledger_topic(settings.ledger_topic, terms)),
            observers=observers,
        )
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
        """Run until `stop` is set and the drain is over; raises Fatal when going on would lose something."""
        log.info("connector_started", version=__version__, settings=masked(self._settings))
        beating = asyncio.create_task(self._beat())
        await self.ops.start()
        try:
            async with self._sender:
                preparing = asyncio.create_task(self._prepare_dead_letters())
                self._started = True
                try:
                    await self.pipeline.run(stop)
                finally:
                    preparing.cancel()
        finally:
            await self._dead_letters.close()
            await self.ops.stop()
            beating.cancel()
            if self._spans is not None:
                self._spans.close()

    async def _prepare_dead_letters(self) -> None:
        """Say early that there is no topic for dead letters; it matters only when there is a letter."""
        wrong = await self._dead_letters.prepare()
        if wrong is not None:
            log.warning("dead_letter_topic_unavailable", topic=self._settings.dead_letter_topic, reason=wrong.reason)

    def _say_delayed(self, reason: str) -> None:
        self._say("dead_letter_delayed", about=reason, topic=self._settings.dead_letter_topic, reason=reason)

    def snapshot(self) -> Snapshot:
        """What the metrics show, all of one moment."""
        pipeline = self.pipeline
        uptime = time.time() - self._started_at
        lease = pipeline.gate.lease
        commit_age = lease.seconds - lease.left(_awake()) if pipeline.assigned_partitions else 0.0
        lag = {
            (name.topic, name.partition): max(0, end - tracker.committable)
            for name, end in pipeline.log_ends.items()
            if (tracker := pipeline.assigned_partitions.get(name)) is not None and tracker.committable >= 0
        }
        return Snapshot(
            tally=pipeline.tally,
            events_pending=pipeline.events_pending,
            updates_pending=pipeline.coalescer.waiting,
            updates_in_flight=pipeline.gate.in_flight,
            partitions_assigned=len(pipeline.assigned_partitions),
            circuit_open=pipeline.circuit.is_open,
            paused=pipeline.starved,
            consumer_lag=lag,
            quota_limit=self._settings.quota_updates,
            quota_used=0 if pipeline.quota is None else pipeline.quota.used,
            slots=pipeline.gate.concurrency.slots,
            bytes_pending=pipeline.coalescer.size + pipeline.burial.size,
            letters_pending=pipeline.burial.letters,
            overdue_seconds=max(0.0, -pipeline.coalescer.due_in(asyncio.get_running_loop().time())),
            commit_age_seconds=min(commit_age, uptime),
            start_time_seconds=self._started_at,
            version=__version__,
        )

    def status(self) -> Mapping[str, object]:
        """What it does now, for a person: the same numbers as the metrics, in words."""
        now = self.snapshot()
        tally = now.tally
        pipeline = self.pipeline
        circuit, gate = pipeline.circuit, pipeline.gate
        beats = self._beats()
        return {
            "version": __version__,
            "replica": socket.gethostname(),
            "time": round(time.time(), 3),
            "uptime_seconds": round(time.time() - self._started_at),
            "health": {"livez": livez(beats, time.monotonic()).reasons, "readyz": readyz(beats).reasons},
            "draining": pipeline.draining,
            "events": {
                "consumed": tally.events_consumed,
                "pending": now.events_pending,
                **{done.value: count for done, count in tally.events_done.items()},
            },
            "updates": {
                "accepted": tally.updates_accepted,
                "dead_lettered": tally.updates_dead_lettered,
                "pending": now.updates_pending,
                "in_flight": now.updates_in_flight,
            },
            "requests": {verdict.value: count for verdict, count in tally.requests.items()},
            "event_age_seconds": {
                f"p{percent}": tally.event_age_seconds.quantile(percent / 100) for percent in (50, 95, 99)
            },
            "circuit": {
                "open": now.circuit_open,
                "reason": circuit.reason,
                "open_seconds": (
                    round(asyncio.get_running_loop().time() - circuit.opened_at, 1) if now.circuit_open else None
                ),
            },
            "slots": gate.concurrency.slots,
            "rate_per_second": _finite(gate.rate.per_second),
            "lease_seconds": _finite(gate.lease.left(_awake())),
            "paused": now.paused,
            "quota": None if pipeline.quota is None else pipeline.quota.status(),
            "lag": sum(now.consumer_lag.values()) if now.consumer_lag else None,
            "partitions_assigned": now.partitions_assigned,
            "partitions": self._partitions(now.consumer_lag),
            "problems": [asdict(problem) for problem in RECENT.newest_first()],
            "settings": masked(self._settings),
        }

    def _partitions(self, lag: Mapping[tuple[str, int], int]) -> list[Mapping[str, object]]:
        """By name; those that are furthest behind, when there are too many to name."""
        owned = self.pipeline.assigned_partitions
        names = heapq.nlargest(MOST_PARTITIONS, owned, key=lambda name: lag.get(name, math.inf))
        return [
            {
                "topic": name.topic,
                "partition": name.partition,
                "position": owned[name].position,
                "committable": owned[name].committable,
                "committed": owned[name].committed.offset,
                "lag": lag.get(name),
            }
            for name in sorted(names)
        ]

    async def _beat(self) -> None:
        while True:
            self._loop_beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _beats(self) -> Beats:
        return Beats(
            thread=self._source.last_beat,
            loop=self._loop_beat,
            kafka_reached=self._source.reached,
            draining=self.pipeline.draining,
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
    except Fatal as fatal:
        # Without the traceback: the remedy says it all, and the reader is an operator.
        log.error(fatal.event, remedy=fatal.remedy)  # noqa: TRY400
        code = 2 if fatal.event == BAD_SETTINGS else 1
        log.error("connector_stopped", reason=fatal.event, exit_code=code)  # noqa: TRY400
        return code
    except asyncio.CancelledError:
        log.warning("connector_stopped", reason="second signal", exit_code=1)
        return 1
    except Exception:
        log.exception("connector_stopped", reason="unexpected error", exit_code=1)
        return 1
    log.info("connector_stopped", reason="signal", exit_code=0)
    return 0


def kafka_config(settings: Settings) -> KafkaConfig:
    """What the Kafka room has to know; the commands that look at the cluster use the same."""
    return KafkaConfig(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        topics=tuple(settings.kafka_topics),
        group_id=settings.kafka_group_id,
        group_protocol=settings.kafka_group_protocol,
        group_instance_id=settings.kafka_group_instance_id,
        auto_offset_reset=settings.kafka_auto_offset_reset,
        dead_letter_topic=settings.dead_letter_topic or "",
        security=settings.security(),
        properties=settings.properties(),
        request_timeout=settings.target_timeout_seconds,
    )


def quota_terms(settings: Settings) -> Terms | None:
    """The quota; None: there is none."""
    if not settings.quota_updates:
        return None
    return Terms(
        limit=settings.quota_updates,
        window=settings.quota_window_seconds,
        horizon=settings.quota_horizon,
        request_timeout=settings.target_timeout_seconds,
    )


def ledger_topic(name: str, terms: Terms) -> LedgerTopic:
    """What the ledger's topic has to be for such a quota."""
    return LedgerTopic(name, terms.window, terms.counted)


def _pipeline(settings: Settings) -> PipelineConfig:
    return PipelineConfig(
        retry=RetryPolicy(
            initial=settings.retry_initial_seconds,
            maximum=settings.retry_max_seconds,
            max_attempts=settings.retry_max_attempts,
        ),
        linger=settings.coalesce_linger_seconds,
        order=Order(settings.coalesce_order),
        rules=f"{settings.event_format} {RULES} {settings.event_nulls}",
        max_visitors=settings.coalesce_max_visitors,
        max_bytes=settings.coalesce_max_bytes,
        max_in_flight=settings.target_max_in_flight,
        updates_per_second=settings.target_max_updates_per_second,
        accept_unconfirmed=settings.target_unconfirmed_success == "accept",
        commit_interval=settings.commit_interval_seconds,
        shutdown_grace=settings.shutdown_grace_seconds,
        request_timeout=settings.target_timeout_seconds,
        static_member=settings.kafka_group_instance_id is not None,
        max_dead_letters_in_a_row=settings.dead_letter_max_consecutive,
        max_dead_letter_ratio=settings.dead_letter_max_ratio,
        quota=quota_terms(settings),
        name=settings.kafka_group_instance_id or socket.gethostname(),
    )


_awake = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds by a clock that runs on while the machine sleeps, where there is one."""


def _finite(number: float) -> float | None:
    """As JSON can hold it."""
    return round(number, 1) if math.isfinite(number) else None


def token_source(settings: Settings) -> TokenSource | None:
    """The bearer token, if one is set. Raises Fatal when it cannot be used."""
    try:
        if settings.target_auth_token is not None:
            return FixedToken(settings.target_auth_token.get_secret_value())
        if settings.target_auth_token_file is not None:
            return _file_token(settings.target_auth_token_file)
    except TokenError as error:
        raise Fatal(event="token_unreadable", remedy=f"{error}; mend TARGET_AUTH_TOKEN or its file") from error
    return None


def _file_token(path: Path) -> FileToken:
    """Make it so that each token is known to the logs before it is sent for the first time."""

    def reloaded(reload: Reload) -> None:
        if reload.problem:
            log.warning("token_unreadable", reason=reload.problem)
        else:
            learn(source.current())
            log.info("token_reloaded")

    source = FileToken(path, time.monotonic, reloaded)
    learn(source.current())
    return source
