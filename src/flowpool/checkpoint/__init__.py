"""What a run remembers in its store, and how it is found again."""
