"""Crash tests of the store: kills, power loss, failing writes, seeds in virtual time. `python -m tests.soak`."""
