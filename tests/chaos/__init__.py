"""Real processes under every fault at once, and one judge at the end who knows only what is visible from outside."""
