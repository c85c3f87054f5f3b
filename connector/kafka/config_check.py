"""What librdkafka refuses when a client is made, asked before anything starts: it knows its own properties best."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from connector.errors import Fatal
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, Property, admin, consumer, producer
from connector.kafka.errors import OAUTH_METHOD, WITHOUT_METHOD, KafkaFailure

_VARIABLES: Final = {
    name: "KAFKA_" + name.upper().replace(".", "_")
    for name in (
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
    )
}
"""What has a variable of its own; everything else comes from KAFKA_PROPERTIES."""
_NAME: Final = r"(?<![\w./]){}(?![\w/]|\.\w)"
_DOTTED: Final = re.compile(_NAME.format(r"[a-z]+(?:\.[a-z0-9]+)+"))
_METHOD: Final = "sasl.oauthbearer.method"
_MADE: Final = re.compile(r"^Failed to create [a-z ]+: ")
_VALUE: Final = re.compile(r'Invalid value ".*" for', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused. `name` is the property as librdkafka calls it, empty when it names none."""

    name: str
    reason: str

    @property
    def variable(self) -> str:
        """Where it is set."""
        return _VARIABLES.get(self.name, "KAFKA_PROPERTIES")

    @property
    def place(self) -> str:
        """The same for a person, with the property where the variable has many."""
        return f'"{self.name}" in {self.variable}' if self.name and self.name not in _VARIABLES else self.variable

    @property
    def is_file(self) -> bool:
        """Whether a file cannot be used: it may be there, or be another one, at the next start."""
        return self.name.endswith(".location")

    @property
    def failure(self) -> KafkaFailure:
        """What a client that cannot be made means for its user."""
        return KafkaFailure("_INVALID_ARG", "kafka_fatal", self.detail, self.hint, retriable=self.is_file)

    @property
    def fatal(self) -> Fatal:
        """The same, where the process must end by it."""
        return Fatal("kafka_fatal", self.detail, self.hint)

    @property
    def detail(self) -> str:
        """What is wrong."""
        if self.reason == WITHOUT_METHOD:
            return self.reason
        if self.is_file:
            return f"the file that {self.place} names cannot be used ({self.reason})"
        return f"librdkafka refuses the configuration: {self.reason}"

    @property
    def hint(self) -> str:
        """What to do."""
        if self.reason == WITHOUT_METHOD:
            return OAUTH_METHOD
        if self.is_file:
            fits = ", and that KAFKA_SSL_KEY_PASSWORD fits" if self.name == "ssl.key.location" else ""
            return f"look that it is there, readable and whole{fits}"
        return f"look at {self.place}"

    def __str__(self) -> str:
        """For a person: what is wrong and what to do."""
        return f"{self.detail}; {self.hint}"


def check_config(config: KafkaConfig) -> Refusal | None:
    """Make each kind of client once; nothing is connected to, because none of them knows a server."""
    try:
        Consumer(_alone(consumer(config)), logger=LIBRDKAFKA).close()
        AdminClient(_alone(admin(config)), logger=LIBRDKAFKA)
        Producer(_alone(producer(config)), logger=LIBRDKAFKA)
    except KafkaException as error:
        return explain_refusal(config, error.args[0])
    return None if _gets_tokens(consumer(config)) else Refusal(_METHOD, WITHOUT_METHOD)


def _gets_tokens(made: Mapping[str, Property]) -> bool:
    """Whether a login by tokens could have one: by default the client waits for its program to bring them, for ever."""
    mechanism = made.get("sasl.mechanism", made.get("sasl.mechanisms"))
    by_token = "SASL" in str(made.get("security.protocol")).upper() and mechanism == "OAUTHBEARER"
    made_up = str(made.get("enable.sasl.oauthbearer.unsecure.jwt")).lower() == "true"
    return not by_token or made_up or str(made.get(_METHOD)).lower() == "oidc"


def explain_refusal(config: KafkaConfig, error: KafkaError) -> Refusal:
    """Which setting librdkafka means; of a value it may have quoted, nothing is kept."""
    reason = _VALUE.sub("Invalid value for", _MADE.sub("", error.str())).strip()
    ours = (re.compile(_NAME.format(re.escape(name))) for name in (*config.properties, *config.security))
    found = [match for pattern in (_DOTTED, *ours) if (match := pattern.search(reason))]
    if found:
        name = min(found, key=lambda match: (match.start(), -match.end()))[0]
    else:
        name = "sasl.mechanism" if "SASL mechanism" in reason else ""
    return Refusal(name, reason)


def _alone(made: Mapping[str, Property]) -> dict[str, Property]:
    """Without a server, and without fetching a token: a client waits for that, with all that it has, when it ends."""
    fetches = str(made.get(_METHOD)).lower() == "oidc"
    return {
        name: value for name, value in made.items() if name != "bootstrap.servers" and not (fetches and name == _METHOD)
    }
