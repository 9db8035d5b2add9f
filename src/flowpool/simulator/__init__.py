"""A provider to test against: limits, latency, faults and a ledger, in memory or as a server."""
