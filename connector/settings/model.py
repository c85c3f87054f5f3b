"""Every setting in one frozen model: type, bounds, default, unit and reason; only the composition root reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connector.registry.config import parse_addresses
from connector.settings import formats
from connector.settings.field_types import (
    ATTEMPTS,
    BYTES,
    DEAD_LETTERS,
    LOWER,
    PATH,
    REQUESTS,
    SECONDS,
    UPDATES,
    UPPER,
    VISITORS,
    FurtherProperties,
    GroupProtocol,
    Headers,
    HeaderValues,
    Password,
    RegistryUrls,
    SaslMechanism,
    SecurityProtocol,
    StatusVerdicts,
    Token,
    Topics,
    Verdicts,
    Word,
    schema_extra,
)
from connector.settings.properties import SECURITY, Properties, is_secret
from connector.target.statuses import VERDICTS

HORIZONS = 24
"""By default a window has at least this number of horizons."""
LEAST_HORIZON = 1.0
"""Seconds: a lease. In less, the first replica that asks would get all."""


class Settings(BaseSettings):
    """The effective settings. A field's name in upper case is the name of its variable.

    Made by `load` alone, which also holds the fields to fit together.
    """

    model_config = SettingsConfigDict(
        title="Settings of the connector",
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_default=False,  # The checks read text, as an environment has it; a default is its value already.
    )

    kafka_bootstrap_servers: Annotated[str, AfterValidator(formats.servers)] = Field(
        description="Brokers to begin with; the rest of the cluster is learnt from them. Name two or three: one "
        "may be down at the start.",
        examples=["broker-1:9092,broker-2:9092"],
        json_schema_extra=schema_extra(
            allowed="a comma-separated list of host:port (an IPv6 address in brackets)",
            pattern=rf"\s*{formats.SERVER}\s*(?:,\s*{formats.SERVER}\s*)*",
        ),
    )
    kafka_topics: Topics = Field(
        description="Topics with profile changes; a visitor's changes are merged across them.",
        examples=["profile-changes"],
        json_schema_extra=schema_extra(
            allowed="a comma-separated list of topic names (letters, digits, . _ -)",
            pattern=rf"\s*{formats.TOPIC}\s*(?:,\s*{formats.TOPIC}\s*)*",
        ),
    )
    kafka_group_id: Word = Field(
        "target-profile-connector",
        description="Consumer group that shares the partitions and keeps the offsets: one for all replicas of a "
        "service. Two services with the same one on one Kafka would each get half of the events.",
        json_schema_extra=schema_extra(allowed="a name", pattern=r".*\S.*"),
    )
    kafka_group_protocol: Annotated[GroupProtocol, LOWER] = Field(
        "classic",
        description="How the group shares partitions: classic (cooperative-sticky, every broker) or consumer (KIP-848, "
        "brokers of Kafka 4).",
    )
    kafka_group_instance_id: Word | None = Field(
        None,
        description="Static membership: with a name that outlives a restart and that no other replica has, a restart "
        "moves no partition.",
        json_schema_extra=schema_extra(allowed="a name"),
    )
    kafka_auto_offset_reset: Annotated[Literal["earliest", "latest"], LOWER] = Field(
        "earliest",
        description="Where a group without offsets begins. latest passes over whatever is in the topics already.",
    )
    kafka_security_protocol: Annotated[SecurityProtocol, LOWER] = Field(
        "plaintext",
        description="How to talk to the brokers, as librdkafka names it: encrypted (ssl), with a login "
        "(sasl_plaintext) or both (sasl_ssl).",
    )
    kafka_sasl_mechanism: Annotated[SaslMechanism, UPPER] | None = Field(
        None, description="How to log in; needed with sasl_plaintext and sasl_ssl, and only there."
    )
    kafka_sasl_username: Word | None = Field(
        None, description="User for PLAIN and SCRAM.", json_schema_extra=schema_extra(allowed="a name")
    )
    kafka_sasl_password: Password | None = Field(
        None, description="Password for PLAIN and SCRAM.", json_schema_extra=schema_extra(allowed="a password")
    )
    kafka_ssl_ca_location: Word | None = Field(
        None,
        description="Certificates of the authorities that vouch for the brokers (PEM); unset: those of the system.",
        json_schema_extra=PATH,
    )
    kafka_ssl_certificate_location: Word | None = Field(
        None,
        description="The connector's own certificate (PEM), where the brokers ask for one; goes with the key.",
        json_schema_extra=PATH,
    )
    kafka_ssl_key_location: Word | None = Field(
        None, description="The key of the connector's own certificate (PEM).", json_schema_extra=PATH
    )
    kafka_ssl_key_password: Password | None = Field(
        None,
        description="Password of the connector's own key, if it has one.",
        json_schema_extra=schema_extra(allowed="a password"),
    )
    kafka_properties: FurtherProperties = Field(
        default_factory=lambda: Properties({}),
        description="Further librdkafka properties, for what has no variable of its own. Those that would break commit "
        "or delivery safety are refused. max.poll.interval.ms is at least a minute more than the session and than a "
        "request: a smaller one counts as that.",
        json_schema_extra={"default": "{}", **schema_extra(allowed="a JSON object of text, numbers and booleans")},
    )
    kafka_dead_letter_topic: Annotated[str, AfterValidator(formats.dead_letter_topic)] | None = Field(
        None,
        description="Where an event goes that can never be delivered. Empty: stop with an error instead, nothing is "
        "passed over.",
        json_schema_extra=schema_extra(
            allowed="a topic name, or an empty text", default="<group id>.dead-letter", pattern=f"(?:{formats.TOPIC})?"
        ),
    )

    target_client_code: Annotated[str, AfterValidator(formats.label)] = Field(
        description="Client code of the Adobe Target account whose profiles are kept; in Target under Administration, "
        "Implementation.",
        examples=["acmeinc"],
        json_schema_extra=schema_extra(
            allowed="one word of letters, digits and hyphens, at most 63", pattern=formats.LABEL
        ),
    )
    target_base_url: Annotated[str, AfterValidator(formats.base_url)] = Field(
        "https://{client_code}.tt.omtrdc.net",
        description="Endpoint, without the path; another one for a sandbox or a proxy. {client_code} is filled in.",
        json_schema_extra=schema_extra(
            allowed="an http or https URL without user, query and fragment", pattern=r"https?://[^\s?#]+"
        ),
    )
    target_update_path: Annotated[str, AfterValidator(formats.update_path)] = Field(
        "/m2/client/profile/update",
        description="Path of the update call. Adobe's page has the literal word client, some accounts their code: "
        "write {client_code} for it.",
        json_schema_extra=schema_extra(
            allowed="a path that begins with / (no query, no fragment)", pattern=formats.UPDATE_PATH
        ),
    )
    target_auth_token: Token | None = Field(
        None,
        description="Bearer token, where the account requires one. One that expires is better given as a file.",
        json_schema_extra=schema_extra(allowed="a token of visible ASCII characters"),
    )
    target_auth_token_file: Annotated[Path, BeforeValidator(formats.word)] | None = Field(
        None,
        description="File with the bearer token, read again when it changes, so that a new token needs no restart.",
        json_schema_extra=PATH,
    )
    target_tenant: Annotated[str, AfterValidator(formats.tenant)] | None = Field(
        None,
        description="Name in the organisation's Experience Cloud address, experience.adobe.com/#/@name, for `connector "
        "token`. It is not the client code.",
        json_schema_extra=schema_extra(allowed="letters, digits, . _ -, at most 63", pattern=formats.TENANT),
    )
    target_token_client_id: Annotated[str, AfterValidator(formats.visible)] | None = Field(
        None,
        description="Client id of the OAuth Server-to-Server credential by which `connector token` gets the token.",
        json_schema_extra=schema_extra(allowed="a word of visible ASCII characters", pattern=formats.VISIBLE),
    )
    target_token_client_secret: Token | None = Field(
        None,
        description="Client secret of that credential, for `connector token` alone.",
        json_schema_extra=schema_extra(allowed="a secret of visible ASCII characters"),
    )
    target_token_client_secret_file: Annotated[Path, BeforeValidator(formats.word)] | None = Field(
        None,
        description="File with the client secret, in place of the secret itself.",
        json_schema_extra=PATH,
    )
    target_token_scope: Annotated[str, AfterValidator(formats.visible)] = Field(
        "openid,AdobeID,target_sdk,read_organizations,additional_info.projectedProductContext,additional_info.roles",
        description="Scopes that `connector token` asks IMS for: those that the Adobe Developer Console shows with the "
        "credential.",
        json_schema_extra=schema_extra(allowed="a comma-separated list without spaces", pattern=formats.VISIBLE),
    )
    target_token_ims_url: Annotated[str, AfterValidator(formats.ims_url)] = Field(
        "https://ims-na1.adobelogin.com/ims/token/v3",
        description="Where `connector token` gives the credential for an access token: Adobe's IMS.",
        json_schema_extra=schema_extra(allowed="an http or https URL without user and fragment", pattern=formats.URL),
    )
    target_token_url: Annotated[str, AfterValidator(formats.token_url)] = Field(
        "https://mc.adobe.io/{tenant}/target/authentication/token?authorizationScope=profile_api",
        description="Where `connector token` gets the profile token, and has it renewed. {tenant} is filled in.",
        json_schema_extra=schema_extra(allowed="an http or https URL without user and fragment", pattern=formats.URL),
    )
    target_method: Annotated[Literal["auto", "get", "post"], LOWER] = Field(
        "auto",
        description="auto: GET while the request fits Target's 8 KB, else POST (60 KB). get and post hold to one.",
    )
    target_timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=300,
        description="For one whole request, from connecting to the last byte; past it the update is tried again.",
        json_schema_extra=SECONDS,
    )
    target_max_in_flight: int = Field(
        64,
        ge=1,
        le=10_000,
        description="Concurrent requests of one replica. More than rate x latency brings nothing and costs CPU.",
        json_schema_extra=REQUESTS,
    )
    target_max_updates_per_second: float = Field(
        200.0,
        ge=0,
        le=100_000,
        description="For the whole group; each replica takes the share of its partitions. 0: no limit. 11.57 is "
        "Target's 1,000,000 a day.",
        json_schema_extra=UPDATES,
    )
    target_unconfirmed_success: Annotated[Literal["accept", "retry"], LOWER] = Field(
        "accept",
        description="A 2xx whose body neither confirms nor denies: accept it, or retry, since Adobe documents no "
        "closed list of answers.",
    )

    target_status_verdicts: StatusVerdicts = Field(
        default_factory=lambda: Verdicts({}),
        description="For an account that answers otherwise than documented: from a status to what it means. Its body "
        "is not looked at then. `connector settings` shows the whole table.",
        json_schema_extra={
            "default": "{}",
            **schema_extra(allowed=f"a JSON object from a status to {', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}"),
        },
    )
    target_unknown_visitor: Annotated[Literal["dead_letter", "skip"], LOWER] = Field(
        "dead_letter",
        description="An update whose visitor Target does not know, after its waits. It never counts for the limits of "
        "dead letters that stop the process.",
    )
    target_unknown_visitor_wait_seconds: float = Field(
        5_400.0,
        ge=0,
        le=604_800,
        description="How long such an update is kept, open for newer values: it is tried again after 40 % of it, and "
        "at its end. A new visitor is known after about an hour. 0: not at all.",
        json_schema_extra=SECONDS,
    )

    coalesce_linger_seconds: float = Field(
        1.0,
        ge=0,
        le=3600,
        description="How long a visitor's first change waits for more. Longer: fewer calls, later profiles.",
        json_schema_extra=SECONDS,
    )
    coalesce_max_visitors: int = Field(
        200_000,
        ge=1,
        le=10_000_000,
        description="Pending visitors of one replica; past it, consumption pauses. It bounds memory in an outage.",
        json_schema_extra=VISITORS,
    )
    coalesce_max_bytes: int = Field(
        268_435_456,
        ge=1_048_576,
        le=1_099_511_627_776,
        description="Memory that pending visitors of one replica may take, about; past it, consumption pauses.",
        json_schema_extra=BYTES,
    )
    coalesce_order: Annotated[Literal["offset", "event_time"], LOWER] = Field(
        "offset",
        description="Which value of an attribute wins: the later in the log (offset), or the newer by occurredAt "
        "(event_time); where an event has none, its record's timestamp stands in.",
    )

    coalesce_unchanged_seconds: float = Field(
        0.0,
        ge=0,
        le=604_800,
        description="A value that equals the last one that Target accepted of the visitor within this time is not sent "
        "again, and an update of nothing else takes no call. What somebody else sets at Target meanwhile stays until "
        "then. 0: off.",
        json_schema_extra=SECONDS,
    )
    coalesce_unchanged_max_visitors: int = Field(
        200_000,
        ge=1,
        le=10_000_000,
        description="Visitors whose accepted values one replica remembers for that, about 500 bytes each with eight "
        "attributes and 1,000 at most; the oldest go first.",
        json_schema_extra=VISITORS,
    )

    event_max_age_seconds: float = Field(
        0.0,
        ge=0,
        le=31_536_000,
        description="A change that is older than this when its turn comes is not sent: by occurredAt, or by its "
        "record's timestamp. 0: off.",
        json_schema_extra=SECONDS,
    )
    event_format: Annotated[Literal["json", "json_schema", "avro", "protobuf", "cloudevents"], LOWER] = Field(
        "json",
        description="How events are written in topics that no mapping names. Inside is an event of version 1: as JSON "
        "(json), behind a Schema Registry's id (json_schema, avro, protobuf), or as the data of a CloudEvent.",
    )
    event_mapping_file: Annotated[Path, BeforeValidator(formats.word)] | None = Field(
        None,
        description="File with the mapping that reads events of other formats (YAML or JSON). It is read at the start.",
        json_schema_extra=PATH,
    )
    event_mapping: Annotated[str, AfterValidator(formats.text)] | None = Field(
        None,
        description="The mapping itself, in place of a file.",
        json_schema_extra=schema_extra(allowed="a mapping in YAML or JSON"),
    )
    event_unmapped: Annotated[Literal["refuse", "skip"], LOWER] = Field(
        "refuse",
        description="A mapped event in which no visitor is found: a dead letter (refuse), or skipped and counted.",
    )
    event_nulls: Annotated[Literal["drop", "empty", "reject"], LOWER] = Field(
        "drop",
        description="A null attribute: leave it out (drop), send it empty, or reject the event. Target cannot remove "
        "an attribute.",
    )

    schema_registry_url: RegistryUrls | None = Field(
        None,
        description="Addresses of one Schema Registry that speaks Confluent's REST API, the path included; each is "
        "asked when the one before does not answer. Needed for Avro and Protobuf.",
        examples=["https://registry-1:8081,https://registry-2:8081"],
        json_schema_extra=schema_extra(allowed="a comma-separated list of http or https URLs"),
    )
    schema_registry_username: Word | None = Field(
        None, description="User of the basic login.", json_schema_extra=schema_extra(allowed="a name")
    )
    schema_registry_password: Password | None = Field(
        None, description="Password of the basic login.", json_schema_extra=schema_extra(allowed="a password")
    )
    schema_registry_token: Token | None = Field(
        None,
        description="Bearer token. One that expires is better given as a file.",
        json_schema_extra=schema_extra(allowed="a token of visible ASCII characters"),
    )
    schema_registry_token_file: Annotated[Path, BeforeValidator(formats.word)] | None = Field(
        None, description="File with the bearer token, read again when it changes.", json_schema_extra=PATH
    )
    schema_registry_oauth_token_url: Word | None = Field(
        None,
        description="Token endpoint of OAuth 2.0, for a login by client credentials.",
        json_schema_extra=schema_extra(allowed="an http or https URL"),
    )
    schema_registry_oauth_client_id: Word | None = Field(
        None, description="Client id of the OAuth login.", json_schema_extra=schema_extra(allowed="a name")
    )
    schema_registry_oauth_client_secret: Password | None = Field(
        None, description="Client secret of the OAuth login.", json_schema_extra=schema_extra(allowed="a secret")
    )
    schema_registry_oauth_scope: Word | None = Field(
        None,
        description="Scope that the OAuth login asks for, where one is needed.",
        json_schema_extra=schema_extra(allowed="scopes with blanks between"),
    )
    schema_registry_headers: Headers = Field(
        default_factory=lambda: HeaderValues({}),
        description="Further headers of each request, such as target-sr-cluster of Confluent Cloud.",
        json_schema_extra={"default": "{}", **schema_extra(allowed="a JSON object of texts")},
    )
    schema_registry_ssl_ca_location: Word | None = Field(
        None,
        description="Certificates of the authorities that are trusted (PEM); unset: those of the system.",
        json_schema_extra=PATH,
    )
    schema_registry_ssl_certificate_location: Word | None = Field(
        None,
        description="The connector's own certificate (PEM), where the registry asks for one. It may hold the key too.",
        json_schema_extra=PATH,
    )
    schema_registry_ssl_key_location: Word | None = Field(
        None, description="The key of the connector's own certificate (PEM).", json_schema_extra=PATH
    )
    schema_registry_ssl_key_password: Password | None = Field(
        None,
        description="Password of the connector's own key, if it has one.",
        json_schema_extra=schema_extra(allowed="a password"),
    )
    schema_registry_timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=300,
        description="For one whole request, from the name look-up to the last byte.",
        json_schema_extra=SECONDS,
    )
    schema_registry_cache_max_schemas: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Schemas that are kept; the one unused for longest is dropped first.",
        json_schema_extra=schema_extra(unit="schemas"),
    )

    retry_initial_seconds: float = Field(
        0.5,
        gt=0,
        le=3600,
        description="Longest wait before the first retry; it doubles with each, and a random part of it is waited.",
        json_schema_extra=SECONDS,
    )
    retry_max_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Longest wait before any retry; a Retry-After counts up to it.",
        json_schema_extra=SECONDS,
    )
    retry_max_attempts: int = Field(
        10,
        ge=1,
        le=1000,
        description="For one update while the endpoint is otherwise healthy, then it is a dead letter. An outage "
        "counts none.",
        json_schema_extra=ATTEMPTS,
    )

    dead_letter_max_consecutive: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="More in a row stop the process: then the set-up is wrong, and a whole topic must not become dead "
        "letters. 0: off.",
        json_schema_extra=DEAD_LETTERS,
    )
    dead_letter_max_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A larger share of the last 1,000 settled records (from 1,000 on) stops the process. 0: off.",
        json_schema_extra=schema_extra(unit="ratio"),
    )

    quota_updates: int = Field(
        1_000_000,
        ge=0,
        le=1_000_000_000,
        description="Requests in any rolling window for all who share the ledger, retries included. 0: no quota, and "
        "no ledger.",
        json_schema_extra=schema_extra(unit="updates"),
    )
    quota_window_seconds: float = Field(
        86_400.0,
        ge=1,
        le=2_678_400,
        description="The rolling window of the quota.",
        json_schema_extra=SECONDS,
    )
    quota_horizon_seconds: float = Field(
        3_600.0,
        gt=0,
        le=2_678_400,
        description="Pace: what is free is spread over this time, and what comes free meanwhile is passed on. Longer "
        "than the window counts as the window; unless it is set, at most a 24th of it.",
        json_schema_extra=SECONDS,
    )
    quota_topic: Annotated[str, AfterValidator(formats.topic)] | None = Field(
        None,
        description="The ledger. All groups that send on one account name the same topic, and so share its quota.",
        json_schema_extra=schema_extra(allowed="a topic name", default="<group id>.quota", pattern=formats.TOPIC),
    )

    quota_low_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Part of the quota up to which updates of priority low are sent; what is left is there for the "
        "others. What waits goes on merging.",
    )
    quota_normal_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Likewise for priority normal: what is left is there for high.",
    )
    priority_aging_seconds: float = Field(
        3_600.0,
        ge=1,
        le=2_678_400,
        description="An update that waits for its turn this long rises a class, so that none waits for ever.",
        json_schema_extra=SECONDS,
    )

    commit_interval_seconds: float = Field(
        5.0,
        gt=0,
        le=300,
        description="Between two offset commits. What was sent since the last one is sent again after a crash.",
        json_schema_extra=SECONDS,
    )
    shutdown_grace_seconds: float = Field(
        25.0,
        ge=0,
        le=3600,
        description="To drain after SIGTERM; keep it under Kubernetes' terminationGracePeriodSeconds (30 by default). "
        "A fifth of it, 1 to 5 seconds, is kept for the last commit: of 25, updates are sent for 20.",
        json_schema_extra=SECONDS,
    )

    ops_host: Annotated[str, AfterValidator(formats.host)] = Field(
        "0.0.0.0",  # noqa: S104 - probes and scrapes come from outside the container; nothing here changes anything
        description="Address for /livez, /readyz, /metrics and /status. 127.0.0.1 keeps them on this machine.",
        json_schema_extra=schema_extra(allowed="an IP address or a host name", pattern=formats.HOST),
    )
    ops_port: Annotated[int, BeforeValidator(formats.no_service_link)] = Field(
        8080,
        ge=0,
        le=65535,
        description="Port for /livez, /readyz, /metrics and /status. 0: any free one; the log says which.",
    )

    log_level: Annotated[Literal["debug", "info", "warning", "error"], LOWER] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Annotated[Literal["json", "console"], LOWER] | None = Field(
        None,
        description="One JSON object a line, or lines for people.",
        json_schema_extra=schema_extra(default="json off a terminal, console on one"),
    )
    log_visitor_ids: Annotated[Literal["hash", "plain", "omit"], LOWER] = Field(
        "hash",
        description="How a visitor is named in logs: by a hash that only tells one from another, plainly, or not at "
        "all. An id is personal data.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from `load`, which was handed the environment; the process and files are not read."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def dead_letter_topic(self) -> str | None:
        """The topic for dead letters; None: stop instead."""
        if self.kafka_dead_letter_topic is None:
            return f"{self.kafka_group_id}.dead-letter"
        return self.kafka_dead_letter_topic or None

    @property
    def ledger_topic(self) -> str:
        """The topic of the quota's ledger."""
        return f"{self.kafka_group_id}.quota" if self.quota_topic is None else self.quota_topic

    @property
    def quota_horizon(self) -> float:
        """Seconds over which what is free is spread: an hour suits a day, and not a window of a minute.

        At most the window, whatever is set: at a slower pace a part of each window would never be used.
        """
        most = self.quota_window_seconds
        if "quota_horizon_seconds" not in self.model_fields_set:
            most = max(most / HORIZONS, LEAST_HORIZON)
        return min(self.quota_horizon_seconds, most)

    @property
    def base_url(self) -> str:
        """The endpoint without its path and without a slash at the end, the client code filled in."""
        return self.target_base_url.replace(formats.CLIENT_CODE, self.target_client_code)

    @property
    def update_path(self) -> str:
        """The path of the update call, the client code filled in."""
        return self.target_update_path.replace(formats.CLIENT_CODE, self.target_client_code)

    @property
    def token_url(self) -> str:
        """The address of the token service, the tenant filled in."""
        return self.target_token_url.replace(formats.TENANT_PLACE, quote(self.target_tenant or "", safe=""))

    def properties(self) -> Mapping[str, str]:
        """Further librdkafka properties in plain text; they may hold secrets."""
        return self.kafka_properties.get_secret_value()

    def security(self) -> dict[str, str]:
        """Those of librdkafka's security properties that are set, in plain text; they hold secrets."""
        values = {name: getattr(self, field) for name, field in SECURITY.items()}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in values.items()
            if value is not None
        }

    def secret_values(self) -> list[str]:
        """Every text that no log line may hold, wherever it stands in one."""
        plain = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        properties = [value for name, value in self.properties().items() if is_secret(name)]
        headers = list(self.schema_registry_headers.get_secret_value().values())
        return [*plain, *properties, *headers, *self._registry_passwords()]

    def _registry_passwords(self) -> list[str]:
        if self.schema_registry_url is None:
            return []
        logins = [address.login for address in parse_addresses(self.schema_registry_url.get_secret_value())]
        return [login.password for login in logins if login is not None and login.password]
