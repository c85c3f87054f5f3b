"""From the settings to how events are read: the mapping, the Schema Registry, and the reader of every topic."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from connector import __version__
from connector.decoding import EventReader, event_reader
from connector.errors import Fatal
from connector.events import Nulls
from connector.formats import Format, MissingExtra, Schemas
from connector.mapping import BadMapping, Mapping, Unmapped, check_topics, load, unmapped_topics
from connector.registry.config import Basic, OAuth, RegistryConfig, Tls, TokenSource, parse_addresses
from connector.service.factories import file_token
from connector.settings import BadSettings, Mistake, Settings
from connector.target.proxy import proxy_for
from connector.target.token import FixedToken, TokenError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

REGISTRY_FORMATS: Final = (Format.AVRO, Format.PROTOBUF)
"""Formats that are read by a schema alone."""


def event_mapping(settings: Settings, *, consumed: bool = True) -> Mapping | None:
    """The mapping; None: there is none.

    Raises Fatal when its file cannot be read, and BadSettings with all that is wrong in it. `consumed`: each of its
    topics must be one of KAFKA_TOPICS.
    """
    text, setting = settings.event_mapping, mapping_setting(settings)
    if settings.event_mapping_file is not None:
        try:
            text = settings.event_mapping_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            reason = f"the file cannot be read: {why}"
            raise Fatal(
                event="mapping_unreadable", reason=reason, hint="mount the file, or correct its name", setting=setting
            ) from error
    if text is None:
        return None
    try:
        mapping = load(text)
    except BadMapping as bad:
        raise BadSettings([Mistake(setting, reason=str(mistake)) for mistake in bad.mistakes]) from bad
    wrong = check_topics(mapping, settings.kafka_topics) if consumed else ()
    if wrong:
        raise BadSettings([Mistake(setting, reason=str(mistake)) for mistake in wrong])
    return mapping


def registry_config(settings: Settings) -> RegistryConfig | None:
    """What the Schema Registry's room has to know; None: there is no registry.

    Raises Fatal when a token cannot be used, and UnusableSetting for an address or a proxy.
    """
    if settings.schema_registry_url is None:
        return None
    addresses = parse_addresses(settings.schema_registry_url.get_secret_value())
    for address in addresses:
        proxy_for(address.url)  # A proxy that cannot be used is found now, and not at the first schema.
    password = settings.schema_registry_ssl_key_password
    return RegistryConfig(
        addresses=addresses,
        user_agent=f"target-profile-connector/{__version__}",
        login=_login(settings),
        headers=settings.schema_registry_headers.get_secret_value(),
        tls=Tls(
            ca=_path(settings.schema_registry_ssl_ca_location),
            certificate=_path(settings.schema_registry_ssl_certificate_location),
            key=_path(settings.schema_registry_ssl_key_location),
            key_password=None if password is None else password.get_secret_value(),
        ),
        timeout_seconds=settings.schema_registry_timeout_seconds,
        max_schemas=settings.schema_registry_cache_max_schemas,
        proxy=proxy_for,
    )


def reader(
    settings: Settings, mapping: Mapping | None, schemas: Schemas | None, *, topics: Sequence[str] = ()
) -> EventReader:
    """The reader of every topic, and of these too. Raises BadSettings where a format needs what is not there."""
    _check_registry(settings, mapping)
    try:
        return event_reader(
            dict.fromkeys([*settings.kafka_topics, *topics]),
            settings.event_format,
            mapping,
            nulls=Nulls(settings.event_nulls),
            unmapped=Unmapped(settings.event_unmapped),
            schemas=schemas,
        )
    except MissingExtra as missing:
        mapped = any(source.format == missing.format for source in mapping.sources) if mapping is not None else False
        setting = mapping_setting(settings) if mapped else "EVENT_FORMAT"
        raise BadSettings([Mistake(setting, reason=str(missing))]) from missing


def tell_mapping(settings: Settings, mapping: Mapping | None) -> None:
    """Say which sources there are, and which topics are read without one."""
    if mapping is not None:
        rest = unmapped_topics(mapping, settings.kafka_topics)
        log.info("mapping_loaded", sources=[source.name for source in mapping.sources], topics_unmapped=list(rest))


def mapping_setting(settings: Settings) -> str:
    """The variable that the mapping comes from."""
    return "EVENT_MAPPING" if settings.event_mapping_file is None else "EVENT_MAPPING_FILE"


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _check_registry(settings: Settings, mapping: Mapping | None) -> None:
    if settings.schema_registry_url is not None or mapping is None:
        return
    needs = [source for source in mapping.sources if source.format in REGISTRY_FORMATS]
    if needs:
        reason = f"missing; the mapping reads {needs[0].name} as {needs[0].format}, whose schemas a Schema Registry has"
        raise BadSettings([Mistake("SCHEMA_REGISTRY_URL", reason=reason)])


def _login(settings: Settings) -> Basic | OAuth | TokenSource | None:
    if settings.schema_registry_username is not None and settings.schema_registry_password is not None:
        return Basic(settings.schema_registry_username, settings.schema_registry_password.get_secret_value())
    if settings.schema_registry_oauth_token_url is not None:
        client, secret = settings.schema_registry_oauth_client_id, settings.schema_registry_oauth_client_secret
        if client is not None and secret is not None:
            scope = settings.schema_registry_oauth_scope
            return OAuth(settings.schema_registry_oauth_token_url, client, secret.get_secret_value(), scope)
    if settings.schema_registry_token is not None:
        return FixedToken(settings.schema_registry_token.get_secret_value())
    if settings.schema_registry_token_file is not None:
        setting = "SCHEMA_REGISTRY_TOKEN_FILE"
        try:
            return file_token(settings.schema_registry_token_file, setting)
        except TokenError as error:
            raise Fatal(
                event="token_unreadable", reason=str(error), hint="correct the file", setting=setting
            ) from error
    return None
