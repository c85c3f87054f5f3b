"""For any environment: no secret is printed, and a refusal is a message, never a crash."""

import json
import string
import traceback

from hypothesis import given
from hypothesis import strategies as st

from connector.registry.config import Basic, OAuth, RegistryConfig
from connector.service.reading import registry_config
from connector.settings import BadSettings, Settings, describe, load, masked
from connector.target.endpoint import endpoint, unfit_path

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_TOPICS": "changes", "TARGET_CLIENT_CODE": "acme"}
NAMES = [doc.name for doc in describe()]
# Marked, so that a match means a leak, and not that a short text is part of some word.
SECRET = st.text(string.ascii_letters + string.digits, min_size=1, max_size=30).map(lambda text: f"S3CR3T{text}")
BROKEN_SECRET = SECRET.flatmap(lambda text: st.sampled_from([f"{text}\n", f"{text} x", f"\x7f{text}", f"{text}ü"]))
SECRET_PLACES = st.dictionaries(
    st.sampled_from(
        [
            *("KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD", "TARGET_AUTH_TOKEN", "KAFKA_SASL_PASWORD"),
            *("SCHEMA_REGISTRY_PASSWORD", "SCHEMA_REGISTRY_TOKEN", "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET"),
            *("SCHEMA_REGISTRY_SSL_KEY_PASSWORD", "SCHEMA_REGISTRY_TOKN", "TARGET_TOKEN_CLIENT_SECRET"),
        ]
    ),
    SECRET | BROKEN_SECRET,
)
PROPERTY_PLACES = st.dictionaries(
    st.sampled_from(
        ["sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.pem", "my.token", "sasl.jaas.config", "X.PASSWORD"]
    ),
    SECRET,
).flatmap(lambda names: st.sampled_from([json.dumps(names), json.dumps(names) + "}", json.dumps([names])]))
URL_PLACES = SECRET.map(
    lambda text: {
        "TARGET_BASE_URL": f"https://me:{text}@host",
        "KAFKA_BOOTSTRAP_SERVERS": f"{text}@h:1",
        "SCHEMA_REGISTRY_URL": f"http://a,https://me:{text}@host:1/x",
    }
)
HEADER_PLACES = SECRET.flatmap(
    lambda text: st.sampled_from([json.dumps({"a": text}), json.dumps({"a b": text}), json.dumps({"a": f"{text}\n"})])
)
SECURE = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "/c",
    "KAFKA_SSL_KEY_LOCATION": "/k",
}
REGISTRY = {"SCHEMA_REGISTRY_URL": "https://me:S3CR3T@host", "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "/c"}
LOGINS = {
    "SCHEMA_REGISTRY_USERNAME": "me",
    "SCHEMA_REGISTRY_PASSWORD": "hush",
    "SCHEMA_REGISTRY_TOKEN": "t",
    "SCHEMA_REGISTRY_OAUTH_TOKEN_URL": "https://login",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": "me",
    "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET": "hush",
    "SCHEMA_REGISTRY_OAUTH_SCOPE": "read",
    "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "/c",
    "SCHEMA_REGISTRY_SSL_KEY_LOCATION": "/k",
    "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": "hush",
    "SCHEMA_REGISTRY_HEADERS": '{"a": "b"}',
}
"""What says who the connector is to the registry; each may be given without the others."""
ANYTHING = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=20).map(lambda t: f"KAFKA_{t}"), st.text(max_size=50)
)


def loaded(environ: dict[str, str]) -> Settings | BadSettings:
    """The settings, or their refusal as raised."""
    try:
        return load(environ)
    except BadSettings as bad:
        return bad


def told(environ: dict[str, str]) -> str:
    """All texts printed of an environment: of the settings, or of the refusal with its traceback."""
    outcome = loaded(environ)
    if isinstance(outcome, BadSettings):
        parts = [str(outcome), repr(outcome), repr(outcome.mistakes), *traceback.format_exception(outcome)]
    else:
        dumps = [str(outcome.model_dump()), outcome.model_dump_json(), repr(outcome.model_dump(mode="json"))]
        parts = [str(outcome), repr(outcome), str(masked(outcome)), *dumps]
    return "\n".join(parts)


@given(SECRET_PLACES, PROPERTY_PLACES, st.just({}) | URL_PLACES, HEADER_PLACES, st.sampled_from([{}, SECURE, REGISTRY]))
def test_no_secret_is_ever_printed(
    secrets: dict[str, str], properties: str, urls: dict[str, str], headers: str, base: dict[str, str]
) -> None:
    """Valid or not, alone or among other mistakes, misspelt or in a property: a secret value is never printed."""
    further = {"KAFKA_PROPERTIES": properties, "SCHEMA_REGISTRY_HEADERS": headers}
    assert "S3CR3T" not in told({**GOOD, **base, **secrets, **further, **urls})


@given(SECRET)
def test_a_secret_is_unmasked_in_use(secret: str) -> None:
    """Only output is masked, not the value in use."""
    environ = {
        **GOOD,
        **SECURE,
        "KAFKA_SASL_PASSWORD": secret,
        "KAFKA_PROPERTIES": json.dumps({"sasl.oauthbearer.client.secret": secret}),
    }
    settings = load(environ)
    assert settings.security()["sasl.password"] == secret
    assert settings.properties() == {"sasl.oauthbearer.client.secret": secret}


def used(config: RegistryConfig) -> set[str]:
    """The settings that a registry's configuration has something of."""
    login, tls = config.login, config.tls
    parts = {
        "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": tls.certificate,
        "SCHEMA_REGISTRY_SSL_KEY_LOCATION": tls.key,
        "SCHEMA_REGISTRY_SSL_KEY_PASSWORD": tls.key_password,
        "SCHEMA_REGISTRY_HEADERS": config.headers,
    }
    if isinstance(login, Basic):
        parts |= {"SCHEMA_REGISTRY_USERNAME": login.username, "SCHEMA_REGISTRY_PASSWORD": login.password}
    elif isinstance(login, OAuth):
        parts |= {
            "SCHEMA_REGISTRY_OAUTH_TOKEN_URL": login.token_url,
            "SCHEMA_REGISTRY_OAUTH_CLIENT_ID": login.client_id,
            "SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET": login.client_secret,
            "SCHEMA_REGISTRY_OAUTH_SCOPE": login.scope,
        }
    elif login is not None:
        parts["SCHEMA_REGISTRY_TOKEN"] = login.current()
    return {name for name, part in parts.items() if part}


@given(st.sets(st.sampled_from(sorted(LOGINS))), st.sampled_from([{}, {"SCHEMA_REGISTRY_URL": "https://registry"}]))
def test_no_login_to_the_registry_is_given_and_silently_not_used(names: set[str], url: dict[str, str]) -> None:
    """Half of a login, two of them, or one without a registry: what is accepted is what the room is handed."""
    outcome = loaded({**GOOD, **url, **{name: LOGINS[name] for name in names}})
    if isinstance(outcome, Settings):
        config = registry_config(outcome)
        assert names == (used(config) if config is not None else set())
    else:
        assert names
        assert {mistake.setting for mistake in outcome.mistakes} <= LOGINS.keys()


@given(ANYTHING)
def test_any_environment_makes_settings_or_lines(environ: dict[str, str]) -> None:
    """For any environment, the result is settings or one printable line a mistake."""
    outcome = loaded({**GOOD, **environ})
    if isinstance(outcome, BadSettings):
        assert outcome.mistakes
        assert str(outcome).split("\n") == [str(mistake) for mistake in outcome.mistakes]
        assert all(str(mistake).isprintable() for mistake in outcome.mistakes)
    else:
        assert set(masked(outcome)) == set(NAMES)


@given(
    st.fixed_dictionaries(
        {
            "OPS_PORT": st.integers(0, 65535).map(str),
            "COALESCE_LINGER_SECONDS": st.floats(0, 3600).map(str),
            "TARGET_METHOD": st.sampled_from(["auto", "get", "post"]),
            "KAFKA_TOPICS": st.lists(st.text("abc.-_", min_size=3), min_size=1, unique=True).map(",".join),
        }
    )
)
def test_effective_settings_are_an_environment_again(environ: dict[str, str]) -> None:
    """A logged value can be set as it stands, and gives the same settings again."""
    settings = load({**GOOD, **environ})
    shown = {name: str(value) for name, value in masked(settings).items() if value is not None}
    assert masked(load(shown)) == masked(settings)


PATHS = st.text(st.sampled_from('/.?#%{}[]|^\\"<>`ab2 é~\n') | st.characters(), max_size=12).map(
    lambda text: f"/{text}"
)
HOSTS = st.text(st.sampled_from("ab1.-_:/[]@%{}?# é") | st.characters(), max_size=15).map(
    lambda text: f"https://{text}"
)


@given(PATHS | st.just("/m2/{client_code}/profile/update"), HOSTS | st.just("https://{client_code}.tt.omtrdc.net"))
def test_an_endpoint_that_the_settings_accept_its_sender_accepts_too(path: str, base: str) -> None:
    """Two validators that disagree end a start with a second message, or let `check` fail where `run` does not."""
    settings = loaded({**GOOD, "TARGET_UPDATE_PATH": path, "TARGET_BASE_URL": base})
    if isinstance(settings, Settings):
        endpoint(settings.target_base_url, settings.target_update_path, settings.target_client_code)
    else:
        named = {mistake.setting for mistake in settings.mistakes}
        assert ("TARGET_UPDATE_PATH" in named) == bool(unfit_path(path))
