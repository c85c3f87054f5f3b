"""The Schema Registry's room: which schema a record was written with, asked over HTTP once and then remembered."""
