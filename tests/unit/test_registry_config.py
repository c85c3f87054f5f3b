"""The registry's settings: what cannot be meant is said at start, and no secret is in what is said or shown."""

import ssl
from pathlib import Path

import pytest
import trustme

from connector.registry.config import Address, Basic, OAuth, RegistryConfig, RegistryError, Tls, parse_addresses
from connector.registry.exchange import client_context, token_context

SECRET = "hush-hush"
HERE = Address("http://localhost:8081")


def test_several_addresses_with_user_and_password_in_one() -> None:
    """3. User and password are taken out of the address."""
    assert parse_addresses(" https://a:8081/ , http://me:p%40ss%2C@b/apis/ccompat/v7,") == (
        Address("https://a:8081"),
        Address("http://b/apis/ccompat/v7", Basic("me", "p@ss,")),
    )
    assert parse_addresses("http://me:x@b:8081")[0].name == "b:8081"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        f"ftp://{SECRET}@host",
        f"{SECRET}",
        f"http://u:{SECRET}/@host",
        f"http://host?{SECRET}",
        f"//{SECRET}",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(RegistryError) as caught:
        parse_addresses(text)
    assert caught.value.failure.setting == "SCHEMA_REGISTRY_URL"
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "headers", [{"a b": SECRET}, {"x": f"{SECRET}\n"}, {"x": f"{SECRET}é"}, {"Authorization": SECRET}, {"": SECRET}]
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(headers: dict[str, str]) -> None:
    """Such as a line break, by which one header becomes two."""
    with pytest.raises(RegistryError, match=r"^SCHEMA_REGISTRY_HEADERS: ") as caught:
        RegistryConfig((HERE,), "test", headers=headers)
    assert SECRET not in str(caught.value)


def test_no_secret_is_shown() -> None:
    """3. Configurations turn up in logs and in tracebacks."""
    config = RegistryConfig(
        parse_addresses(f"http://me:{SECRET}@host"),
        "test",
        login=OAuth("https://idp/token", "me", SECRET),
        headers={"x": SECRET},
        tls=Tls(key_password=SECRET),
    )
    assert SECRET not in repr(config)
    assert SECRET not in repr(Basic("me", SECRET))


def test_a_key_without_its_certificate_and_a_wrong_token_address_are_refused() -> None:
    """At start, by the setting's name."""
    with pytest.raises(RegistryError, match=r"^SCHEMA_REGISTRY_SSL_KEY_LOCATION: "):
        RegistryConfig((HERE,), "test", tls=Tls(key=Path("key.pem")))
    with pytest.raises(RegistryError, match=r"^SCHEMA_REGISTRY_OAUTH_TOKEN_URL: "):
        RegistryConfig((HERE,), "test", login=OAuth("idp/token", "me", SECRET))


def test_files_of_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """With the setting, and with what is wrong."""
    missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
    broken.write_text("no PEM")
    for path in (missing, broken):
        for context in (client_context, token_context):
            with pytest.raises(RegistryError, match=f"^SCHEMA_REGISTRY_SSL_CA_LOCATION: {path} cannot be used"):
                context(Tls(ca=path))
        with pytest.raises(RegistryError, match=f"^SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION: {path} cannot be used"):
            client_context(Tls(certificate=path))


def test_a_ca_replaces_the_systems_for_the_registry_and_adds_to_them_for_the_token_endpoint(tmp_path: Path) -> None:
    """The token endpoint is often a public one, beside a registry with a CA of the company."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    public = len(ssl.create_default_context().get_ca_certs())
    assert len(client_context(Tls(ca=path)).get_ca_certs()) == 1
    assert len(token_context(Tls(ca=path)).get_ca_certs()) == public + 1
