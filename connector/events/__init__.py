"""From a record's bytes to a `Change`, or a refusal that says why; this room knows neither Kafka nor HTTP."""

from connector.events.change import Change, Refused, Visitor
from connector.events.json_v1 import RULES, JsonDecoder, Nulls, encode_event

__all__ = ["RULES", "Change", "JsonDecoder", "Nulls", "Refused", "Visitor", "encode_event"]
