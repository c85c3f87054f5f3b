"""The schemas of a Schema Registry, kept and prepared; loaded only where a registry is set, for it brings HTTP."""

import asyncio
import random
from dataclasses import replace
from functools import partial

from connector.formats import Schema, SchemaKind
from connector.registry.client import RegistryClient
from connector.registry.references import load as load_schema
from connector.registry.retry import Patience
from connector.registry.store import SchemaStore
from connector.threads import in_thread


def schema_store(
    client: RegistryClient,
    max_schemas: int,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> SchemaStore:
    """The schemas of the registry, on the running loop."""
    return SchemaStore(
        partial(load_schema, client),
        max_schemas=max_schemas,
        clock=asyncio.get_running_loop().time,
        rng=random.Random(),
        prepare=prepare,
        patience=patience,
    )


async def prepare(schema: Schema) -> Schema:
    """Compile what has to be compiled, in a thread: Protobuf, by a process of its own."""
    if schema.kind is not SchemaKind.PROTOBUF:
        return schema
    try:
        from connector.formats.protobuf import compile_schema  # noqa: PLC0415 - an extra, which need not be installed
    except ImportError:
        return schema  # The reader of the record says what is missing.
    return replace(schema, descriptors=await in_thread(partial(compile_schema, schema), "protoc"))
