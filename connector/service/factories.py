"""From the settings to what each room has to know of them; the commands that look from outside use the same."""

import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog

from connector.delivery.answer import Verdict
from connector.delivery.coalescer import Order
from connector.delivery.retry import RetryPolicy
from connector.errors import Fatal
from connector.kafka.config import KafkaConfig
from connector.kafka.config_check import check_config
from connector.kafka.quota_topic import QuotaTopic
from connector.ops.logs import learn
from connector.pipeline import PipelineConfig
from connector.quota.policy import QuotaPolicy
from connector.settings import BadSettings, Mistake, Settings
from connector.target.statuses import Meaning, changed
from connector.target.token import FileToken, FixedToken, Reload, TokenError, TokenSource

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def kafka_config(settings: Settings, *, files: bool = False) -> KafkaConfig:
    """What the Kafka room has to know; the commands that look at the cluster use the same.

    Raises BadSettings when librdkafka refuses a property, and with `files` Fatal for a file of keys or certificates
    that cannot be used: that is no wrong setting, since the file may come later.
    """
    config = KafkaConfig(
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
    wrong = check_config(config)
    if wrong is not None and not wrong.is_file:
        raise BadSettings([Mistake(wrong.variable, reason=str(wrong))])
    if wrong is not None and files:
        raise wrong.fatal
    return config


def quota_policy(settings: Settings) -> QuotaPolicy | None:
    """The quota; None: there is none."""
    if not settings.quota_updates:
        return None
    return QuotaPolicy(
        limit=settings.quota_updates,
        window=settings.quota_window_seconds,
        horizon=settings.quota_horizon,
        request_timeout=settings.target_timeout_seconds,
    )


def ledger_topic(name: str, terms: QuotaPolicy) -> QuotaTopic:
    """What the ledger's topic has to be for such a quota."""
    return QuotaTopic(name, terms.window, terms.counted)


def pipeline_config(settings: Settings, rules: str) -> PipelineConfig:
    """What the pipeline has to know; `rules` names all that decides what a record means."""
    return PipelineConfig(
        retry=RetryPolicy(
            initial=settings.retry_initial_seconds,
            maximum=settings.retry_max_seconds,
            max_attempts=settings.retry_max_attempts,
        ),
        linger=settings.coalesce_linger_seconds,
        order=Order(settings.coalesce_order),
        rules=f"{rules} {settings.coalesce_order}",
        max_visitors=settings.coalesce_max_visitors,
        max_bytes=settings.coalesce_max_bytes,
        unchanged_seconds=settings.coalesce_unchanged_seconds,
        unchanged_max_visitors=settings.coalesce_unchanged_max_visitors,
        max_event_age=settings.event_max_age_seconds,
        topics=len(settings.kafka_topics),
        is_mapped=settings.event_mapping is not None or settings.event_mapping_file is not None,
        max_in_flight=settings.target_max_in_flight,
        updates_per_second=settings.target_max_updates_per_second,
        unknown_visitor_wait=settings.target_unknown_visitor_wait_seconds,
        skip_unknown_visitors=settings.target_unknown_visitor == "skip",
        accept_unconfirmed=settings.target_unconfirmed_success == "accept",
        commit_interval=settings.commit_interval_seconds,
        shutdown_grace=settings.shutdown_grace_seconds,
        request_timeout=settings.target_timeout_seconds,
        static_member=settings.kafka_group_instance_id is not None,
        max_dead_letters_in_a_row=settings.dead_letter_max_consecutive,
        max_dead_letter_ratio=settings.dead_letter_max_ratio,
        quota=quota_policy(settings),
        priority_aging=settings.priority_aging_seconds,
        quota_low_share=settings.quota_low_share,
        quota_normal_share=settings.quota_normal_share,
        name=settings.kafka_group_instance_id or socket.gethostname(),
    )


def statuses(settings: Settings) -> Mapping[int, Meaning]:
    """The account's own rows of the table of statuses."""
    return changed({status: Verdict(verdict) for status, verdict in settings.target_status_verdicts.items()})


boottime = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds by a clock that runs on while the machine sleeps, where there is one."""


def token_source(settings: Settings) -> TokenSource | None:
    """The bearer token, if one is set. Raises Fatal when it cannot be used."""
    try:
        return open_token(settings)
    except TokenError as error:
        raise Fatal(
            event="token_unreadable", reason=str(error), hint="correct TARGET_AUTH_TOKEN or its file"
        ) from error


def open_token(settings: Settings) -> TokenSource | None:
    """The same; raises TokenError, which says only what is wrong."""
    if settings.target_auth_token is not None:
        return FixedToken(settings.target_auth_token.get_secret_value())
    if settings.target_auth_token_file is not None:
        return file_token(settings.target_auth_token_file, "TARGET_AUTH_TOKEN_FILE")
    return None


def file_token(path: Path, setting: str) -> FileToken:
    """Make it so that each token is known to the logs before it is sent for the first time. Raises TokenError."""

    def reloaded(reload: Reload) -> None:
        if reload.problem:
            log.warning("token_unreadable", setting=setting, reason=reload.problem)
        else:
            learn(source.current())
            log.info("token_reloaded", setting=setting)

    source = FileToken(path, time.monotonic, reloaded)
    learn(source.current())
    return source
