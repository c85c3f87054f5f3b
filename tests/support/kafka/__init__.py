"""A real Apache Kafka broker for the tests: it refuses what a fake would accept."""
