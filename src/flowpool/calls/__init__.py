"""One step's call: what it asks, what it may cost, and what follows each attempt."""
