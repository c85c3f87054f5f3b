"""From a record's bytes to a document, whatever format it was written in; nothing here waits."""

from connector.formats.document import Document, Headers, Node, Record
from connector.formats.errors import MissingExtra
from connector.formats.readers import Format, KeyForm, Reader, make_reader
from connector.formats.schema import Dependency, Schema, SchemaId, SchemaKind, SchemaMissing, Schemas

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
    "make_reader",
]
