"""Tells the replicas what was found, so that their status pages show it: a record in the quota's topic."""

import asyncio
import secrets

from connector.cli.ledger import read_ledger
from connector.cli.verify.view import Report
from connector.kafka.quota_log import KafkaQuotaLog
from connector.quota.verified import Verified, encode_verified
from connector.service import kafka_config, ledger_topic, quota_policy
from connector.settings import Settings
from connector.verify.tally import CONFIDENCE


def verified_of(report: Report) -> Verified:
    """The counts of a report."""
    tally = report.tally
    low, high = tally.bounds
    return Verified(
        conclusion=tally.conclusion.name.lower(),
        drawn=tally.drawn,
        judged=tally.judged,
        harmed=tally.harmed,
        low=low,
        high=high,
        confidence=CONFIDENCE,
        verdicts={verdict.value: count for verdict, count in tally.attributes.items() if count},
        name=secrets.token_hex(8),
    )


def publish(settings: Settings, report: Report) -> None:
    """Wait until the record is in the topic. Raises ConnectorError when that cannot be known."""
    terms = quota_policy(settings)
    assert terms is not None  # noqa: S101 - the option is refused without a quota

    async def append() -> None:
        log = KafkaQuotaLog(kafka_config(settings), ledger_topic(settings.ledger_topic, terms))
        await read_ledger(log, encode_verified(verified_of(report)))

    asyncio.run(append())
