"""Tells and counts what a log has lost, or that it is another one."""

import structlog

from connector.delivery.counters import Counters
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.start_position import Beginning
from connector.kafka import remedies

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def tell(name: TopicPartition, beginning: Beginning, tally: Counters) -> None:
    """Say it to a person, with what to do about it, and count the records that are gone."""
    topic, partition = name
    if beginning.is_another_log:
        offset = beginning.start.offset
        log.warning("topic_made_again", topic=topic, partition=partition, offset=offset, remedy=remedies.MADE_AGAIN)
    if (missed := beginning.missed) is not None:
        records = missed.end - missed.begin
        tally.records_missed[missed.reason] += records
        log.warning(
            "records_missed",
            topic=topic,
            partition=partition,
            reason=missed.reason.value,
            offset=missed.begin,
            until=missed.end,
            records=records,
            remedy=remedies.MISSED[missed.reason],
        )
