"""What several suites need to set up the connector's surroundings."""
