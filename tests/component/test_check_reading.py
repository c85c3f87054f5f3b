"""`connector check` before a registry: each fault is a line with its remedy; a mapping's paths are held to schemas."""

import asyncio
import json
import ssl
from typing import Any

import pytest
import trustme

from connector.cli.check.findings import Finding, State
from connector.cli.check.reading import ReadingChecks
from connector.formats.schema import SchemaKind
from connector.mapping import Mapping, load
from connector.registry.config import RegistryConfig, parse_addresses
from connector.settings import load as load_settings
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.front import Front, Trouble, hang, status

SETTINGS = load_settings(
    {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "crm,plain", "TARGET_CLIENT_CODE": "demo"}
)
CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [{"name": "CUST_NO", "type": "string"}, {"name": "TIER", "type": ["null", "string"]}],
}


def mapping(**fields: Any) -> Mapping:
    """Of one topic, in Avro."""
    given = {"topics": ["crm"], "format": "avro", "visitor": {"pcId": "CUST_NO"}, "attributes": {"tier": "TEIR"}}
    return load(json.dumps({"version": 1, "sources": [{**given, **fields}]}))


def checks(mapped: Mapping | None, *urls: str) -> ReadingChecks:
    """For registries at these addresses, slow ones of which are given up soon."""
    config = RegistryConfig(parse_addresses(",".join(urls)), "test", timeout_seconds=1.0) if urls else None
    return ReadingChecks(SETTINGS, mapped, config)


def registry_said(trouble: Trouble | None = None, path: str = "", tls: ssl.SSLContext | None = None) -> list[Finding]:
    """Findings about two addresses, of which the second one answers nothing."""

    async def main() -> list[Finding]:
        async with Front(FakeRegistry(), trouble=trouble, tls=tls) as front:
            return list(await checks(None, front.url + path).registry())

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("trouble", "path", "detail", "remedy"),
    [
        (status(401), "", "HTTP 401: the login was refused", "SCHEMA_REGISTRY_USERNAME"),
        (status(403), "", "no right to read this", "SCHEMA_REGISTRY_USERNAME"),
        (status(503), "", "HTTP 503", "whether the registry runs"),
        (status(302), "", "a redirect, which is not followed", "SCHEMA_REGISTRY_URL"),
        (None, "/apis", "HTTP 404 without a registry's error code", "the path of SCHEMA_REGISTRY_URL"),
        (hang, "", "no whole answer", "SCHEMA_REGISTRY_URL, at the network"),
    ],
    ids=["401", "403", "503", "302", "wrong path", "silence"],
)
def test_each_fault_of_a_registry_has_its_remedy(trouble: Trouble | None, path: str, detail: str, remedy: str) -> None:
    """The connector would wait for a schema for ever, and somebody has to know where to look."""
    (found,) = registry_said(trouble, path)
    assert found.state is State.FAILED
    assert detail in found.detail
    assert remedy in found.remedy


def test_a_certificate_that_is_not_trusted_names_the_setting() -> None:
    """As of an authority of the company's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    (found,) = registry_said(tls=context)
    assert found.state is State.FAILED
    assert "SCHEMA_REGISTRY_SSL_CA_LOCATION" in found.remedy


def test_one_of_two_addresses_is_enough() -> None:
    """And the other one is a warning. A subject that does not exist is an answer, too."""

    async def main() -> None:
        async with Front(FakeRegistry()) as front, Front(FakeRegistry(), trouble=status(500)) as other:
            good, bad = await checks(None, front.url, other.url).registry()
            assert (good.state, good.detail) == (State.OK, "answers, and takes the login")
            assert bad.state is State.WARNING
            assert "another address answers" in bad.remedy

    asyncio.run(main())


def paths_said(registry: FakeRegistry, mapped: Mapping) -> list[Finding]:
    """Findings about the paths."""

    async def main() -> list[Finding]:
        async with Front(registry) as front:
            return list(await checks(mapped, front.url).paths())

    return asyncio.run(main())


def test_paths_that_cannot_exist_by_the_newest_schema_are_named() -> None:
    """With the nearest name; a path of the key by the key's schema."""
    registry = FakeRegistry()
    registry.register("crm-value", json.dumps({**CUSTOMER, "fields": CUSTOMER["fields"][:1]}))
    number = registry.register("crm-value", json.dumps(CUSTOMER))
    registry.register("crm-key", json.dumps({"type": "record", "name": "K", "fields": [{"name": "id", "type": "int"}]}))
    (found,) = paths_said(registry, mapping(key="format", visitor={"pcId": "$key.idd"}))
    assert found.state is State.WARNING
    assert found.detail == (
        f"cannot exist by the newest schema of crm-value (AVRO, id {number}): $key.idd (visitor.pcId), "
        "did you mean $key.id?; TEIR (attributes.tier), did you mean TIER?"
    )
    (found,) = paths_said(registry, mapping(attributes={"tier": {"path": ["TEIR", "TIER"]}}))
    assert found.state is State.OK


def test_what_cannot_be_held_to_a_schema_is_said() -> None:
    """Records may name schemas of other subjects; and a schema that no record can be read by is worth a warning."""
    registry = FakeRegistry()
    (found,) = paths_said(registry, mapping())
    assert (found.state, found.detail[:11]) == (State.OK, "not checked")
    registry.register("crm-value", "{}", SchemaKind.JSON)
    assert paths_said(registry, mapping())[0].detail.startswith("not checked")
    registry.register("crm-value", '{"type": "array", "items": "null"}')
    (found,) = paths_said(registry, mapping())
    assert found.state is State.WARNING
    assert "items that take no byte" in found.detail
    assert paths_said(registry, mapping(format="json")) == []


def test_the_sources_are_listed_with_the_topics_that_have_none() -> None:
    """42. A topic without a source is read as version 1, which may be a mistake."""
    (found,) = asyncio.run(checks(mapping()).sources())
    assert found.detail == "crm as avro; without a source, read as event version 1: plain"
