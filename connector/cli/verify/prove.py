"""Runs the round trip by the settings, its calls booked in the quota's ledger, and prints what it proved."""

import asyncio
import json
import sys
from collections.abc import Sequence
from functools import partial

from connector.cli.check.findings import CheckFailed
from connector.cli.check.lease import Leases
from connector.cli.units import span
from connector.cli.verify.endpoint import open_endpoint
from connector.cli.verify.round_trip import Form, Outcome, RoundTripFailed, advice, forms, round_trip
from connector.delivery.answer import Verdict
from connector.events.change import Visitor
from connector.kafka.quota_log import KafkaQuotaLog
from connector.service import boottime, kafka_config, ledger_topic, quota_policy
from connector.settings import Settings
from connector.target.profile_fetch import ProfileFetcher
from connector.target.render import Method
from connector.target.sender import HttpSender


def prove(settings: Settings, visitor: Visitor, wait: float, *, as_json: bool) -> int:
    """The exit code. Raises ConnectorError when nothing can be proved."""
    where = open_endpoint(settings)
    tried = forms(where, settings.target_update_path)

    async def go() -> Outcome:
        async with ProfileFetcher(where.fetching) as fetcher, HttpSender(where.sending) as sender:
            method = Method(settings.target_method)
            return await round_trip(visitor, tried, method, fetcher.fetch, sender.send, _leases(settings), wait)

    try:
        outcome = asyncio.run(go())
    except CheckFailed as failed:
        raise RoundTripFailed(failed.detail, failed.remedy) from failed
    (_print_json if as_json else _print_text)(tried, outcome)
    return outcome.value


def _leases(settings: Settings) -> Leases | None:
    terms = quota_policy(settings)
    if terms is None:
        return None
    topic = ledger_topic(settings.ledger_topic, terms)
    return Leases(
        terms, partial(KafkaQuotaLog, kafka_config(settings), topic), boottime, "connector verify --round-trip"
    )


def _print_text(tried: Sequence[Form], outcome: Outcome) -> None:
    for form in tried:
        came = f"came back after {span(form.seen_after)}" if form.seen_after is not None else "did not come back"
        mine = " (as set)" if form.is_configured else ""
        sys.stdout.write(f"{form.path}{mine}: {_said(form)}, {came}\n")
    sys.stdout.write(f"{advice(tried, outcome)}\n")


def _print_json(tried: Sequence[Form], outcome: Outcome) -> None:
    told = [
        {
            "path": form.path,
            "configured": form.is_configured,
            "answer": form.answer.verdict.value if form.answer is not None else None,
            "seen_after_seconds": form.seen_after,
        }
        for form in tried
    ]
    facts = {"forms": told, "proved": outcome.name.lower(), "advice": advice(tried, outcome)}
    sys.stdout.write(json.dumps(facts) + "\n")


def _said(form: Form) -> str:
    if form.answer is None:
        return "not sent"
    return "accepted" if form.answer.verdict is Verdict.ACCEPTED else f"{form.answer.verdict} ({form.answer.reason})"
