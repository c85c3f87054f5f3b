"""What only commands ask of Kafka: every reader here stands beside the group, and joins or commits nothing."""
