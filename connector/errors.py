"""The errors that may leave a room; those of libraries are chained to them and never leave it.

ConnectorError
├── Fatal                the process ends with exit code 1, nothing is committed past what is not done
│   └── OpsUnavailable   the ops port cannot be had (connector.ops.server)
├── CommitFailed         the commit may or may not have taken effect; it is sent again, with what is true then
├── KafkaUnavailable     Kafka refused or did not answer, by its `failure` (connector.kafka.errors)
└── UnusableSetting      one setting has a value that cannot be used, by its `setting` and `reason`
    ├── EndpointError    of Target's endpoint (connector.target.endpoint)
    └── ProxyError       of the environment's proxy (connector.target.proxy)

Beside the tree stand errors about one value (Refused, TokenError and their like), BadSettings, which ends a start with
exit code 2, and what a command raises for itself alone.
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


class UnusableSetting(ConnectorError):
    """One setting cannot be used; neither field holds a secret."""

    def __init__(self, setting: str, reason: str) -> None:
        """`setting` is the name of the environment variable."""
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason
