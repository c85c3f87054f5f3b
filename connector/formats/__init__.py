"""From a record's bytes to a document, whatever format it was written in; nothing here waits."""

from connector.formats.document import Document, Headers, Node, Record
from connector.formats.errors import MissingExtra
from connector.formats.framing import find_frame
from connector.formats.readers import Format, KeyForm, Reader, make_reader, read_plain_json
from connector.formats.schema import Dependency, Schema, SchemaId, SchemaKind, SchemaMissing, Schemas
from connector.formats.shape import Shape
from connector.formats.shapes import shape_of

__all__ = [
    "Dependency",
    "Document",
    "Format",
    "Headers",
    "KeyForm",
    "MissingExtra",
    "Node",
    "Reader",
    "Record",
    "Schema",
    "SchemaId",
    "SchemaKind",
    "SchemaMissing",
    "Schemas",
    "Shape",
    "find_frame",
    "make_reader",
    "read_plain_json",
    "shape_of",
]
