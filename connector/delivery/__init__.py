"""Pure delivery logic: coalescing, offsets, retries, dead letters. No clock, no I/O."""
