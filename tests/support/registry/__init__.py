"""Schema registries for the tests: a real one, one in memory, and a server in front of either that can refuse."""
