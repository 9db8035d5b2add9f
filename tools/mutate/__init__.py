"""Mutates a policy and asks its own tests whether they notice. See `__main__`."""
