"""The errors that may leave a room, with what went wrong as data; those of libraries are chained to them.

ConnectorError
├── Fatal                the process ends with exit code 1, nothing is committed past what is not done
│   └── OpsUnavailable   the ops port cannot be had (connector.ops.server)
├── CommitFailed         the commit may or may not have taken effect; it is sent again, with what is true then
├── KafkaUnavailable     Kafka refused or did not answer, by its `failure` (connector.kafka.errors)
├── UnusableSetting      one setting has a value that cannot be used, by its `failure`
│   ├── EndpointError    of Target's endpoint (connector.target.endpoint)
│   └── ProxyError       of the environment's proxy (connector.target.proxy)
├── TokenError           the token or its file cannot be used (connector.target.token)
├── BadSettings          settings that are refused, all at once; a start ends with exit code 2 (connector.settings)
├── InvalidValue         one value of a setting, before the setting is known; a ValueError too (connector.settings)
├── Refused              an event that can never be delivered, by field and reason (connector.events)
├── NewerLedger          the quota's ledger holds records of a newer version (connector.quota)
└── CommandError         what one command raises for itself alone (connector.cli, connector.demo)
    ├── NotHad           `connector token`: there is no token to be had
    ├── StoreFailed      its file or Secret cannot be read or written
    ├── Superseded       another run has stored a token meanwhile
    ├── CheckFailed      a step of `connector check`, with the remedy
    ├── TooMuch          `connector quota spend` of more than is free
    ├── EventRefused     an event of `connector produce`
    ├── NotTyped         a topic whose records cannot be typed (connector.cli.produce)
    ├── NoSample         a sample of `connector map` cannot be read
    ├── SchemaUnavailable  the Schema Registry cannot be asked (connector.service.command_schemas)
    ├── RoundTripFailed  `connector verify --round-trip` that can prove nothing
    └── DemoFailed       the connector of the demo ended or stalled

The sandbox stands outside: it shares no code with what it checks.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something cannot continue. The text is made where it is shown: in the log, on the page, by a command."""

    event: str
    """A name from the list of log events."""
    reason: str
    """What is wrong, without what to do about it."""
    hint: str = ""
    """What to do."""
    setting: str = ""
    """The name of the environment variable that is to be corrected, where it is one."""

    def fields(self) -> dict[str, str]:
        """The fields of a log line; those that are empty are left out."""
        named = {"setting": self.setting, "reason": self.reason, "remedy": self.hint}
        return {name: value for name, value in named.items() if value}

    def __str__(self) -> str:
        """For a person: what is wrong and what to do."""
        what = f"{self.setting}: {self.reason}" if self.setting else self.reason
        return "; ".join(filter(None, (what, self.hint)))


class ConnectorError(Exception):
    """The root of all errors that cross a room's edge."""


class Fatal(ConnectorError):
    """The process must end: to continue would lose something, or help nobody."""

    def __init__(self, event: str, reason: str, hint: str, *, setting: str = "") -> None:
        """What each of them means is said by `Failure`."""
        self.failure = Failure(event, reason, hint, setting)
        super().__init__(str(self.failure))


class CommitFailed(ConnectorError):
    """The group coordinator refused a commit or did not answer in time: it may still land."""

    def __init__(self, reason: str, *, metadata_refused: bool = False) -> None:
        """`metadata_refused`: the broker takes no metadata of that length (`offset.metadata.max.bytes`)."""
        super().__init__(reason)
        self.metadata_refused = metadata_refused


class UnusableSetting(ConnectorError):
    """One setting cannot be used; no field of the failure holds a secret."""

    def __init__(self, setting: str, reason: str) -> None:
        """`setting` is the name of the environment variable."""
        self.failure = Failure("settings_refused", reason, setting=setting)
        super().__init__(str(self.failure))


class CommandError(ConnectorError):
    """What one command raises for itself alone."""
