"""The kinds of value that settings have, so that the model itself reads as a list."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, JsonValue, PlainValidator, Secret, SecretStr, WithJsonSchema

from connector.settings import formats
from connector.settings.errors import MASK
from connector.settings.properties import Properties, properties


def _guard(check: Callable[[str], str]) -> AfterValidator:
    """Hold a secret to a rule without taking it out of its wrapper for longer than the check."""

    def checked(secret: SecretStr) -> SecretStr:
        check(secret.get_secret_value())
        return secret

    return AfterValidator(checked)


class Addresses(Secret[str]):
    """Addresses of the Schema Registry; printed, a user and password in one are masked."""

    def _display(self) -> str:
        return formats.without_logins(self.get_secret_value())


class HeaderValues(Secret[Mapping[str, str]]):
    """Header to value; printed, each value is masked."""

    def _display(self) -> str:
        return json.dumps(dict.fromkeys(self.get_secret_value(), MASK))


def _read_addresses(text: str) -> Addresses:
    return Addresses(formats.registry_urls(text))


class Verdicts(dict[int, str]):
    """Status to verdict; printed as JSON."""

    def __str__(self) -> str:
        return json.dumps(self)


def _read_verdicts(text: str) -> Verdicts:
    return Verdicts(formats.status_verdicts(text))


def _read_headers(text: str) -> HeaderValues:
    return HeaderValues(formats.headers(text))


def _read_properties(text: str) -> Properties:
    return Properties(properties(text))


LOWER: Final = BeforeValidator(str.lower)
UPPER: Final = BeforeValidator(str.upper)
_JSON_TEXT: Final = WithJsonSchema({"type": "string", "contentMediaType": "application/json"})

Word = Annotated[str, AfterValidator(formats.word)]
Password = Annotated[SecretStr, _guard(formats.secret)]
Token = Annotated[SecretStr, _guard(formats.token)]
Topics = Annotated[tuple[str, ...], BeforeValidator(formats.topics), WithJsonSchema({"type": "string"})]
FurtherProperties = Annotated[Properties, BeforeValidator(_read_properties), _JSON_TEXT]
RegistryUrls = Annotated[Addresses, BeforeValidator(_read_addresses), WithJsonSchema({"type": "string"})]
Headers = Annotated[HeaderValues, BeforeValidator(_read_headers), _JSON_TEXT]
StatusVerdicts = Annotated[Verdicts, PlainValidator(_read_verdicts), _JSON_TEXT]
GroupProtocol = Literal["classic", "consumer"]
SecurityProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"]


def schema_extra(*, unit: str = "", allowed: str = "", default: str = "", pattern: str = "") -> dict[str, JsonValue]:
    """Carry what a JSON Schema has no word for: the unit, the legal values of a text, a default that follows others.

    `pattern` is for those who check a text before it gets here: what it does not match is refused here too.
    """
    said: dict[str, JsonValue] = {"x-unit": unit, "x-allowed": allowed, "x-default": default}
    if pattern:
        said["pattern"] = f"^{pattern}$"
    return {name: text for name, text in said.items() if text}


SECONDS: Final = schema_extra(unit="seconds")
UPDATES: Final = schema_extra(unit="updates a second")
VISITORS: Final = schema_extra(unit="visitors")
BYTES: Final = schema_extra(unit="bytes")
REQUESTS: Final = schema_extra(unit="requests")
ATTEMPTS: Final = schema_extra(unit="attempts")
DEAD_LETTERS: Final = schema_extra(unit="dead letters")
PATH: Final = schema_extra(unit="file path", allowed="the path of a file")
