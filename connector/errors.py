"""What ends the process, in our own words; no other room's exception leaves its room.

ConnectorError
├── Fatal             the process ends with exit code 1, nothing is committed past what is not done
└── CommitFailed      the commit may or may not have taken effect; it is sent again, with what is true then
"""


class ConnectorError(Exception):
    """The root of all errors that cross a room's edge."""


class Fatal(ConnectorError):
    """Going on would lose something or help nobody. The message says what to do."""

    def __init__(self, event: str, remedy: str) -> None:
        """`event` is a name from the list of log events; `remedy` is for whoever reads the last line of the log."""
        super().__init__(remedy)
        self.event = event
        self.remedy = remedy


class CommitFailed(ConnectorError):
    """The group coordinator refused a commit or did not answer in time: it may still land."""

    def __init__(self, reason: str, *, metadata_refused: bool = False) -> None:
        """`metadata_refused`: the broker takes no metadata of that length (`offset.metadata.max.bytes`)."""
        super().__init__(reason)
        self.metadata_refused = metadata_refused
