"""Logs each step of an update's life at debug level, so that one visitor's change can be followed to its end.

The pipeline has this observer only where LOG_LEVEL is debug: at any other level the hot path does not even ask.
"""

import structlog

from connector.delivery.answer import Answer
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.target.render import Request

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class UpdateLog:
    """An observer of the pipeline; the visitor is hashed by the redaction, as everywhere."""

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:
        """From here on the record's offset stands for this visitor."""
        log.debug(
            "event_taken",
            topic=record.topic(),
            partition=record.partition(),
            offset=record.offset(),
            visitor=visitor,
            merged=merged,
        )

    def sent(self, update: Update, request: Request) -> None:
        """What it carries is fixed now."""
        log.debug(
            "update_sent",
            visitor=update.visitor,
            receipts=_receipts(update),
            attempts=update.attempts + 1,
            fields=len(request.names),
        )

    def answered(self, update: Update, answer: Answer) -> None:
        """One attempt is over, the update perhaps not."""
        log.debug("update_answered", visitor=update.visitor, verdict=answer.verdict.value, reason=answer.reason)

    def settled(self, update: Update, how: Done) -> None:
        """The end; what is not in the receipts was handed over meanwhile, and its next owner reads it again."""
        log.debug("update_settled", visitor=update.visitor, receipts=_receipts(update), outcome=how.value)


def _receipts(update: Update) -> list[str]:
    return [
        f"{partition.name.topic}/{partition.name.partition}@{part.first}+{part.records}"
        for partition, part in update.parts.items()
    ]
