"""Stands in for the world outside with real servers: Adobe's endpoint, which also judges, and an embedded Kafka."""
