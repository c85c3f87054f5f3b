"""What Target may not do with an update although it accepts it: said to a person, and sent nevertheless.

The limits are those of its other APIs; for the single update none is documented (docs/target.md has the sources).
"""

import enum
from collections.abc import Mapping
from typing import Final

from connector.events.change import PC_ID, Visitor

DELIVERY_ID: Final = 128
"""Characters of an id in the Delivery API."""
NAME: Final = 128
VALUE: Final = 256
SYSTEM_NAMES: Final = frozenset({"browserTime", "sessionCount", "averageDaysBetweenVisits"})
SYSTEM_PREFIXES: Final = ("geolocation.", "mobile.", "user.")
PREFIX: Final = "profile."


class Concern(enum.StrEnum):
    """A closed list: names of a metric's label."""

    LONG_ID = "long_id"
    ID_CHARACTERS = "id_characters"
    PREFIXED_NAME = "prefixed_name"
    SYSTEM_NAME = "system_name"
    LONG_NAME = "long_name"
    LONG_VALUE = "long_value"

    __hash__ = str.__hash__


WHY: Final[Mapping[Concern, str]] = {
    Concern.LONG_ID: f"an id of more than {DELIVERY_ID} characters: a page cannot have it (Delivery API)",
    Concern.ID_CHARACTERS: "a + or / in an mbox3rdPartyId, which Adobe's bulk API does not allow",
    Concern.PREFIXED_NAME: f"a name that begins with {PREFIX}: it is sent with that before it again",
    Concern.SYSTEM_NAME: "a name of Target's own: it may be overwritten, or ignored",
    Concern.LONG_NAME: f"a name of more than {NAME} characters: Target's other APIs refuse it",
    Concern.LONG_VALUE: f"a value of more than {VALUE} characters: Target may cut it",
}


def concerns(visitor: Visitor, attributes: Mapping[str, str]) -> Mapping[Concern, str]:
    """Return what a person should know, with the name of the attribute or of the identifier; mostly nothing."""
    found: dict[Concern, str] = {}
    identifier = visitor.id
    if len(identifier) > DELIVERY_ID:
        found[Concern.LONG_ID] = visitor.kind
    if visitor.kind != PC_ID and ("+" in identifier or "/" in identifier):
        found[Concern.ID_CHARACTERS] = visitor.kind
    for name, value in attributes.items():
        if len(value) > VALUE:
            found.setdefault(Concern.LONG_VALUE, name)
        if len(name) > NAME:
            found.setdefault(Concern.LONG_NAME, name)
        if name in SYSTEM_NAMES or name.startswith(SYSTEM_PREFIXES):
            found.setdefault(Concern.SYSTEM_NAME, name)
        elif name.startswith(PREFIX):
            found.setdefault(Concern.PREFIXED_NAME, name)
    return found
