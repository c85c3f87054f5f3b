"""Event version 1 inside of another format, as a source of a mapping: so there is one reader of such documents."""

import json

from connector.events.change import Refused
from connector.formats import Format, Node
from connector.mapping import Source, load

_DATA = "data"


def version1_source(topics: tuple[str, ...], record_format: Format) -> Source:
    """Return the source that reads version 1 in this format; in a CloudEvent it is the data."""
    inside = f"{_DATA}." if record_format is Format.CLOUDEVENTS else ""
    source = {
        "topics": topics,
        "format": record_format,
        "visitor": {"mbox3rdPartyId": f"{inside}mbox3rdPartyId", "pcId": f"{inside}pcId"},
        "occurredAt": f"{inside}occurredAt",
        "copy": [{"from": f"{inside}profile"}],
    }
    return load(json.dumps({"version": 1, "sources": [source]})).sources[0]


def check_version1(document: Node) -> None:
    """Refuse what a mapping would read and version 1 does not allow: two identifiers."""
    event = document.get(_DATA, document) if isinstance(document, dict) else None
    if isinstance(event, dict) and event.get("mbox3rdPartyId") is not None and event.get("pcId") is not None:
        field = "mbox3rdPartyId, pcId"
        raise Refused(field, "must not both be given: exactly one of the two is needed")
