"""What several suites need to stand up the world around the connector."""
