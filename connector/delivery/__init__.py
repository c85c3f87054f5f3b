"""The heart: what is owed, to whom, since which offset, and when it may go; without clock or I/O."""
