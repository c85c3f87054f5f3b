"""Keeps Adobe Target visitor profiles true: Kafka events in, one rate-limited update per visitor out."""

__version__ = "0.2.0"
