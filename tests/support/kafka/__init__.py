"""A real Apache Kafka broker for the tests: what a fake would let pass, a broker does not."""
