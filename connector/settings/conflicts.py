"""Rules between settings: each value may be legal by itself and the pair still silently do the wrong thing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connector.settings import formats
from connector.settings.errors import InvalidValue, quoted
from connector.settings.model import Settings

_LOGINS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
CLASSIC_ONLY: Final = ("session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that are each allowed but not together: `fields` are all that take part, the first one is named."""

    fields: tuple[str, ...]
    reason: str


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield every conflict; a rule reads only the fields that it names, so that `load` can tell which rules apply."""
    yield from _delivery(settings)
    yield from _formats(settings)
    yield from _registry(settings)
    yield from _dead_letters(settings)
    yield from _quota(settings)
    yield from _login(settings)
    yield from _encryption(settings)


def _delivery(settings: Settings) -> Iterator[Conflict]:
    if settings.retry_initial_seconds > settings.retry_max_seconds:
        reason = f"it is above RETRY_MAX_SECONDS, {settings.retry_max_seconds:g}"
        yield Conflict(("retry_initial_seconds", "retry_max_seconds"), reason)
    if 0 < settings.event_max_age_seconds <= settings.coalesce_linger_seconds:
        reason = (
            f"it must be above COALESCE_LINGER_SECONDS, {settings.coalesce_linger_seconds:g}: else every change is too "
            "old when its linger ends"
        )
        yield Conflict(("event_max_age_seconds", "coalesce_linger_seconds"), reason)
    if settings.target_auth_token is not None and settings.target_auth_token_file is not None:
        reason = "TARGET_AUTH_TOKEN_FILE is set too: set only one of them"
        yield Conflict(("target_auth_token", "target_auth_token_file"), reason)
    if settings.target_token_client_secret is not None and settings.target_token_client_secret_file is not None:
        reason = "TARGET_TOKEN_CLIENT_SECRET_FILE is set too: set only one of them"
        yield Conflict(("target_token_client_secret", "target_token_client_secret_file"), reason)
    if settings.kafka_group_protocol == "consumer":
        for name in CLASSIC_ONLY:
            if name in settings.properties():
                reason = f'"{name}" is the broker\'s to set when KAFKA_GROUP_PROTOCOL is consumer: remove it'
                yield Conflict(("kafka_properties", "kafka_group_protocol"), reason)


def _formats(settings: Settings) -> Iterator[Conflict]:
    if settings.event_mapping is not None and settings.event_mapping_file is not None:
        yield Conflict(("event_mapping", "event_mapping_file"), "EVENT_MAPPING_FILE is set too: set only one of them")
    if settings.event_format in {"avro", "protobuf"} and settings.schema_registry_url is None:
        reason = f"missing; EVENT_FORMAT is {settings.event_format}, whose schemas a Schema Registry has"
        yield Conflict(("schema_registry_url", "event_format"), reason)


_REGISTRY_OPTIONS: Final = (
    "schema_registry_username",
    "schema_registry_password",
    "schema_registry_token",
    "schema_registry_token_file",
    "schema_registry_oauth_token_url",
    "schema_registry_oauth_client_id",
    "schema_registry_oauth_client_secret",
    "schema_registry_oauth_scope",
    "schema_registry_ssl_ca_location",
    "schema_registry_ssl_certificate_location",
    "schema_registry_ssl_key_location",
    "schema_registry_ssl_key_password",
)
_REGISTRY_NEEDS: Final = (
    ("schema_registry_username", "schema_registry_password"),
    ("schema_registry_password", "schema_registry_username"),
    ("schema_registry_oauth_client_id", "schema_registry_oauth_token_url"),
    ("schema_registry_oauth_client_secret", "schema_registry_oauth_token_url"),
    ("schema_registry_oauth_scope", "schema_registry_oauth_token_url"),
    ("schema_registry_oauth_token_url", "schema_registry_oauth_client_id"),
    ("schema_registry_oauth_token_url", "schema_registry_oauth_client_secret"),
    ("schema_registry_ssl_key_location", "schema_registry_ssl_certificate_location"),
    ("schema_registry_ssl_key_password", "schema_registry_ssl_certificate_location"),
)
"""The first of each pair needs the second."""
_REGISTRY_LOGINS: Final = (
    "schema_registry_username",
    "schema_registry_token",
    "schema_registry_token_file",
    "schema_registry_oauth_token_url",
)


def _registry(settings: Settings) -> Iterator[Conflict]:
    given = [field for field in _REGISTRY_OPTIONS if getattr(settings, field) is not None]
    if settings.schema_registry_headers.get_secret_value():
        given.append("schema_registry_headers")
    if settings.schema_registry_url is None:
        for field in given:
            yield Conflict((field, "schema_registry_url"), "it has no effect without SCHEMA_REGISTRY_URL")
        return
    for field, needed in _REGISTRY_NEEDS:
        if field in given and needed not in given:
            yield Conflict((needed, field), f"missing; {field.upper()} needs it")
    logins = [field for field in _REGISTRY_LOGINS if field in given]
    for other in logins[1:]:
        yield Conflict((other, logins[0]), f"{logins[0].upper()} is set too: the registry takes one login")


def _dead_letters(settings: Settings) -> Iterator[Conflict]:
    topic = settings.dead_letter_topic
    if topic is None:
        return
    fields = ("kafka_dead_letter_topic", "kafka_group_id")
    try:
        formats.topic(topic)
    except InvalidValue:
        reason = f"its default, {quoted(topic)}, is no topic name: set it, or another KAFKA_GROUP_ID"
        yield Conflict(fields, reason)
    if topic in settings.kafka_topics:
        reason = f"{topic} is also one of KAFKA_TOPICS: dead letters would be read again as events"
        yield Conflict((*fields, "kafka_topics"), reason)


def _quota(settings: Settings) -> Iterator[Conflict]:
    if not settings.quota_updates:
        return
    fields, topic = ("quota_topic", "kafka_group_id"), settings.ledger_topic
    try:
        formats.topic(topic)
    except InvalidValue:
        if settings.kafka_dead_letter_topic is None:
            return  # Said of the dead letters' topic: the group's name is the mistake.
        yield Conflict(fields, f"its default, {quoted(topic)}, is no topic name: set it, or another KAFKA_GROUP_ID")
    if topic in settings.kafka_topics:
        reason = f"{topic} is also one of KAFKA_TOPICS: the ledger would be read as events"
        yield Conflict((*fields, "kafka_topics"), reason)
    if topic == settings.dead_letter_topic:
        reason = f"{topic} is also KAFKA_DEAD_LETTER_TOPIC: dead letters would stand in the ledger"
        yield Conflict((*fields, "kafka_dead_letter_topic"), reason)
    if settings.quota_low_share > settings.quota_normal_share:
        reason = (
            f"it is above QUOTA_NORMAL_SHARE, {settings.quota_normal_share:g}: low would be sent where normal waits"
        )
        yield Conflict(("quota_low_share", "quota_normal_share"), reason)


def _login(settings: Settings) -> Iterator[Conflict]:
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    fields = ("kafka_sasl_mechanism", "kafka_security_protocol")
    logins = ("kafka_sasl_username", "kafka_sasl_password")
    if not protocol.startswith("sasl_"):
        for field in ("kafka_sasl_mechanism", *logins):
            if getattr(settings, field) is not None:
                reason = f"it has no effect while KAFKA_SECURITY_PROTOCOL is {protocol}: use sasl_ssl or sasl_plaintext"
                yield Conflict((field, "kafka_security_protocol"), reason)
    elif mechanism is None:
        yield Conflict(fields, f"missing; KAFKA_SECURITY_PROTOCOL is {protocol}, so say how to log in")
    elif mechanism in _LOGINS:
        for field in logins:
            if getattr(settings, field) is None:
                yield Conflict((field, *fields), f"missing; KAFKA_SASL_MECHANISM {mechanism} needs it")


def _encryption(settings: Settings) -> Iterator[Conflict]:
    protocol = settings.kafka_security_protocol
    certificate, key = "kafka_ssl_certificate_location", "kafka_ssl_key_location"
    password = "kafka_ssl_key_password"  # noqa: S105 - the name of a field
    given = [f for f in ("kafka_ssl_ca_location", certificate, key, password) if getattr(settings, f) is not None]
    if not protocol.endswith("ssl"):
        for field in given:
            reason = f"it has no effect while KAFKA_SECURITY_PROTOCOL is {protocol}: use ssl or sasl_ssl"
            yield Conflict((field, "kafka_security_protocol"), reason)
        return
    for field, other in ((certificate, key), (key, certificate), (key, password)):
        if field not in given and other in given:
            yield Conflict((field, other, "kafka_security_protocol"), f"missing; {other.upper()} needs it")
