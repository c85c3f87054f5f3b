"""Whether the log still has what the group committed: said before `connector run` begins to read there."""

from collections.abc import Iterable, Mapping

from connector.cli.check.findings import Finding, State
from connector.delivery.start_position import MissedReason, TopicPartition, decide
from connector.kafka import remedies
from connector.kafka.errors import KafkaFailure
from connector.kafka.standing import Standing

_SHOWN = 3
"""Partitions of a topic that are named."""


def findings(topics: Iterable[str], found: Mapping[TopicPartition, Standing] | KafkaFailure) -> Iterable[Finding]:
    """One for each topic in which the group has offsets; by the same decision that `connector run` makes."""
    if isinstance(found, KafkaFailure):
        yield Finding(State.WARNING, "committed offsets", found.detail or found.code, found.hint)
        return
    for topic in topics:
        here = {name: it for name, it in found.items() if name.topic == topic and it.committed.offset >= 0}
        if here:
            yield _of_topic(f"committed offsets of {topic}", here)


def _of_topic(what: str, here: Mapping[TopicPartition, Standing]) -> Finding:
    wrong: list[tuple[str, str]] = []
    for name, (committed, log) in sorted(here.items()):
        beginning = decide(committed, log)
        if beginning.is_another_log:
            said = f"partition {name.partition}: the topic was made again since offset {committed.offset} was committed"
            wrong.append((said, remedies.MADE_AGAIN))
        elif (missed := beginning.missed) is not None:
            records = missed.end - missed.begin
            is_retention = missed.reason is MissedReason.RETENTION
            where = f"the log begins at {log.low}" if is_retention else f"the log ends at {log.high}"
            said = (
                f"partition {name.partition}: committed is {committed.offset}, and {where}: {records} records are gone"
            )
            wrong.append((said, remedies.MISSED[missed.reason]))
    if not wrong:
        return Finding(State.OK, what, f"the log has all of them, in {len(here)} partitions")
    more = f"; and in {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    causes = dict.fromkeys(remedy for _, remedy in wrong)
    return Finding(State.WARNING, what, "; ".join(said for said, _ in wrong[:_SHOWN]) + more, "; ".join(causes))
