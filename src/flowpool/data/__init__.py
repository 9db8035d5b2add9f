"""Items in: rows from lists, frames and files. Knows nothing of runs."""
