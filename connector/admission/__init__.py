"""Whether a request may go now: circuit breaker, membership lease, quota, slots and rate. Pure: no clock, no I/O."""
