"""From a document of any format to changes, by a mapping that a person wrote; this room reads no bytes but JSON's."""

from connector.formats.document import Node
from connector.formats.readers import Format, KeyForm
from connector.mapping.compile import NO_VISITOR, Changes, Compiled, Item, Outcome, Skip, Unmapped, compile_source
from connector.mapping.coverage import Coverage, Unmatched, without_another
from connector.mapping.digest import rules
from connector.mapping.fast_json import JsonMapper
from connector.mapping.load import check_topics, load, unmapped_topics
from connector.mapping.mistakes import BadMapping, Mistake
from connector.mapping.model import Mapping, Source
from connector.mapping.possible import impossible

__all__ = [
    "NO_VISITOR",
    "BadMapping",
    "Changes",
    "Compiled",
    "Coverage",
    "Format",
    "Item",
    "JsonMapper",
    "KeyForm",
    "Mapping",
    "Mistake",
    "Node",
    "Outcome",
    "Skip",
    "Source",
    "Unmapped",
    "Unmatched",
    "check_topics",
    "compile_source",
    "impossible",
    "load",
    "rules",
    "unmapped_topics",
    "without_another",
]
