"""The rolling quota of the whole group: a ledger that every replica reads alike, and the leases taken from it."""
