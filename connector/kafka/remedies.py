"""What an operator does about a log that is not what it was, for the service's log and for `connector check`."""

from collections.abc import Mapping
from typing import Final

from connector.delivery.start_position import MissedReason

MADE_AGAIN: Final = (
    "find out who deleted the topic: what was in the old log and not read is lost. The new log is read from its start"
)
MISSED: Final[Mapping[MissedReason, str]] = {
    MissedReason.RETENTION: (
        "these records cannot be read any more. Raise the topic's retention.ms (or retention.bytes) above the longest "
        "time for which the connector may be behind, or let it send more: TARGET_MAX_UPDATES_PER_SECOND, QUOTA_UPDATES"
    ),
    MissedReason.TRUNCATION: (
        "a leader that had not all records was elected. Set unclean.leader.election.enable=false on the topic, and "
        "give it 3 replicas with min.insync.replicas=2. Records written after the cut are read"
    ),
}
