"""What every format decodes to, so that nothing behind this room knows how an event was written."""

import enum
import re
from datetime import datetime
from typing import Final

import msgspec

from connector.errors import ConnectorError


class Visitor(msgspec.Struct, frozen=True, gc=False, cache_hash=True, order=True):
    """Who a change is for; the key of coalescing and of "one in flight".

    `kind` is the parameter name of the API, `mbox3rdPartyId` or `pcId`; the same text under both kinds is two visitors.
    """

    kind: str
    id: str


class Priority(enum.IntEnum):
    """How much a change matters: where not all can be sent at once, the lower number goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2

    @property
    def word(self) -> str:
        """Its name in events, mappings, metrics and logs."""
        return self.name.lower()


PRIORITIES: Final = {priority.word: priority for priority in Priority}
"""By their names."""

PC_ID: Final = "pcId"
_HINT: Final = re.compile(r"(.+)(\.[0-9]+_[0-9]+)", re.DOTALL)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One event's wish: these attributes of this visitor get these values.

    `attributes` maps dotted names (without `profile.`) to the text to send; it is never empty unless every value was a
    null that the rules drop. `occurred` is the event's own RFC 3339 text, None when it does not say.
    """

    visitor: Visitor
    attributes: dict[str, str]
    occurred: str | None = None
    hint: str = ""
    """The location hint at the end of a pcId, such as `.28_20`: it is sent, and is no part of who the visitor is."""
    priority: Priority = Priority.NORMAL

    @property
    def recipient(self) -> Visitor:
        """The visitor as the event names it."""
        return named(self.visitor, self.hint)

    @property
    def occurred_at(self) -> datetime | None:
        """When it was true, with a time zone; read only where the order asks for it."""
        return None if self.occurred is None else datetime.fromisoformat(self.occurred.upper())


def change_of(
    kind: str,
    identifier: str,
    attributes: dict[str, str],
    occurred: str | None,
    priority: Priority = Priority.NORMAL,
) -> Change:
    """Return the change; a pcId is the same visitor whichever location hint it ends with.

    Adobe's SDK takes the digits between dot and underscore for the edge's host, and profiles are fetched with and
    without them.
    """
    if kind == PC_ID and (found := _HINT.fullmatch(identifier)) is not None:
        return Change(Visitor(kind, found[1]), attributes, occurred, found[2], priority)
    return Change(Visitor(kind, identifier), attributes, occurred, "", priority)


def named(visitor: Visitor, hint: str) -> Visitor:
    """Return the visitor with the location hint that its pcId ends with."""
    return Visitor(visitor.kind, visitor.id + hint) if hint else visitor


class Refused(ConnectorError):
    """An event that can never be delivered, with the field and the reason, and without any of its values."""

    def __init__(self, field: str, reason: str) -> None:
        """`field` is a path such as `profile.address.city`; `reason` says what is allowed, and continues its sentence.

        No colon stands between: behind `pcId:` or `profile.token:` the log's redaction takes a word for the value.
        """
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason
