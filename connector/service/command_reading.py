"""How commands read events: as the service does, but that a missing schema is waited for where it is needed."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from connector.decoding import EventReader
from connector.errors import UnusableSetting
from connector.mapping import Mapping
from connector.service.reading import reader, registry_config
from connector.settings import BadSettings, Mistake, Settings

if TYPE_CHECKING:
    from connector.service.command_schemas import CommandSchemas


@contextmanager
def command_reading(
    settings: Settings, mapping: Mapping | None, *, topics: Sequence[str] = ()
) -> Iterator[EventReader]:
    """The reader of every topic of the settings, and of these too.

    Raises BadSettings where a format needs what is not there, and Fatal for a token that cannot be read; reading raises
    SchemaUnavailable.
    """
    with command_schemas(settings) as schemas:
        yield reader(settings, mapping, schemas, topics=topics)


def command_schemas(settings: Settings) -> "AbstractContextManager[CommandSchemas | None]":
    """The registry's schemas; None where no registry is set. Raises as `command_reading` does."""
    try:
        config = registry_config(settings)
    except UnusableSetting as error:
        wrong = error.failure
        raise BadSettings([Mistake(wrong.setting, reason=wrong.reason)]) from error
    if config is None:
        return nullcontext()
    from connector.service.command_schemas import CommandSchemas  # noqa: PLC0415 - it brings HTTP

    return CommandSchemas(config)
