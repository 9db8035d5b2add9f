"""Steering a run at work from another process: who listens for it, and who asks. Knows no loop and no pool."""
