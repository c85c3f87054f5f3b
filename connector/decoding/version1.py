"""Event version 1 inside of another format, as a source of a mapping: so there is one reader of such documents."""

import json

from connector.events.change import PRIORITIES, Refused
from connector.events.json_v1 import PRIORITY_RULE
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
        "priority": {word: [{"path": f"{inside}priority", "equals": word}] for word in PRIORITIES},
        "copy": [{"from": f"{inside}profile"}],
    }
    return load(json.dumps({"version": 1, "sources": [source]})).sources[0]


def check_version1(document: Node) -> None:
    """Refuse what a mapping would read and version 1 does not allow: two identifiers, or an unknown priority."""
    event = document.get(_DATA, document) if isinstance(document, dict) else None
    if not isinstance(event, dict):
        return
    if event.get("mbox3rdPartyId") is not None and event.get("pcId") is not None:
        field = "mbox3rdPartyId, pcId"
        raise Refused(field, "must not both be given: exactly one of the two is needed")
    if event.get("priority") not in (None, *PRIORITIES):
        field = "priority"
        raise Refused(field, PRIORITY_RULE)
