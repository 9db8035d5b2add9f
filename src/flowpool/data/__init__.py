"""Items in and results out: rows from files, frames and databases, and back into them. Knows nothing of runs."""
