"""A run's store: an SQLite file with its items, answers and attempts. Knows rows and files; no loops, no runs."""
