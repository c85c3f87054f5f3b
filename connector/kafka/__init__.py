"""The edge to Kafka: one thread that owns the consumer, and the producer of dead letters; it logs nothing."""
