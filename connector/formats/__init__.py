"""From a record's bytes to a document, whatever its format; no schema is waited for, and nothing is sent."""
