"""From a record of any topic to the changes that it asks for: by event version 1, or by a mapping's source."""

from connector.decoding.events import EventReader, event_reader
from connector.decoding.record import GivenRecord
from connector.decoding.samples import SourceSamples
from connector.decoding.topics import REPLAYED, MappedTopic

__all__ = ["REPLAYED", "EventReader", "GivenRecord", "MappedTopic", "SourceSamples", "event_reader"]
