"""What a replica does now, all of one moment: for Prometheus as numbers, for a person in words."""

import asyncio
import heapq
import math
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from msgspec import structs

from connector import __version__
from connector.events.change import Priority
from connector.ops.health import Heartbeats, livez, readyz
from connector.ops.problems import RECENT
from connector.ops.snapshot import Snapshot
from connector.pipeline import Pipeline
from connector.service.factories import boottime
from connector.settings import Settings, masked

MOST_PARTITIONS = 200
"""Partitions that the status names: it is fetched every few seconds, and one replica may own thousands."""


def snapshot(
    pipeline: Pipeline,
    settings: Settings,
    started_at: float,
    retention: Mapping[str, float] | None = None,
    token_ends: float | None = None,
) -> Snapshot:
    """What the metrics show, all of one moment; `token_ends` in seconds since the epoch."""
    now = time.time()
    uptime = now - started_at
    lease = pipeline.state.gate.lease
    commit_age = lease.seconds - lease.left(boottime()) if pipeline.state.partitions else 0.0
    lag = {
        (name.topic, name.partition): max(0, end - tracker.watermark)
        for name, end in pipeline.state.log_ends.items()
        if (tracker := pipeline.state.partitions.get(name)) is not None and tracker.watermark >= 0
    }
    slowed, used_up = (pipeline.quota and pipeline.quota.forecast) or (None, None)
    return Snapshot(
        tally=pipeline.state.counters,
        events_pending=pipeline.state.events_pending,
        updates_pending=pipeline.state.coalescer.waiting,
        updates_in_flight=pipeline.state.gate.in_flight,
        partitions_assigned=len(pipeline.state.partitions),
        circuit_open=pipeline.state.gate.circuit.is_open,
        paused=pipeline.state.is_starved,
        consumer_lag=lag,
        oldest_pending=_oldest(pipeline, settings.kafka_topics, now),
        retention=retention or {},
        quota_limit=settings.quota_updates,
        quota_used=0 if pipeline.quota is None else pipeline.quota.known,
        quota_slowed_seconds=slowed,
        quota_used_up_seconds=used_up,
        slots=pipeline.state.gate.concurrency.slots,
        bytes_pending=pipeline.state.coalescer.size + pipeline.state.letter_bytes,
        letters_pending=pipeline.state.letters,
        overdue_seconds=pipeline.state.overdue,
        waiting=_waiting(pipeline),
        commit_age_seconds=min(commit_age, uptime),
        token_expires_seconds=None if token_ends is None else token_ends - now,
        start_time_seconds=started_at,
        updates_unknown=pipeline.state.coalescer.unknown,
        schema_waits=len(pipeline.schema_holds.held),
        version=__version__,
    )


def _waiting(pipeline: Pipeline) -> Mapping[Priority, tuple[int, float]]:
    """By class the visitors whose update waits, and for how long the first of them is due."""
    state = pipeline.state
    return {each: (state.coalescer.waiting_of(each), state.coalescer.overdue(each, state.now())) for each in Priority}


def _oldest(pipeline: Pipeline, topics: Iterable[str], now: float) -> Mapping[str, float]:
    """By topic, the age of the oldest record that waits: one look a partition, and none at what waits behind it."""
    ages = dict.fromkeys(topics, 0.0)
    for name, tracker in pipeline.state.partitions.items():
        written = pipeline.state.coalescer.oldest_ms(tracker)
        if written is not None and written > 0:  # A record may have no timestamp.
            ages[name.topic] = max(ages.get(name.topic, 0.0), now - written / 1_000)
    return ages


def status(pipeline: Pipeline, settings: Settings, now: Snapshot, beats: Heartbeats) -> Mapping[str, object]:
    """What it does now, for a person: the same numbers as the metrics, in words."""
    tally = now.tally
    circuit, gate = pipeline.state.gate.circuit, pipeline.state.gate
    return {
        "version": __version__,
        "replica": socket.gethostname(),
        "time": round(time.time(), 3),
        "uptime_seconds": round(time.time() - now.start_time_seconds),
        "health": {"livez": livez(beats, time.monotonic()).reasons, "readyz": readyz(beats).reasons},
        "draining": pipeline.state.draining,
        "events": {
            "consumed": tally.events_consumed,
            "pending": now.events_pending,
            **{done.value: count for done, count in tally.events_done.items()},
        },
        "records_missed": {reason.value: count for reason, count in tally.records_missed.items()},
        "updates": {
            "accepted": tally.updates_accepted,
            "dead_lettered": tally.updates_dead_lettered,
            "pending": now.updates_pending,
            "in_flight": now.updates_in_flight,
            "unknown_visitor": now.updates_unknown,
        },
        "calls_saved": {"merging": tally.saved_by_merging, "unchanged": tally.updates_unchanged},
        "waiting": {
            priority.word: {
                "visitors": visitors,
                "overdue_seconds": round(overdue, 1),
                "held_back": priority > gate.lowest,
            }
            for priority, (visitors, overdue) in now.waiting.items()
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
        "token_expires_seconds": None if now.token_expires_seconds is None else round(now.token_expires_seconds),
        "slots": gate.concurrency.slots,
        "rate_per_second": _finite(gate.rate.per_second),
        "lease_seconds": _finite(gate.lease.left(boottime())),
        "paused": now.paused,
        "quota": None if pipeline.quota is None else pipeline.quota.status(),
        "verified": _verified(pipeline),
        "events_skipped": [
            {"source": source, "condition": condition, "events": count}
            for (source, condition), count in tally.events_skipped.items()
        ],
        "schema_waits": _waits(pipeline),
        "lag": sum(now.consumer_lag.values()) if now.consumer_lag else None,
        "partitions_assigned": now.partitions_assigned,
        "partitions": _partitions(pipeline, now.consumer_lag),
        "problems": [asdict(problem) for problem in RECENT.newest_first()],
        "settings": masked(settings),
    }


def _verified(pipeline: Pipeline) -> Mapping[str, object] | None:
    """What `connector verify --publish` found last."""
    if pipeline.quota is None or (known := pipeline.quota.verified) is None:
        return None
    found, seconds = known
    told = {name: value for name, value in structs.asdict(found).items() if name not in ("name", "v")}
    return {"seconds_ago": round(seconds), **told}


def _waits(pipeline: Pipeline) -> list[Mapping[str, object]]:
    """The partitions that wait for a schema, and why."""
    holds, now = pipeline.schema_holds, asyncio.get_running_loop().time()
    reasons = heapq.nsmallest(MOST_PARTITIONS, holds.reasons.items())
    return [
        {
            "topic": name.topic,
            "partition": name.partition,
            "offset": holds.held[name].offset,
            "schema": str(holds.held[name].schema.value),
            "seconds": round(now - holds.held[name].since, 1),
            "reason": reason,
        }
        for name, reason in reasons
    ]


def _partitions(pipeline: Pipeline, lag: Mapping[tuple[str, int], int]) -> list[Mapping[str, object]]:
    """By name; those that are furthest behind, when there are too many to name."""
    owned = pipeline.state.partitions
    names = heapq.nlargest(MOST_PARTITIONS, owned, key=lambda name: lag.get(name, math.inf))
    return [
        {
            "topic": name.topic,
            "partition": name.partition,
            "position": owned[name].position,
            "committable": owned[name].watermark,
            "committed": owned[name].committed.offset,
            "lag": lag.get(name),
        }
        for name in sorted(names)
    ]


def _finite(number: float) -> float | None:
    """As JSON can hold it."""
    return round(number, 1) if math.isfinite(number) else None
