"""Real processes under every fault at once, and an oracle that sees only what is visible from outside."""
