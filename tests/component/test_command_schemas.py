"""A command that needs a schema waits for it, and for no longer than waiting can help: nobody types twice in vain."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connector.events.change import Refused
from connector.formats import Schema, SchemaId
from connector.registry.config import RegistryConfig, RegistryError, Tls, parse_addresses
from connector.registry.failures import NotFound
from connector.registry.retry import Patience
from connector.service.command_schemas import CommandSchemas, SchemaUnavailable
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.front import Front, Trouble, hang, status

T = TypeVar("T")
QUICK = Patience(first=0.01, longest=0.02, unknown=0.1, unknown_pause=0.02)
ONE = SchemaId(1)


def asked(
    work: Callable[[CommandSchemas], T],
    *troubles: Trouble,
    trouble: Trouble | None = None,
    timeout: float = 5.0,
    path: str = "",
    **config: Any,
) -> tuple[T, list[str]]:
    """What a command makes of a registry with the schema 1, and what was asked for."""

    async def main() -> tuple[T, list[str]]:
        registry = FakeRegistry()
        registry.register("t-value", '"string"')
        async with Front(registry, troubles=list(troubles), trouble=trouble) as front:
            settings = RegistryConfig(parse_addresses(front.url + path), "t", timeout_seconds=timeout, **config)

            def command() -> T:
                with CommandSchemas(settings, patience=QUICK, give_up=0.3) as schemas:
                    return work(schemas)

            return await asyncio.to_thread(command), front.paths

    return asyncio.run(main())


def test_a_schema_is_waited_for_and_asked_for_once() -> None:
    """A short outage is no end; and what is there is not asked for again."""
    (first, again), paths = asked(lambda schemas: (schemas.get(ONE), schemas.get(ONE)), status(503), status(503))
    assert (first.text, again.text) == ('"string"', '"string"')
    assert paths == ["/schemas/ids/1"] * 3


def test_an_unknown_id_is_a_refusal_of_the_record() -> None:
    """6. It will not come, so the record is told as refused, by the id."""

    def work(schemas: CommandSchemas) -> str:
        with pytest.raises(Refused) as caught:
            schemas.get(SchemaId(7))
        return str(caught.value)

    reason, _ = asked(work)
    assert "no such schema (error 40403) for schema 7" in reason


@pytest.mark.parametrize(
    ("trouble", "path", "said"),
    [
        (status(503), "", "HTTP 503"),
        (hang, "", "no whole answer within SCHEMA_REGISTRY_TIMEOUT_SECONDS"),
        (status(401), "", "SCHEMA_REGISTRY_USERNAME"),
        (None, "/apis", "look at the path of SCHEMA_REGISTRY_URL"),
    ],
    ids=["503", "silence", "401", "wrong path"],
)
def test_a_registry_that_does_not_say_ends_the_command_with_a_remedy(
    trouble: Trouble | None, path: str, said: str
) -> None:
    """Nothing is said of the record: an outage must not look like a bad event."""

    def work(schemas: CommandSchemas) -> str:
        with pytest.raises(SchemaUnavailable) as caught:
            schemas.get(ONE)
        return str(caught.value)

    reason, paths = asked(work, trouble=trouble, path=path, timeout=0.2)
    assert reason.startswith("schema 1 cannot be had: ")
    assert said in reason
    assert "look at" in reason
    assert len(paths) < 40
    # Where a person has to act, asking again changes nothing.
    assert len(paths) == 1 or "SCHEMA_REGISTRY_URL, at the network" in reason


def test_the_newest_of_a_subject_or_why_there_is_none() -> None:
    """One attempt: a check says what it saw."""
    (there, missing), _ = asked(lambda schemas: (schemas.latest("t-value"), schemas.latest("t-key")))
    assert isinstance(there, Schema)
    assert there.id == ONE
    assert isinstance(missing, NotFound)


def test_a_file_of_keys_that_cannot_be_used_names_its_setting() -> None:
    """Found when it is needed; and a command that needs no schema starts no thread and reads no file."""
    missing = RegistryConfig(parse_addresses("https://127.0.0.1:9"), "t", tls=Tls(ca=Path("/not/there")))
    with CommandSchemas(missing):
        pass
    with CommandSchemas(missing) as schemas, pytest.raises(RegistryError) as caught:
        schemas.get(ONE)
    assert caught.value.failure.setting == "SCHEMA_REGISTRY_SSL_CA_LOCATION"
