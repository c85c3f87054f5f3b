"""Whether events can be read as set: the mapping, the Schema Registry, and whether the mapping's paths can exist."""

import asyncio
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from connector.cli.check.findings import Finding, State
from connector.cli.check.samples import SHOWN
from connector.errors import UnusableSetting
from connector.events import Refused
from connector.formats import Format, Schema, Shape, shape_of
from connector.mapping import KeyForm, Mapping, Source, impossible, unmapped_topics, without_another
from connector.registry.config import Address, RegistryConfig
from connector.settings import Settings

if TYPE_CHECKING:
    from connector.registry.client import RegistryClient

REGISTRY_SECONDS: Final = 18.0
REQUEST_SECONDS: Final = 8.0
"""For one request; SCHEMA_REGISTRY_TIMEOUT_SECONDS may be longer than a check takes."""
PATHS_SECONDS: Final = 18.0
_FRAMED: Final = frozenset(Format) - {Format.JSON, Format.JSON_SCHEMA}
"""Formats whose values a registry may describe; of JSON with a schema it is not read."""
_REMEDIES: Final[Table[str, str]] = {
    "Unreachable": "look at SCHEMA_REGISTRY_URL, at the network between, and whether the registry runs",
    "WrongUrl": "look at SCHEMA_REGISTRY_URL and its path",
}


@dataclass(slots=True)
class ReadingChecks:
    """The checks of one set-up; each method is a check of the list in `connector.cli.check`."""

    settings: Settings
    mapping: Mapping | None
    config: RegistryConfig | None
    """None: no registry is set."""

    async def sources(self) -> Sequence[Finding]:
        """Which topics are read how; a mapping with a mistake is one of the settings, and was said before."""
        form = self.settings.event_format
        version_1 = "event version 1" if form == "json" else f"event version 1 in {form}"
        if self.mapping is None:
            return []
        told = "; ".join(f"{', '.join(source.topics)} as {source.format}" for source in self.mapping.sources)
        rest = unmapped_topics(self.mapping, self.settings.kafka_topics)
        others = f"; without a source, read as {version_1}: {', '.join(rest)}" if rest else ""
        return [Finding(State.OK, "mapping", f"{told}{others}")]

    async def registry(self) -> Sequence[Finding]:
        """Each address by itself: it answers, takes the login, and is a Schema Registry at that path."""
        config = self.config
        if config is None:
            return []
        findings = await asyncio.gather(*(self._address(config, address) for address in config.addresses))
        if all(one.state is State.FAILED for one in findings):
            return findings
        others = "another address answers, so schemas can be had"
        return [
            replace(one, state=State.WARNING, remedy=f"{one.remedy}; {others}") if one.state is State.FAILED else one
            for one in findings
        ]

    async def _address(self, config: RegistryConfig, address: Address) -> Finding:
        from connector.registry.client import RegistryClient  # noqa: PLC0415 - HTTP, which not every set-up needs
        from connector.registry.failures import NotFound, Unauthorised, Unreachable, WrongUrl  # noqa: PLC0415

        what = f"schema registry {address.name}"
        seconds = min(config.timeout_seconds, REQUEST_SECONDS)
        try:
            async with RegistryClient(replace(config, addresses=(address,), timeout_seconds=seconds)) as client:
                # A subject that does not exist is an answer too; what is asked for is what the paths are held to.
                seen = await client.version(f"{self.settings.kafka_topics[0]}-value", "latest")
        except UnusableSetting as error:
            return Finding(State.FAILED, what, str(error.failure), f"correct {error.failure.setting}")
        if isinstance(seen, Unauthorised | Unreachable | WrongUrl):
            reason = seen.reason.removeprefix(f"{address.name}: ")
            detail, _, remedy = reason.partition("; ")
            return Finding(State.FAILED, what, detail, remedy or _REMEDIES.get(type(seen).__name__, ""))
        return Finding(State.OK, what, "answers, and takes the login" if isinstance(seen, NotFound) else "answers")

    async def paths(self) -> Sequence[Finding]:
        """Whether each path can exist, by the newest schema of each topic's subject, where there is one."""
        sources = [] if self.mapping is None else [one for one in self.mapping.sources if one.format in _FRAMED]
        if self.config is None or not sources:
            return []
        from connector.registry.client import RegistryClient  # noqa: PLC0415 - as above

        seconds = min(self.config.timeout_seconds, REQUEST_SECONDS)
        async with RegistryClient(replace(self.config, timeout_seconds=seconds)) as client:
            return [await self._held(client, topic, source) for source in sources for topic in source.topics]

    async def _held(self, client: "RegistryClient", topic: str, source: Source) -> Finding:
        what = f"paths of {topic}"
        subject = f"{topic}-value"
        value = await _newest(client, subject)
        if isinstance(value, str):
            return Finding(State.WARNING, what, f"subject {subject}: {value}", "look at what its producer registers")
        if value is None:
            return Finding(State.OK, what, f"not checked: the registry has no subject {subject}, or no shape of it")
        key = await _newest(client, f"{topic}-key") if source.key is KeyForm.FORMAT else None
        schema, shape = value
        missed = without_another(source, impossible(source, shape, key[1] if isinstance(key, tuple) else None))
        by = f"by the newest schema of {subject} ({schema.kind}, id {schema.id.value})"
        if not missed:
            return Finding(State.OK, what, f"all can exist {by}")
        told = "; ".join(
            f"{one.path} ({one.field})" + (f", did you mean {one.nearest}?" if one.nearest else "")
            for one in missed[:SHOWN]
        )
        more = f"; and {len(missed) - SHOWN} more" if len(missed) > SHOWN else ""
        remedy = "correct the mapping; `connector map` shows what a schema has"
        return Finding(State.WARNING, what, f"cannot exist {by}: {told}{more}", remedy)


async def _newest(client: "RegistryClient", subject: str) -> tuple[Schema, Shape] | str | None:
    """Give a subject's newest schema with its shape, or why records could not be read by it; None: it is not known."""
    from connector.registry.failures import Unusable  # noqa: PLC0415 - as above
    from connector.registry.references import load_latest  # noqa: PLC0415
    from connector.service.schemas import prepare  # noqa: PLC0415

    given = await load_latest(client, subject)
    if isinstance(given, Unusable):
        return given.reason
    if not isinstance(given, Schema):
        return None
    try:
        schema = await prepare(given)
        shape = shape_of(schema)
    except Refused as refused:
        return str(refused)
    return None if shape is None else (schema, shape)
