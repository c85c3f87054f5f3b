"""The errors that may leave a room, in our own words; those of libraries are chained and never leave it.

ConnectorError
├── Fatal                the process ends with exit code 1, nothing is committed past what is not done
│   └── OpsUnavailable   the ops port cannot be had (connector.ops.server)
├── CommitFailed         the commit may or may not have taken effect; it is sent again, with what is true then
├── Unanswered           brokers refused or did not answer a question of the service (connector.kafka.asking)
├── Unusable             the quota's topic is not a ledger, or cannot be had for now (connector.kafka.ledger_topic)
└── KafkaUnavailable     Kafka does not answer a command (connector.kafka.ranges)

Beside the tree stand errors about one value (Refused, EndpointError, TokenError and their like), BadSettings, which
ends a start with exit code 2, and what a command raises for itself alone.
"""


class ConnectorError(Exception):
    """The root of all errors that cross a room's edge."""


class Fatal(ConnectorError):
    """Going on would lose something or help nobody. The message says what to do."""

    def __init__(self, event: str, remedy: str) -> None:
        """`event` is a name from the list of log events; `remedy` is for the reader of the last line of the log."""
        super().__init__(remedy)
        self.event = event
        self.remedy = remedy


class CommitFailed(ConnectorError):
    """The group coordinator refused a commit or did not answer in time: it may still land."""

    def __init__(self, reason: str, *, metadata_refused: bool = False) -> None:
        """`metadata_refused`: the broker takes no metadata of that length (`offset.metadata.max.bytes`)."""
        super().__init__(reason)
        self.metadata_refused = metadata_refused
